"""`asha-queue extend`."""

import click

from asha_queue.cli.common import handle_of
from asha_queue.cli.options import broker_option, reason_option
from asha_queue.errors import OrderError


@click.command()
@click.argument("name")
@click.option("--num-samples", type=click.IntRange(min=1), metavar="N", help="New trials in all.")
@click.option("--max-t", type=click.IntRange(min=1), metavar="T", help="The new highest level.")
@click.option("--time-budget", metavar="TIME", help="In all, such as 2h, 90min or 5400s.")
@click.option(
    "--resource-budget", type=click.IntRange(min=1), metavar="N", help="Units of resource in all."
)
@click.option(
    "--stop-at",
    multiple=True,
    metavar="[METRIC=]VALUE",
    help="How good a result ends it; once for each metric.",
)
@reason_option
@broker_option
def extend(
    name: str,
    num_samples: int | None,
    max_t: int | None,
    time_budget: str | None,
    resource_budget: int | None,
    stop_at: tuple[str, ...],
    reason: str,
    broker: str | None,
) -> None:
    """Give experiment NAME more trials, a higher top or more of a budget, also when it is finished.

    A higher top is a new rung: the old top stays a level, and its best trials are promoted. An
    experiment whose budget was used goes on where it was, from what it has saved.
    """
    with handle_of(name, broker) as handle:
        handle.extend(
            num_samples=num_samples,
            max_t=max_t,
            time_budget=time_budget,
            resource_budget=resource_budget,
            stop_at=_aims(stop_at),
            reason=reason,
        )
        view = handle.status()
        click.echo(
            f"experiment {name} has {view['trials']['total']} trials and goes up to "
            f"{view['rungs'][-1]['level']}"
        )
        for budget in view["budgets"]:
            click.echo(budget["text"])


def _aims(given: tuple[str, ...]) -> float | dict[str, float] | None:
    """What `--stop-at` was given: `0.95`, or `accuracy=0.95` for each metric."""
    found: dict[str, float] = {}
    for one in given:
        metric, _, value = one.rpartition("=")
        try:
            found[metric] = float(value)
        except ValueError:
            raise OrderError(f"--stop-at {one}: {value!r} is no number") from None
    return found[""] if [*found] == [""] else found or None
