"""`asha-queue drain`."""

import click

from asha_queue.cli.common import opened_store
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.handle import drain as drain_workers
from asha_queue.handle import me


@click.command()
@click.argument("target", metavar="WORKER|HOST")
@broker_option
@json_option
def drain(target: str, broker: str | None, as_json: bool) -> None:
    """Have a worker (gpu0@host), or all workers of a host, save, hand back and end.

    Their segments go on elsewhere. They stay away until their launcher is started anew.
    """
    with opened_store(broker) as store:
        named = drain_workers(store, [target], me())
        if as_json:
            print_json(named)
        else:
            click.echo(f"draining {', '.join(named)}")
