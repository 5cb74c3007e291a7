"""`asha-queue retry`."""

import click

from asha_queue.cli.common import handle_of
from asha_queue.cli.options import broker_option


@click.command()
@click.argument("name")
@click.argument("trials", type=int, nargs=-1, metavar="[TRIAL …]")
@broker_option
def retry(name: str, trials: tuple[int, ...], broker: str | None) -> None:
    """Try the failed trials of experiment NAME again: those named, or all of them."""
    with handle_of(name, broker) as handle:
        again = handle.retry(trials or None)
        said = ", ".join(map(str, again)) or "none: no such trial has failed"
        click.echo(f"tried again: {said}")
