"""`asha-queue submit`."""

import os
from pathlib import Path

import click

from asha_queue.cli.files import experiment_in
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.formats import age, version
from asha_queue.specification.stored import later
from asha_queue.store import connect
from asha_queue.views.classes import unserved
from asha_queue.views.versions import of
from asha_queue.where import broker as broker_of


@click.command()
@click.argument("file", metavar="FILE[:NAME]")
@click.option("--storage", metavar="DIR|URL", help="Root of checkpoints, logs and exports.")
@click.option("--fresh", is_flag=True, help="Delete what exists under this name, and start anew.")
@broker_option
@json_option
def submit(file: str, storage: str | None, fresh: bool, broker: str | None, as_json: bool) -> None:
    """Leave the experiment in FILE (.py or .toml) to a standing coordinator, and return.

    \b
    asha-queue coordinator --broker redis://head:6379/0     somewhere, once
    asha-queue submit experiment.py --broker redis://head:6379/0
    """
    handle = experiment_in(file).submit(broker=broker, storage=storage, fresh=fresh)
    place = broker_of(broker)
    assert place  # submit would have refused
    store = connect(place.url)
    attendants = store.attendants()
    coordinators = [coordinator.who for coordinator in attendants]
    if as_json:
        print_json({"name": handle.name, "uid": handle.uid, "coordinators": coordinators})
        return
    click.echo(f"broker   {place}")
    click.echo(f"submitted {handle.name}; follow it with: asha-queue status {handle.name}")
    root = handle.result().specification.storage
    if (
        "://" not in root
        and not Path(root).is_absolute()
        and "ASHA_QUEUE_STORAGE" not in os.environ
    ):
        click.echo(
            f"storage {root!r} is a folder in each worker's own directory; unless that is one "
            f"folder for all of them, give --storage DIR that all nodes share",
            err=True,
        )
    fields = later(store.describe(handle.uid).specification)
    if fields and coordinators and all(age(of(one.info)) < age(version()) for one in attendants):
        click.echo(
            f"{handle.name} has {', '.join(fields)}, which the coordinators alive, of earlier "
            f"versions, may not know: then they leave it alone, until one of asha-queue "
            f"{version()} is started",
            err=True,
        )
    for sentence in unserved(handle.status()):
        click.echo(sentence, err=True)
    if not coordinators:
        click.echo(
            "no coordinator is alive, so it waits; start one with: asha-queue coordinator", err=True
        )
