"""A plan in words, for the terminal and for pages."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Self

from asha_queue.planning import (
    MOST_WORKERS,
    Forecast,
    Measured,
    PlannedRung,
    Spread,
    forecast,
)
from asha_queue.result import Result
from asha_queue.search.configuration import short
from asha_queue.specification import Specification
from asha_queue.views import duration, number

#: Plans of experiments that were begun which are kept.
KEPT: Final = 32
#: Why a plan ends that no budget ends.
ALL: Final = "all trials ended"
#: Bytes of each unit of size, and its name.
_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def size(count: float) -> str:
    """Bytes, as `3.2 GB`."""
    for unit, name in _SIZES:
        if count >= unit:
            return f"{count / unit:.3g} {name}"
    return f"{count:.0f} B"


def seconds(count: float) -> str:
    """A short time as `0.013 s`, a longer one as `3 min 20 s`."""
    return f"{count:.3g} s" if count < 10 else duration(count)


def counted(spread: Spread) -> str:
    """A count and its range, as `288 (240–528)`."""
    low, median, high = (f"{round(one):,}" for one in (spread.low, spread.median, spread.high))
    return median if low == high else f"{median} ({low}–{high})"


@dataclass(frozen=True, slots=True)
class Expected:
    """What the plan of an experiment that was begun rests on: its specification as JSON, the
    workers that there were, or a few more, and whether its program saves checkpoints."""

    specification: str
    fleet: int
    saves: bool

    @classmethod
    def of(cls, result: Result) -> Self:
        saved = [bool(rung.checkpoint) for trial in result.trials for rung in trial.results]
        workers = len({trial.worker for trial in result.trials if trial.worker})
        # a power of two, so that it is not planned anew for each worker that comes
        fleet = min(1 << max(0, workers - 1).bit_length(), MOST_WORKERS)
        fields = result.specification.to_json() | {"prior": [], "warm_start": []}
        return cls(json.dumps(fields), fleet, not saved or any(saved))


@lru_cache(maxsize=KEPT)
def rungs_planned(expected: Expected) -> tuple[PlannedRung, ...]:
    """What was to be expected of each rung."""
    specification = Specification.from_json(json.loads(expected.specification))
    return tuple(forecast(specification, [expected.fleet], saves=expected.saves).by_level())


def headline(plan: Forecast) -> Iterator[tuple[str, str]]:
    """What it takes in all, beside random search, each with a word at its head."""
    reach = counted(plan.trained_in_full)
    yield (
        "in all",
        f"{counted(plan.resource)} steps; {reach} trials are trained in full, up to {plan.max_t:,}",
    )
    yield (
        "full",
        f"{plan.full:,} steps train all {plan.num_trials:,} in full, as random search does: the "
        f"plan takes {plan.share:.1%} of that",
    )
    yield (
        "instead",
        f"the steps of the plan train {plan.affords:,.0f} trials of random search in full, or as "
        f"many as here alike, up to {plan.each:,.1f}",
    )
    yield (
        "deeper",
        f"for the {plan.full:,} steps of full training this ladder tries "
        f"{plan.trials_for_full:,} trials",
    )
    yield "checkpoints", _disk(plan)


def measures(measured: Measured) -> Iterator[tuple[str, str]]:
    """What a trial has told that was trained for it."""
    trained = ", ".join(f"{a:,}→{b:,} in {seconds(s)}" for a, b, s in measured.segments)
    each = f"{seconds(measured.per_unit)} per step"
    if measured.apart:
        each += f" and {seconds(measured.startup)} more per segment"
    else:
        each += ", startup included, which one segment with one report does not tell"
    yield "measured", f"{trained}: {each}; {seconds(measured.once)} once per worker"
    yield "", f"of one trial, {short(measured.config)}; others may take longer or less"


def fleet_table(plan: Forecast) -> tuple[list[str], list[list[str]]]:
    """By number of workers: the heads of columns, and a row for each fleet."""
    timed, priced = plan.seconds_per_unit is not None, plan.price is not None
    several = len({fleet.resource for fleet in plan.fleets if fleet.ends != ALL}) > 1
    heads = ["workers", "time" if timed else "as long as steps", "range", "busy"]
    heads += [*(["cost"] if priced else []), *(["steps"] if several else []), "ends"]
    rows = []
    for fleet in plan.fleets:
        shown = seconds if timed else _whole
        length = fleet.length
        cells = [f"{fleet.workers:,}", shown(length.median)]
        cells += [f"{shown(length.low)} – {shown(length.high)}", f"{fleet.busy.median:.0%}"]
        cells += [number(fleet.cost.median)] if fleet.cost else []
        rows.append([*cells, *([_whole(fleet.resource.median)] if several else []), fleet.ends])
    return heads, rows


def _whole(count: float) -> str:
    return f"{round(count):,}"


def _disk(plan: Forecast) -> str:
    if plan.checkpoints.high == 0:
        return "none is saved"
    kept = f"{counted(plan.checkpoints)} at a time, at most"
    if plan.disk is None:
        return f"{kept}; --checkpoint-bytes N, or --measure, tells how much disk that is"
    return f"{kept}: {size(plan.disk.median)} of disk (up to {size(plan.disk.high)})"
