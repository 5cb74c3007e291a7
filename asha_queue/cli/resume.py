"""`asha-queue resume`."""

import click

from asha_queue.cli.common import handle_of
from asha_queue.cli.options import broker_option, reason_option


@click.command()
@click.argument("name")
@reason_option
@broker_option
def resume(name: str, reason: str, broker: str | None) -> None:
    """Go on with a paused experiment."""
    with handle_of(name, broker) as handle:
        handle.resume(reason=reason)
        click.echo(f"experiment {name} goes on")
