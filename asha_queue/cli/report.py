"""`asha-queue report`."""

import os
import secrets
import time
from pathlib import Path

import click

from asha_queue.cli.common import broker_option
from asha_queue.cli.journals import entries_of
from asha_queue.errors import AshaQueueError
from asha_queue.report import report as page_of
from asha_queue.result import Result

#: What every report begins with.
_BEGINNING = "<!DOCTYPE html>"


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
    _refuse_others(target)
    page = page_of(result, time.time())
    _write(target, page)
    click.echo(f"wrote {target} ({len(page) / 1e6:.1f} MB)")


def _refuse_others(target: Path) -> None:
    """A file that is there and is no report is somebody's, and may be a slip of the keyboard."""
    try:
        with target.open(encoding="utf-8", errors="replace") as file:
            there = file.read(len(_BEGINNING))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AshaQueueError(f"{target} cannot be written: {error.strerror}") from None
    if there and there != _BEGINNING:
        raise AshaQueueError(
            f"{target} is there and is no report: it stays as it is. Give another --output FILE"
        )


def _write(target: Path, page: str) -> None:
    """All of it or nothing, so that a reader never sees half a report."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise AshaQueueError(f"{target} cannot be written: {error.strerror}") from None
