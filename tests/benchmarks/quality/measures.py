"""What runs are measured by.

* Regret at a time is that of the best value seen by then at any resource, normalised by the task
  (`tables.py`); 1 before there is one. Its area is its mean over time until the horizon.
* A run is at the top from when it has seen a value that only 1 % of rows ever reach. Runs that
  never get there are told as a share: the mean time is over the others.
* The tail is the mean of the worst tenth of runs, at least one.
* Two methods are compared in pairs of runs with the same task and seed, by the mean difference of
  their areas. Its interval holds 95 % of the means of pairs drawn with repetition, as many of each
  task as it has: tasks are what they are, seeds could have been others. There is none where a task
  has a single pair.
* They are compared by ratios, too, which say how much ahead one is where regrets of tasks are not
  of a size: the mean area of a task by the other's, and the geometric mean of that over tasks; the
  same of times to the top, in which the horizon stands for runs that never get there. That flatters
  whoever misses more. Intervals are drawn alike.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.quality.play import Run
from tests.benchmarks.quality.tables import Floats

#: Shares of the horizon at which regret is told.
AT = (0.10, 0.25, 0.50, 1.00)
#: The share of runs that is the tail.
TAIL = 0.1
#: Draws of an interval.
DRAWS = 2_000


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one run. `top` is in full trainings, None if it never got there."""

    task: str
    seed: int
    area: float
    regret: tuple[float, ...]
    top: float | None
    full: int
    started: int
    busy: float
    decision: float


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean and its standard error, NaN for what a single run cannot tell."""

    mean: float
    error: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Mean":
        if not values:
            return cls(math.nan, math.nan)
        error = np.std(values, ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        return cls(float(np.mean(values)), float(error))


@dataclass(frozen=True, slots=True)
class Summary:
    """Of all runs of a method; `tail` is of the area, `late` of the regret at the horizon."""

    runs: int
    area: Mean
    tail: float
    regret: tuple[Mean, ...]
    late: float
    top: Mean
    share: float
    full: Mean
    started: Mean
    busy: float
    decision: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """A geometric mean over tasks, below 1 if better, its 95 % interval, and the worst task's."""

    mean: float
    low: float
    high: float
    worst: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The mean difference of areas, below 0 if better, its 95 % interval, and the wins in pairs;
    half a win each where they are equal. Then ratios of areas and of times to the top, and the
    shares of runs that get there."""

    pairs: int
    difference: float
    low: float
    high: float
    wins: float
    area: Ratio
    top: Ratio
    share: float
    other_share: float


def measure(run: Run) -> Measures:
    at_top = run.times[run.values <= run.task.top]
    return Measures(
        task=run.task.name,
        seed=run.seed,
        area=area(run),
        regret=tuple(float(r) for r in regret(run, np.array(AT) * run.horizon)),
        top=float(at_top[0]) / run.task.full if len(at_top) else None,
        full=len(run.finished),
        started=run.started,
        busy=run.busy,
        decision=run.decision,
    )


def regret(run: Run, times: Floats) -> Floats:
    """Normalised regret of what was seen by each of the times, 1 while nothing was."""
    steps = np.concatenate([[1.0], run.task.regret(run.values)])
    found: Floats = steps[np.searchsorted(run.times, times, side="right")]
    return found


def area(run: Run) -> float:
    """The mean of regret over time until the horizon."""
    steps = np.concatenate([[1.0], run.task.regret(run.values)])
    edges = np.concatenate([[0.0], run.times, [run.horizon]])
    return float(np.diff(edges) @ steps / run.horizon)


def summary(runs: Sequence[Measures]) -> Summary:
    return Summary(
        runs=len(runs),
        area=Mean.of([run.area for run in runs]),
        tail=_tail([run.area for run in runs]),
        regret=tuple(Mean.of([run.regret[at] for run in runs]) for at in range(len(AT))),
        late=_tail([run.regret[-1] for run in runs]),
        top=Mean.of([run.top for run in runs if run.top is not None]),
        share=float(np.mean([run.top is not None for run in runs])),
        full=Mean.of([run.full for run in runs]),
        started=Mean.of([run.started for run in runs]),
        busy=float(np.mean([run.busy for run in runs])),
        decision=float(np.mean([run.decision for run in runs])),
    )


def _tail(values: Sequence[float]) -> float:
    worst = sorted(values)[-max(1, round(len(values) * TAIL)) :]
    return float(np.mean(worst))


def compare(runs: Sequence[Measures], others: Sequence[Measures], horizon: float) -> Comparison:
    """`runs` against `others`, in the pairs that both have; there must be one. The horizon is in
    full trainings."""
    theirs = {(run.task, run.seed): run for run in others}
    by_task: dict[str, list[tuple[Measures, Measures]]] = {}
    for run in runs:
        if (run.task, run.seed) in theirs:
            by_task.setdefault(run.task, []).append((run, theirs[run.task, run.seed]))
    pairs = [pair for found in by_task.values() for pair in found]
    rng = np.random.default_rng(0)
    # of each task, draws × pairs; what was found itself comes first
    drawn = [
        np.concatenate(
            [[np.arange(len(found))], rng.integers(len(found), size=(DRAWS, len(found)))]
        )
        for found in by_task.values()
    ]
    alone = min(len(found) for found in by_task.values()) < 2

    def interval(figures: Floats) -> tuple[float, float]:
        low, high = np.quantile(figures[1:], [0.025, 0.975])
        return (math.nan, math.nan) if alone else (float(low), float(high))

    def means(of: Callable[[Measures], float], which: int) -> list[Floats]:
        """Of each task, the mean of one side in each draw."""
        return [
            np.array([of(pair[which]) for pair in found])[indices].mean(axis=1)
            for found, indices in zip(by_task.values(), drawn, strict=True)
        ]

    def ratio(of: Callable[[Measures], float]) -> Ratio:
        logs = np.log(means(of, 0)) - np.log(means(of, 1))
        figures = np.exp(logs.mean(axis=0))
        return Ratio(float(figures[0]), *interval(figures), float(np.exp(logs[:, 0].max())))

    weights = np.array([len(found) for found in by_task.values()]) / len(pairs)
    areas = np.array(means(lambda run: run.area, 0)) - np.array(means(lambda run: run.area, 1))
    differences = weights @ areas
    of_pairs = np.array([run.area - other.area for run, other in pairs])
    return Comparison(
        pairs=len(pairs),
        difference=float(differences[0]),
        **dict(zip(("low", "high"), interval(differences), strict=True)),
        wins=float(np.mean(of_pairs < 0) + np.mean(of_pairs == 0) / 2),
        area=ratio(lambda run: run.area),
        top=ratio(lambda run: horizon if run.top is None else run.top),
        share=float(np.mean([run.top is not None for run, _ in pairs])),
        other_share=float(np.mean([other.top is not None for _, other in pairs])),
    )
