"""What an experiment will take, before anything is spent.

Rules

* The figures are those of plays (`play.py`) with several seeds and with each number of workers that
  is asked for: medians, and the range. What does not depend on the fleet is told of all plays; with
  a budget of time it all does, and is told of the first fleet.
* The seeds are always the same, so the same plan is told twice.
* An experiment of more than MOST trials is played with MOST of them, and scaled up: of so many the
  shares do not change any more. The fewer plays, the larger the experiment.
* A metric cannot be foreseen: `stop_at` is left out of the plays, and so is `time_budget` when the
  time of a step is not known.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from asha_queue.errors import SpecificationError
from asha_queue.planning.advice import notes, warnings
from asha_queue.planning.forecast import Forecast, Measured, PlannedFleet, PlannedRung, Spread
from asha_queue.planning.play import Pace, Played, play
from asha_queue.specification import Specification

__all__ = [
    "FLEETS",
    "MOST_WORKERS",
    "Forecast",
    "Measured",
    "PlannedFleet",
    "PlannedRung",
    "Spread",
    "checked",
    "forecast",
]

#: Numbers of workers that are planned for if none are asked for.
FLEETS: Final = (1, 4, 16, 64)
#: Workers of a fleet, at most.
MOST_WORKERS: Final = 10_000
#: Trials of a play, at most; of all plays together, about; and the plays with each fleet.
MOST: Final = 10_000
TRIALS: Final = 40_000
PLAYS: Final = 5
FEWEST_PLAYS: Final = 3
#: Trials up to which a curve over fleets has a point at each power of 2, and not of 4.
FINE: Final = 2_000


def forecast(
    specification: Specification,
    workers: Sequence[int] | None = None,
    seconds_per_unit: float | None = None,
    startup: float = 0.0,
    saves: bool = True,
    checkpoint_bytes: int | None = None,
    price: float | None = None,
    curve: bool = False,
    measured: Measured | None = None,
) -> Forecast:
    """What the experiment will take.

    Args:
        specification: the experiment.
        workers: numbers of workers; default: FLEETS.
        seconds_per_unit: that a step of training takes, if it is known.
        startup: seconds that each segment takes besides: to restore, load data and save.
        saves: whether the program saves checkpoints; if not, each segment trains from step 0.
        checkpoint_bytes: the size of a checkpoint, if it is known.
        price: of an hour of one worker, in any currency.
        curve: whether the time is wanted over numbers of workers, too.
        measured: a trial that was trained for this, which says all that is not given about it.

    Raises:
        SpecificationError: an argument is out of its range.
    """
    if measured:
        seconds_per_unit, startup = measured.per_unit, measured.startup
        saves = measured.checkpoint_bytes is not None
        checkpoint_bytes = checkpoint_bytes or measured.checkpoint_bytes
    checked(workers, seconds_per_unit, startup, checkpoint_bytes, price)
    pace = Pace(seconds_per_unit or 1.0, startup, saves, seconds_per_unit is not None)
    once = measured.once if measured else 0.0
    scale = max(1.0, specification.num_trials / MOST)
    played = _playable(specification, scale, seconds_per_unit is not None)
    fleets = list(dict.fromkeys(workers or FLEETS))
    each = TRIALS // (played.num_trials * len(fleets))
    plays = min(max(FEWEST_PLAYS, each), PLAYS)
    found = {
        fleet: [play(played, pace, _used(played, fleet), seed) for seed in range(plays)]
        for fleet in fleets
    }
    told = fleets[:1] if played.time_budget is not None else fleets
    every = [one for fleet in told for one in found[fleet]]
    rungs = _rungs(specification, every, scale)
    resource = Spread.of([sum(one.steps.values()) for one in every], scale)
    started = Spread.of([one.started for one in every], scale).median
    full = specification.num_trials * specification.max_t
    top = len(specification.ladder.levels) - 1
    checkpoints = Spread.of([one.checkpoints for one in every], scale)
    made: dict[str, Any] = {
        "name": specification.name,
        "levels": specification.ladder.levels,
        "num_trials": specification.num_trials,
        "max_t": specification.max_t,
        "rungs": tuple(rungs),
        "resource": resource,
        "full": full,
        "affords": resource.median / specification.max_t,
        "each": resource.median / started,
        "trials_for_full": int(started * full / max(1.0, resource.median)),
        "trained_in_full": Spread.of([_at_level(one, top) for one in every], scale),
        "fleets": tuple(
            _fleet(
                specification, fleet, found[fleet], seconds_per_unit is not None, scale, once, price
            )
            for fleet in fleets
        ),
        "curve": tuple(_curve(played, pace, found, scale, once)) if curve else (),
        "seconds_per_unit": seconds_per_unit,
        "startup": startup,
        "price": price,
        "checkpoints": checkpoints,
        "checkpoint_bytes": checkpoint_bytes,
        "disk": checkpoints.times(checkpoint_bytes) if checkpoint_bytes is not None else None,
        "plays": plays * len(fleets),
        "measured": measured,
    }
    found_so_far = Forecast(**made)
    return replace(
        found_so_far,
        warnings=tuple(warnings(specification, found_so_far, saves, workers is not None)),
        notes=tuple(notes(specification, found_so_far, scale)),
    )


def checked(
    workers: Sequence[int] | None,
    seconds_per_unit: float | None,
    startup: float = 0.0,
    checkpoint_bytes: int | None = None,
    price: float | None = None,
) -> None:
    """Raises SpecificationError if an argument of `forecast` is out of its range."""
    for fleet in FLEETS if workers is None else workers or (0,):
        if not 1 <= fleet <= MOST_WORKERS:
            raise SpecificationError(
                f"workers={fleet}: must be whole numbers from 1 to {MOST_WORKERS:,}"
            )
    if seconds_per_unit is not None and not 0 < seconds_per_unit < math.inf:
        raise SpecificationError(
            f"seconds_per_unit={seconds_per_unit:g}: must be a number of seconds above 0: what one "
            f"step of training takes"
        )
    if not 0 <= startup < math.inf:
        raise SpecificationError(f"startup={startup:g}: must be a number of seconds of at least 0")
    if checkpoint_bytes is not None and checkpoint_bytes < 0:
        raise SpecificationError(f"checkpoint_bytes={checkpoint_bytes}: must be at least 0")
    if price is not None and not 0 <= price < math.inf:
        raise SpecificationError(f"price={price:g}: must be a number of at least 0")
    if seconds_per_unit is None and (price is not None or startup):
        given = "price" if price is not None else "startup"
        raise SpecificationError(
            f"{given}: needs to know how long a step takes; give --seconds-per-unit S, or --measure"
        )


def _playable(specification: Specification, scale: float, timed: bool) -> Specification:
    """What is played of an experiment: nothing is drawn, and nothing learnt."""
    fields: dict[str, Any] = {"sampler": "random", "prior": [], "initial_configs": []}
    if scale > 1:
        grid = specification.num_trials // specification.num_samples
        fields["num_samples"] = max(1, round(MOST / grid))
    fields["stop_at"] = None
    if specification.resource_budget is not None:
        fields["resource_budget"] = max(1, round(specification.resource_budget / scale))
    if specification.time_budget is not None:
        fields["time_budget"] = specification.time_budget / scale if timed else None
    return specification.model_copy(update=fields)


def _used(specification: Specification, fleet: int) -> int:
    """Of so many workers, those that the experiment may use."""
    return min(fleet, specification.max_concurrent or fleet)


def _rungs(
    specification: Specification, plays: Sequence[Played], scale: float
) -> list[PlannedRung]:
    ladder = specification.ladder
    return [
        PlannedRung(
            bracket,
            bracket + rung,
            ladder.target(bracket, rung),
            Spread.of([one.segments.get((bracket, rung), 0) for one in plays], scale),
            Spread.of([one.steps.get((bracket, rung), 0) for one in plays], scale),
        )
        for bracket in range(specification.brackets)
        for rung in range(ladder.rungs(bracket))
    ]


def _at_level(played: Played, level: int) -> int:
    return sum(n for (bracket, rung), n in played.segments.items() if bracket + rung == level)


def _fleet(
    specification: Specification,
    workers: int,
    plays: Sequence[Played],
    timed: bool,
    scale: float,
    once: float,
    price: float | None = None,
) -> PlannedFleet:
    length = Spread.of([once + one.seconds * scale for one in plays])
    busy = Spread.of([one.busy / max(1e-9, one.seconds * workers) for one in plays])
    cost = length.times(workers * price / 3600) if price is not None else None
    reasons = [_reason(specification, one.reason) for one in plays]
    most = max(reasons, key=reasons.count)
    return PlannedFleet(
        workers,
        seconds=length if timed else None,
        steps=None if timed else length,
        busy=busy,
        cost=cost,
        started=Spread.of([one.started for one in plays], scale),
        resource=Spread.of([sum(one.steps.values()) for one in plays], scale),
        ends=most,
    )


def _reason(specification: Specification, told: str) -> str:
    """Why it ends: as a play told it, but for budgets, which may have been scaled for it."""
    for budget in ("time_budget", "resource_budget"):
        if budget in told:
            return f"{budget}={getattr(specification, budget):g} is used"
    return told


def _curve(
    specification: Specification,
    pace: Pace,
    found: dict[int, list[Played]],
    scale: float,
    once: float,
) -> list[tuple[int, float, float]]:
    """Length and busy share over numbers of workers, up to twice the greatest that is asked for."""
    factor = 2 if specification.num_trials <= FINE else 4
    fleets, fleet = set(found), 1
    while fleet <= min(2 * max(found), MOST_WORKERS):
        fleets.add(fleet)
        fleet *= factor
    points = []
    for fleet in sorted(fleets):
        plays = found.get(fleet) or [play(specification, pace, _used(specification, fleet), 0)]
        of = _fleet(specification, fleet, plays, False, scale, once)
        points.append((fleet, of.length.median, of.busy.median))
    return points
