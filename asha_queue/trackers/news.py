"""What a tracker is told of an experiment: a fold of its journal, entry by entry.

Rules

* It is a function of the journal alone: whoever folds the same entries has the same news, so that a
  tracker which has to be told once more is told the same.
* A point is told once. Of steps that were trained again only those are told that lie beyond the
  ones told before; a run's points are those of the trial's curves in the journal.
* A trial is one run: it is `new` once, and ends when nothing more can come of it. One that waits in
  a rung may be promoted, so its run stays open until the experiment has ended. `extend` and `retry`
  open ended ones again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from asha_queue.result import Result
from asha_queue.search.configuration import flatten
from asha_queue.search.rung import number
from asha_queue.specification import Specification

#: States in which nothing more comes of a trial.
ENDED = ("done", "failed", "diverged", "cancelled", "stopped")


@dataclass(frozen=True, slots=True)
class Point:
    """Metrics at a step, and when about they were reported (seconds): reports have no times, and
    are taken as evenly spread over their segment."""

    step: int
    metrics: dict[str, float]
    at: float


@dataclass(frozen=True, slots=True)
class News:
    """What the entry `entry` of the journal says of a trial; `at` is its time, `config` is flat."""

    entry: str
    at: float
    trial: int
    config: dict[str, Any]
    new: bool
    state: str
    rung: int
    worker: str
    points: tuple[Point, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Fold:
    """Follows a journal from its first entry."""

    def __init__(self, specification: Specification) -> None:
        self._result = Result(specification)
        #: By trial: the state told last, and the last step told.
        self._states: list[str] = []
        self._steps: list[int] = []

    @property
    def ended(self) -> bool:
        return self._result.state in ("finished", "cancelled")

    def apply(self, entry: Mapping[str, Any]) -> list[News]:
        """Folds one entry; what there is to tell of it, by trial."""
        self._result.apply(dict(entry))
        return list(self._news(entry))

    def _news(self, entry: Mapping[str, Any]) -> Iterator[News]:
        one = entry.get("trial")
        for trial in [self._result.trials[one]] if one is not None else self._result.trials:
            new = trial.number >= len(self._states)
            if new:
                self._states.append("")
                self._steps.append(0)
            state = "running" if trial.state == "queued" else trial.state
            points = tuple(self._points(trial.number, entry)) if one is not None else ()
            if state == self._states[trial.number] and not points:
                continue
            self._states[trial.number] = state
            yield News(
                entry=entry["id"],
                at=entry["at"],
                trial=trial.number,
                config=flatten(trial.config),
                new=new,
                state=state,
                rung=trial.rung or 0,
                worker=entry.get("worker") or "",
                points=points,
            )

    def _points(self, trial: int, entry: Mapping[str, Any]) -> Iterator[Point]:
        curve = entry.get("curve") or []
        if not curve:
            return
        first, last = curve[0][0] - 1, max(curve[-1][0], curve[0][0])
        for step, metrics in curve:
            if step > self._steps[trial]:
                self._steps[trial] = step
                left = (last - step) / max(1, last - first) * (entry.get("seconds") or 0.0)
                yield Point(step, {k: number(v) for k, v in metrics.items()}, entry["at"] - left)
