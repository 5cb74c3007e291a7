"""The journal that is named on the command line, by its experiment or by its file."""

from pathlib import Path
from typing import Any

import click

from asha_queue.cli.common import opened_store
from asha_queue.handle import uid_of
from asha_queue.store.journal import load_file
from asha_queue.views import journal


def entries_of(argument: str, broker: str | None) -> list[dict[str, Any]]:
    """The entries of FILE.jsonl, or else of the experiment NAME on a broker."""
    path = Path(argument)
    if path.suffix != ".jsonl":
        with opened_store(broker) as store:
            return list(journal(store, uid_of(store, argument)))
    entries, torn = load_file(argument)
    if torn:
        click.echo(f"{argument}: its last line is cut off and left out", err=True)
    return entries
