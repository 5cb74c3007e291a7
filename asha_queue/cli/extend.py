"""`asha-queue extend`."""

import click

from asha_queue.cli.common import broker_option, handle_of, reason_option


@click.command()
@click.argument("name")
@click.option("--num-samples", type=click.IntRange(min=1), metavar="N", help="New trials in all.")
@click.option("--max-t", type=click.IntRange(min=1), metavar="T", help="The new highest level.")
@reason_option
@broker_option
def extend(
    name: str, num_samples: int | None, max_t: int | None, reason: str, broker: str | None
) -> None:
    """Give experiment NAME more trials or a higher top, also when it is finished.

    A higher top is a new rung: the old top stays a level, and its best trials are promoted.
    """
    with handle_of(name, broker) as handle:
        handle.extend(num_samples=num_samples, max_t=max_t, reason=reason)
        view = handle.status()
        click.echo(
            f"experiment {name} has {view['trials']['total']} trials and goes up to "
            f"{view['rungs'][-1]['level']}"
        )
