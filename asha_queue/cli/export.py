"""`asha-queue export`."""

import click

from asha_queue.cli.common import opened_store
from asha_queue.cli.options import broker_option
from asha_queue.handle import uid_of
from asha_queue.store.journal import dump
from asha_queue.views import journal


@click.command()
@click.argument("name")
@broker_option
def export(name: str, broker: str | None) -> None:
    """Print the journal of experiment NAME, one JSON object per line.

    \b
    asha-queue export digits > journal.jsonl
    """
    with opened_store(broker) as store:
        for entry in journal(store, uid_of(store, name)):
            click.echo(dump(entry), nl=False)
