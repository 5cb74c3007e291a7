"""What to think twice about before an experiment is run, in sentences."""

from collections.abc import Iterator
from typing import Final

from asha_queue.planning.forecast import Forecast
from asha_queue.specification import Specification

#: A first rung that takes more than this share of the resource leaves little to promote with.
TOO_MUCH: Final = 0.6
#: A fleet that trains for less than this share of its time is too large.
IDLE: Final = 0.5


def warnings(
    specification: Specification, plan: Forecast, saves: bool, chosen: bool
) -> Iterator[str]:
    """What makes little sense, with what to do about it; of fleets only if they were `chosen`."""
    yield from _ladder(specification, plan)
    yield from _budgets(specification, plan)
    if chosen:
        yield from _fleets(specification, plan)
    if not saves and len(plan.levels) > 1:
        least = specification.reduction_factor - 1
        yield (
            f"the program saves no checkpoint, so each segment trains from step 0, up to "
            f"{1 / least:.0%} more work, which is counted here; save with trial.save()"
        )


def _ladder(specification: Specification, plan: Forecast) -> Iterator[str]:
    levels, eta, grace = plan.levels, specification.reduction_factor, specification.grace_period
    if len(levels) == 1:
        lower = max(1, specification.max_t // eta**2)
        yield (
            f"grace_period={grace} is max_t: there is one rung only, so every trial is trained in "
            f"full and none is promoted"
            + (f"; grace_period={lower} would save most of it" if lower < grace else "")
        )
        return
    needed = eta ** (len(levels) - 1)
    trials = specification.num_trials
    reached = plan.trained_in_full.median
    if reached < 1 and specification.variant != "pasha" and trials < needed:
        grid = trials // specification.num_samples
        yield (
            f"no trial is expected to be trained up to max_t={plan.max_t}: one in {needed} gets "
            f"there, and there are {trials}; num_samples={-(-needed // grid)} would do, or a "
            f"higher grace_period"
        )
    first = sum(rung.resource.median for rung in plan.rungs if rung.rung == 0)
    share = first / max(1.0, plan.resource.median)
    lower = max(1, specification.max_t // eta**2)
    if specification.brackets == 1 and share > TOO_MUCH and lower < grace and reached >= 1:
        yield (
            f"grace_period={grace} is long for max_t={plan.max_t}: the first rung alone takes "
            f"{share:.0%} of the resource, as every trial is trained that far; grace_period="
            f"{lower} would leave more for the best"
        )


def _budgets(specification: Specification, plan: Forecast) -> Iterator[str]:
    short = [fleet for fleet in plan.fleets if fleet.started.median < plan.num_trials]
    for fleet in short:
        # a budget of resource ends it with every fleet
        alike = specification.time_budget is None
        workers = "" if alike else f" by {fleet.workers:,} worker{'s' * (fleet.workers > 1)}"
        yield (
            f"{fleet.ends}{workers} before all trials are started: about "
            f"{fleet.started.median:,.0f} of {plan.num_trials:,}; raise it, or lower num_samples"
        )
        if alike:
            return


def _fleets(specification: Specification, plan: Forecast) -> Iterator[str]:
    for fleet in plan.fleets:
        most = specification.max_concurrent
        if most is not None and fleet.workers > most:
            yield (
                f"{fleet.workers:,} workers: max_concurrent={most} lets no more than {most} of "
                f"them train"
            )
        elif fleet.workers > plan.num_trials:
            yield (
                f"{fleet.workers:,} workers are more than can ever be used: there are "
                f"{plan.num_trials:,} trials, each trained by one at a time"
            )
        elif fleet.busy.median < IDLE and fleet.workers > 1:
            idle = round(fleet.workers * (1 - fleet.busy.median))
            yield (
                f"of {fleet.workers:,} workers {idle:,} stand idle in the mean: the end waits for "
                f"the last trials to climb to max_t={plan.max_t}; fewer workers, or a higher "
                f"num_samples, would waste less"
            )


def notes(specification: Specification, plan: Forecast, scale: float) -> Iterator[str]:
    """What the figures rest on."""
    yield (
        f"median (range) of {plan.plays} plays of the search with made-up values: each trial has a "
        f"quality, seen with noise of half its spread at {plan.levels[0]}, and half as much at "
        f"each next level"
    )
    if scale > 1:
        yield f"played with {plan.num_trials / scale:,.0f} trials, and scaled up"
    if specification.hedge and len(plan.levels) > 1:
        yield (
            f"hedge=True: if early values turn out to rank nothing, nearly all trials are trained "
            f"on, up to {plan.full:,} steps; hedge=False never does"
        )
    if specification.stop_at is not None:
        yield "stop_at: not planned, as values are made up; a result that is as good ends it"
    if specification.time_budget is not None:
        budget, first = f"time_budget={specification.time_budget:g}", plan.fleets[0].workers
        yield (
            f"{budget}: not planned, as the time of a step is not known; give --seconds-per-unit S,"
            f" or --measure"
            if plan.seconds_per_unit is None
            else f"{budget}: rungs and totals are those of {first:,} workers"
        )
    if specification.queues:
        yield "queues: planned as if each worker trained at every level"
    if specification.variant == "pasha":
        yield "variant='pasha': if the order of trials settles early, it ends below max_t"
    if specification.sampler not in ("random", "sobol", "grid"):
        yield (
            f"sampler={specification.sampler!r} learns: later trials are better, and other "
            f"numbers of them are promoted than of these, which are drawn alike"
        )
