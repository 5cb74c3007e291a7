"""`asha-queue cancel`."""

import click

from asha_queue.cli.common import handle_of
from asha_queue.cli.options import broker_option, reason_option


@click.command()
@click.argument("name")
@reason_option
@broker_option
def cancel(name: str, reason: str, broker: str | None) -> None:
    """End experiment NAME for good, and what runs of it within seconds.

    Its results and checkpoints stay; `asha-queue delete NAME` removes them.
    """
    with handle_of(name, broker) as handle:
        handle.cancel(reason=reason)
        click.echo(f"experiment {name} cancelled")
