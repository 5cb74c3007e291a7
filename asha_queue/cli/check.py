"""`asha-queue check`."""

from pathlib import Path

import click

from asha_queue.cli.common import broker_option, json_option, opened_store, print_json
from asha_queue.handle import uid_of
from asha_queue.search.rules import check as violations_of
from asha_queue.store.journal import load_file
from asha_queue.views import journal as entries


@click.command()
@click.argument("journal", metavar="NAME|FILE")
@broker_option
@json_option
def check(journal: str, broker: str | None, as_json: bool) -> None:
    """Verify a journal: that of experiment NAME, or FILE in JSON lines as `export` prints it.

    Promotions, completions, tokens, starts and levels are checked against the rules; exit code 1
    when one is broken.
    """
    path = Path(journal)
    if path.suffix == ".jsonl":
        read, torn = load_file(path)
        if torn:
            click.echo(f"{path}: its last line is cut off and left out", err=True)
    else:
        with opened_store(broker) as store:
            read = list(entries(store, uid_of(store, journal)))
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
