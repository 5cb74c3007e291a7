"""`asha-queue check`."""

import click

from asha_queue.cli.journals import entries_of
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.search.rules import check as violations_of


@click.command()
@click.argument("journal", metavar="NAME|FILE")
@broker_option
@json_option
def check(journal: str, broker: str | None, as_json: bool) -> None:
    """Verify a journal: that of experiment NAME, or FILE in JSON lines as `export` prints it.

    Promotions, completions, tokens, starts and levels are checked against the rules; exit code 1
    when one is broken.
    """
    read = entries_of(journal, broker)
    violations = violations_of(read)
    promotions = sum(e["type"] == "scheduled" and e["attempt"] == 1 and e["rung"] > 0 for e in read)
    if as_json:
        print_json({"entries": len(read), "promotions": promotions, "violations": violations})
    else:
        for violation in violations:
            click.echo(violation)
        verdict = f"{len(violations)} rules broken" if violations else "all rules hold"
        click.echo(f"{journal}: {len(read)} entries, {promotions} promotions: {verdict}")
    if violations:
        raise click.exceptions.Exit(1)
