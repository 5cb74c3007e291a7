"""What is best in one rung: one result, and all that no other is better than."""

import math

from asha_queue.result.trials import Best, RungResult, TrialResult
from asha_queue.search.front import dominates
from asha_queue.search.goal import Goal, Goals

#: The losses, then the trial: what comes first in the first metric, of equal ones in the next.
_Key = tuple[tuple[float, ...], int]


class Leaders:
    """Of the results that meet the constraints and have a finite value in the first metric."""

    def __init__(self, goal: Goal | Goals) -> None:
        self._objectives = goal.objectives
        self._best: tuple[_Key, Best] | None = None
        #: With several metrics, those that no other dominates.
        self._front: dict[_Key, Best] = {}

    @property
    def best(self) -> Best | None:
        """The best in the first metric; none dominates it."""
        return self._best[1] if self._best else None

    @property
    def front(self) -> list[Best]:
        """What none dominates, the best in the first metric first; with one metric, the best."""
        if len(self._objectives) > 1:
            return [self._front[key] for key in sorted(self._front)]
        return [self._best[1]] if self._best else []

    def add(self, trial: TrialResult, result: RungResult) -> None:
        """Takes a new result that can be ranked."""
        losses = tuple(goal.loss(result.metrics) for goal in self._objectives)
        if result.violation or not math.isfinite(losses[0]):
            return
        key: _Key = losses, trial.number
        leads = self._best is None or key < self._best[0]
        on_front = len(losses) > 1 and not any(dominates(other, losses) for other, _ in self._front)
        if not leads and not on_front:
            return
        best = Best(trial.number, trial.config, result.metrics, result.checkpoint, result.reached)
        if leads:
            self._best = key, best
        if on_front:
            beaten = [other for other in self._front if dominates(losses, other[0])]
            for other in beaten:
                del self._front[other]
            self._front[key] = best
