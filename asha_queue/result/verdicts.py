"""Whom the stopping variant has stopped, which a journal does not say in so many words."""

from typing import Any

from asha_queue.search.plan import Plan
from asha_queue.search.variants import Stopping


class Verdicts:
    """Follows the results of each bracket and rung; of other variants nothing."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.fall = plan.variant == "stopping"
        self._rungs: dict[tuple[int, int], Stopping] = {}

    def add(self, bracket: int, rung: int, trial: int, value: Any) -> None:
        """A result; NaN for a final failure."""
        if not self.fall:
            return
        if (bracket, rung) not in self._rungs:
            made = self._plan.rung()
            assert isinstance(made, Stopping), "what the stopping variant makes"
            self._rungs[bracket, rung] = made
        self._rungs[bracket, rung].add(trial, value)

    def withdraw(self, bracket: int, rung: int, trial: int) -> None:
        """The failure is tried again."""
        if self.fall:
            self._rungs[bracket, rung].withdraw(trial)

    def state(self, bracket: int, rung: int, trial: int) -> str:
        """The state of a trial with a result in a rung below the top: "waiting" or "stopped"."""
        if not self.fall or self._rungs[bracket, rung].goes_on(trial):
            return "waiting"
        return "stopped"
