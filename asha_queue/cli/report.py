"""`asha-queue report`."""

import time
from pathlib import Path

import click

from asha_queue.cli.journals import entries_of
from asha_queue.cli.options import broker_option
from asha_queue.cli.pages import refuse_others, write
from asha_queue.errors import AshaQueueError
from asha_queue.report import report as page_of
from asha_queue.result import Result


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.option(
    "--output",
    metavar="FILE",
    help="Where to write it, NAME.html by default; - is standard output. A report that is there is "
    "replaced, any other file is not.",
)
@broker_option
def report(name: str, output: str | None, broker: str | None) -> None:
    """Write one HTML file that shows experiment NAME, with all figures, and needs nothing else.

    FILE is a journal.jsonl, as runs leave it and `export` prints it; no server is needed for that.

    \b
    asha-queue report digits
    asha-queue report asha-runs/digits/journal.jsonl --output digits.html
    """
    read = entries_of(name, broker)
    if not read or read[0]["type"] != "submitted" or "experiment" not in read[0]:
        raise AshaQueueError(f"{name}: no journal of an experiment, which begins with 'submitted'")
    result = Result.from_journal(read)
    if output == "-":
        click.echo(page_of(result, time.time()))
        return
    target = Path(output or f"{result.specification.name}.html")
    refuse_others(target)
    page = page_of(result, time.time())
    click.echo(write(target, page))
