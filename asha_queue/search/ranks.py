"""Plain ranks, by which a journal is checked: the same order as that of the rungs, found otherwise.

One number is looked up in a sorted list. Where several metrics count, fronts and crowding are found
as their definitions say, by comparing every result with every other; that is slow, and meant to be.
"""

import bisect
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from asha_queue.search.goal import Goal, Goals
from asha_queue.search.rung import number

#: Violation, loss of the first metric, trial.
_Key = tuple[float, float, int]


class Ranks:
    """The results of one rung."""

    def __init__(self, goal: Goal | Goals) -> None:
        self._goal = goal
        self._sorted: list[_Key] = []
        self._keys: dict[int, _Key] = {}
        self._losses: dict[int, list[float]] = {}
        self._order: list[int] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, trial: int) -> bool:
        return trial in self._keys

    def add(self, trial: int, metrics: Mapping[str, Any]) -> None:
        """Adds a result; one of a failure has no metrics."""
        losses = [_loss(goal, metrics) for goal in self._goal.objectives]
        violation = sum((_beyond(*bound, metrics) for bound in self._goal.constraints), 0.0)
        if violation == math.inf or math.inf in losses or (len(losses) > 1 and -math.inf in losses):
            violation, losses = math.inf, [math.inf] * len(losses)
        self._losses[trial] = losses
        self._keys[trial] = violation, losses[0], trial
        bisect.insort(self._sorted, self._keys[trial])
        self._order = None

    def remove(self, trial: int) -> None:
        """Takes a result back."""
        self._sorted.remove(self._keys.pop(trial))
        del self._losses[trial]
        self._order = None

    @property
    def trials(self) -> Collection[int]:
        """All that have a result."""
        return self._keys.keys()

    def losses(self, trial: int) -> Sequence[Any]:
        """What is compared of it with other rungs, smaller is better: its loss in each metric, or
        of one its violation and loss."""
        losses = self._losses[trial]
        return losses if len(losses) > 1 else [self._keys[trial][:2]]

    def last(self, trial: int) -> bool:
        """Whether a result ranks last, as it diverged or failed."""
        return self._keys[trial][1] == math.inf

    def rank(self, trial: int) -> int:
        """From 1, the best."""
        if len(self._goal.objectives) == 1:
            return bisect.bisect_left(self._sorted, self._keys[trial]) + 1
        return self.best(len(self)).index(trial) + 1

    def best(self, count: int) -> list[int]:
        """The best trials, best first."""
        if len(self._goal.objectives) == 1:
            return [trial for _, _, trial in self._sorted[:count]]
        if self._order is None:
            self._order = self._ordered()
        return self._order[:count]

    def _ordered(self) -> list[int]:
        order: list[int] = []
        for violation in sorted({key[0] for key in self._keys.values()}):
            left = sorted(t for t in self._keys if self._keys[t][0] == violation)
            if violation == math.inf:
                return order + left
            while left:
                points = {trial: self._losses[trial] for trial in left}
                front = [
                    t for t in left if not any(_dominates(q, points[t]) for q in points.values())
                ]
                crowding = _crowding({trial: points[trial] for trial in front})
                order += sorted(front, key=lambda trial, of=crowding: (-of[trial], trial))  # type: ignore[misc]
                left = [trial for trial in left if trial not in front]
        return order


def _loss(goal: Goal, metrics: Mapping[str, Any]) -> float:
    loss = number(metrics.get(goal.metric)) * (1 if goal.mode == "min" else -1)
    return math.inf if math.isnan(loss) else loss


def _beyond(metric: str, side: str, bound: float, metrics: Mapping[str, Any]) -> float:
    """The part of a violation that is due to one bound."""
    value = number(metrics.get(metric))
    if math.isnan(value):
        return math.inf
    if value >= bound if side == "min" else value <= bound:
        return 0.0
    return abs(value - bound) / (abs(bound) or 1.0)


def _dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def _crowding(points: Mapping[int, Sequence[float]]) -> dict[int, float]:
    """The distance of each trial's point to its neighbours in a front."""
    crowding = dict.fromkeys(points, 0.0)
    for column in range(len(next(iter(points.values())))):
        along = sorted(points, key=lambda trial: (points[trial][column], trial))
        values = [points[trial][column] for trial in along]
        span = values[-1] - values[0]
        for i, trial in enumerate(along):
            if i in (0, len(along) - 1):
                crowding[trial] = math.inf
            elif 0 < span < math.inf:
                crowding[trial] += (values[i + 1] - values[i - 1]) / span
    return crowding
