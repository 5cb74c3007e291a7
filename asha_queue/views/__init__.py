"""The read model: the same facts for the terminal, `--json` and pages.

Everything here is derived from the folded journal (`Result`), the live workers and the stream of
live reports; nothing is stored. Times are seconds, resources in the user's unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from asha_queue.result import Best, Result, TrialResult
from asha_queue.search.asha import Asha
from asha_queue.search.rung import number as to_number
from asha_queue.specification import Specification
from asha_queue.store.contract import Store, Worker
from asha_queue.views.classes import classes
from asha_queue.views.outlook import budgets, expected_resource, lets_all_go_on, seconds_left
from asha_queue.views.words import duration as duration
from asha_queue.views.words import number as number

#: Live points kept of a segment in training, and at most twice as many.
LIVE_SERIES = 500


def journal(store: Store, uid: str, seen: str = "0-0") -> Iterator[dict[str, Any]]:
    """The entries of an experiment's journal after `seen`, by default all."""
    while entries := store.read(uid, seen).entries:
        yield from entries
        seen = entries[-1]["id"]


class LivePoints:
    """The live reports of the segments in training, beyond what the journal has of them."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._uid = uid
        self.seen = "0-0"
        #: The last point of each trial.
        self.last: dict[int, dict[str, Any]] = {}
        #: The points of each trial's newest attempt, by step.
        self._points: dict[int, list[dict[str, Any]]] = {}

    def refresh(self) -> Mapping[int, dict[str, Any]]:
        """Reads what came since the last call; returns the last point by trial number."""
        while True:
            points, self.seen = self._store.live(self._uid, self.seen, count=1000)
            for point in points:
                self._add(point)
            if not points:
                return self.last

    def series(self, result: Result) -> dict[int, list[tuple[int, float]]]:
        """Steps and values of the metric that trials are ranked by, of the segments in training, by
        trial; what is not in training any more is forgotten."""
        metric = result.specification.leading.metric
        running = {t.number: t for t in result.trials if t.state == "running"}
        self._points = {n: points for n, points in self._points.items() if n in running}
        return {
            number: [
                (point["step"], to_number(point["metrics"].get(metric)))
                for point in points
                if (running[number].start or 0) < point["step"] <= (running[number].target or 0)
            ]
            for number, points in self._points.items()
        }

    def _add(self, point: dict[str, Any]) -> None:
        before = self.last.get(point["trial"])
        self.last[point["trial"]] = point
        points = self._points.setdefault(point["trial"], [])
        if before and (before["rung"], before["attempt"]) != (point["rung"], point["attempt"]):
            points.clear()
        while points and points[-1]["step"] >= point["step"]:  # added to, or delivered twice
            points.pop()
        points.append(point)
        if len(points) >= 2 * LIVE_SERIES:
            del points[1::2]


def overview(
    result: Result, workers: Sequence[Worker], live: Mapping[int, dict[str, Any]]
) -> dict[str, Any]:
    """One experiment at a glance."""
    specification = result.specification
    trials = result.trials
    states: dict[str, int] = {}
    for trial in trials:
        states[trial.state] = states.get(trial.state, 0) + 1
    running = [t for t in trials if t.state == "running"]
    alive = {worker.name for worker in workers}
    now = max((worker.seen_at for worker in workers), default=0.0)
    return {
        "name": specification.name,
        "state": result.state,
        "reason": result.reason,
        "aim": aim(specification),
        "metric": specification.leading.metric,
        "mode": specification.leading.mode,
        "metrics": [asdict(goal) for goal in specification.goal.objectives],
        "constraints": [str(bound) for bound in specification.goal.constraints],
        "trials": {"started": len(trials), "total": specification.num_trials, **states},
        "rungs": [
            {
                "rung": rung.rung,
                "level": rung.level,
                "results": rung.results,
                "cut": rung.cut,
                "promoted": rung.promoted,
                "best": rung.best,
                "resource": rung.resource,
            }
            for rung in result.rungs
        ],
        "best": best_view(result.best),
        "front": front_view(result),
        "running": [
            running_view(t, live.get(t.number), specification.leading.metric) for t in running
        ],
        "workers": {
            "alive": len(workers),
            "busy": len({t.worker for t in running if t.worker in alive}),
        },
        "classes": classes(result, workers),
        "resource": {
            "spent": result.resource_spent,
            "full": result.resource_full,
            "expected": expected_resource(result),
        },
        "budgets": budgets(result, now),
        "troubles": [asdict(trouble) for trouble in result.troubles.all],
        "notes": notes(result),
        "seconds": result.seconds,
        "seconds_left": seconds_left(result, max(1, len(workers)), now),
    }


def notes(result: Result) -> list[str]:
    """What the user may want to change, in sentences."""
    return [
        *_out_of_bounds(result),
        *_settled(result),
        *_without_ranks(result),
        *_without_checkpoints(result),
    ]


def _out_of_bounds(result: Result) -> list[str]:
    """What comes nearest, where nothing meets the constraints."""
    if not result.nearest or result.best or result.nearest[0] == 0:
        return []
    violation, trial = result.nearest
    return [
        f"no result meets the constraints yet; the nearest, of trial {trial}, violates them by "
        f"{violation:.4g} (shares of the bounds, summed)"
    ]


def _without_ranks(result: Result) -> list[str]:
    """What it costs that early values do not rank."""
    open_ones = [rung.level for rung in result.rungs if lets_all_go_on(result, rung)]
    if not open_ones:
        return []
    levels = " and ".join(map(str, open_ones))
    return [
        f"values at {levels} say little of what comes after, so all trials go on from there, which "
        f"costs up to {result.resource_full:,} steps in all; hedge=False promotes by rank all the "
        f"same, a higher grace_period compares later"
    ]


def _settled(result: Result) -> list[str]:
    """Where PASHA has ended below the top."""
    specification, reached = result.specification, [r.level for r in result.rungs if r.results]
    if specification.variant != "pasha" or result.state != "finished" or not reached:
        return []
    if reached[-1] == result.rungs[-1].level:
        return []
    return [
        f"the order of trials settled at {reached[-1]} steps, so none was trained to "
        f"max_t={result.rungs[-1].level}; the best has results up to there"
    ]


def _without_checkpoints(result: Result) -> list[str]:
    results = [rung for trial in result.trials for rung in trial.results]
    if not results or len(result.rungs) < 2 or any(rung.checkpoint for rung in results):
        return []
    more = 1 / (result.specification.reduction_factor - 1)
    ray = result.specification.dialect == "ray"
    save = "tune.report(metrics, checkpoint=…)" if ray else "trial.save()"
    return [
        f"no segment has saved a checkpoint, so each starts from step 0: up to {more:.0%} more "
        f"work. Write one by {save}"
    ]


def aim(specification: Specification) -> str:
    """What is looked for: `largest accuracy, smallest latency, with latency <= 20`."""
    words = {"max": "largest", "min": "smallest"}
    goal = specification.goal
    aims = ", ".join(f"{words[one.mode]} {one.metric}" for one in goal.objectives)
    bounds = " and ".join(map(str, goal.constraints))
    return f"{aims}, with {bounds}" if bounds else aims


def front_view(result: Result) -> list[dict[str, Any]]:
    """The Pareto front, the best in the first metric first; none with one metric."""
    if len(result.specification.metrics) == 1:
        return []
    return [best_view(one) or {} for one in result.pareto_front]


def best_file(result: Result) -> dict[str, Any] | None:
    """What `best.json` holds: the best, with several metrics the front that it is of, and once the
    experiment has ended why."""
    best, front = best_view(result.best), front_view(result)
    if best and front:
        best |= {"front": front}
    return best | {"ended": result.reason} if best and result.reason else best


def fleet(
    workers: Sequence[Worker], drained: Mapping[str, str], overviews: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The live workers, what each trains, which of them were told to drain (`drained`), and why one
    is set aside."""
    trains = {
        segment["worker"]: {"experiment": view["name"], **segment}
        for view in overviews
        for segment in view["running"]
    }
    return [
        {
            "worker": worker.name,
            "device": worker.info.get("device"),
            "queues": worker.info.get("queues", []),
            "version": worker.info.get("version"),
            "draining": worker.name in drained,
            "aside": worker.aside or None,
            "trains": trains.get(worker.name),
        }
        for worker in workers
    ]


def best_view(best: Best | None) -> dict[str, Any] | None:
    if best is None:
        return None
    return {
        "trial": best.trial,
        "resource": best.resource,
        "metrics": best.metrics,
        "config": best.config,
        "checkpoint": best.checkpoint,
    }


def running_view(
    trial: TrialResult, point: Mapping[str, Any] | None, metric: str
) -> dict[str, Any]:
    """The segment of a trial in training, as far as its last live report tells."""
    start, target = trial.start or 0, trial.target or 0
    fresh = point is not None and start < point["step"] <= target
    return {
        "trial": trial.number,
        "rung": trial.rung,
        "start": start,
        "target": target,
        "step": point["step"] if point and fresh else start,
        "value": point["metrics"].get(metric) if point and fresh else None,
        "worker": trial.worker,
        "config": trial.config,
    }


def trial_view(trial: TrialResult, search: Asha) -> dict[str, Any]:
    """One trial, for each of its rungs why it was promoted or not, and how each attempt ended."""
    rungs = []
    for rung in trial.results:
        own = rung.rung - trial.bracket
        why = search.explain(trial.number, own)
        doubt = search.doubt(trial.number, own)
        rungs.append(
            {
                "rung": rung.rung,
                "level": rung.level,
                "value": rung.value,
                "rank": why.rank,
                "results": why.n,
                "counted": why.counted,
                "cut": why.cut,
                "threshold": why.threshold,
                "values": {one.metric: one.value(rung.metrics) for one in search.goal.objectives},
                "front": why.front if len(search.goal.objectives) > 1 else None,
                "crowding": why.crowding if len(search.goal.objectives) > 1 else None,
                "violation": why.violation,
                "promoted": why.promoted,
                "bracket": trial.bracket,
                "variant": search.variant,
                "open": doubt.standing == "open",
                "share": doubt.share,
                "probe": doubt.probe,
                "top": rung.rung == search.top,
                "worker": rung.worker,
                "seconds": rung.seconds,
                "metrics": rung.metrics,
                "checkpoint": rung.checkpoint,
            }
        )
    return {
        "trial": trial.number,
        "bracket": trial.bracket,
        "state": trial.state,
        "config": trial.config,
        "resource": trial.resource,
        "attempts": trial.attempts,
        "error": trial.error,
        "history": [asdict(attempt) for attempt in trial.history.all],
        "rungs": rungs,
        "curve": [[step, metrics] for step, metrics in trial.curve],
    }


def savings(result: Result) -> str:
    """What promotion saved against training every trial in full, as a sentence."""
    spent, full = result.resource_spent, result.resource_full
    reached = result.rungs[-1].results if result.rungs else 0
    return (
        f"{spent:,} of the {full:,} steps of full training ({spent / full:.1%}); "
        f"{reached} of {result.specification.num_trials} trials were trained in full"
    )
