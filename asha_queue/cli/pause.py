"""`asha-queue pause`."""

import click

from asha_queue.cli.common import handle_of
from asha_queue.cli.options import broker_option, reason_option


@click.command()
@click.argument("name")
@click.option("--now", is_flag=True, help="Have what runs save and hand back its segment.")
@reason_option
@broker_option
def pause(name: str, now: bool, reason: str, broker: str | None) -> None:
    """Start no segment of experiment NAME any more; what runs goes on to its end.

    `asha-queue resume NAME` goes on.
    """
    with handle_of(name, broker) as handle:
        handle.pause(now=now, reason=reason)
        click.echo(f"experiment {name} paused; go on with: asha-queue resume {name}")
