"""`asha-queue delete`."""

import click

from asha_queue import where
from asha_queue.cli.common import opened_store
from asha_queue.cli.options import broker_option
from asha_queue.handle import uid_of
from asha_queue.running import delete as delete_experiment
from asha_queue.storage import required


@click.command()
@click.argument("name")
@click.option("--storage", metavar="DIR|URL", help="Root of checkpoints, logs and exports.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@broker_option
def delete(name: str, storage: str | None, yes: bool, broker: str | None) -> None:
    """Remove experiment NAME: journal, checkpoints, logs and exports."""
    with opened_store(broker) as store:
        uid = uid_of(store, name)
        kept = store.describe(uid).specification["storage"]
        folder = required(where.storage(storage, kept).url).below(name)
        if not yes:
            click.confirm(f"Delete experiment {name} and {folder}?", abort=True)
        delete_experiment(store, name, folder)
        click.echo(f"deleted {name} and {folder}")
