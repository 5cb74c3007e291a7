"""Journal entries for tests, and a search that is played by hand."""

from collections.abc import Callable
from typing import Any

from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan

Entry = dict[str, Any]


def scheduled(trial: int, rung: int = 0, target: int = 1, attempt: int = 1, **fields: Any) -> Entry:
    entry = {"type": "scheduled", "trial": trial, "bracket": 0, "rung": rung, "target": target}
    return {**entry, "attempt": attempt, "config": {}, **fields}


def completed(trial: int, rung: int = 0, value: object = 0.0, **fields: Any) -> Entry:
    return {"type": "completed", "trial": trial, "rung": rung, "metrics": {"loss": value}, **fields}


def failed(trial: int, rung: int = 0, final: bool = True) -> Entry:
    return {"type": "failed", "trial": trial, "rung": rung, "final": final, "error": "boom"}


def retried(trial: int, rung: int = 0) -> Entry:
    return {"type": "retried", "trial": trial, "rung": rung, "by": "me"}


def extended(**changed: Any) -> Entry:
    return {"type": "extended", "by": "me", "reason": "", "changed": changed}


class Play:
    """A search that minimises `loss`, with levels 1, eta, eta² … up to max_t."""

    def __init__(
        self,
        eta: int = 3,
        max_t: int = 9,
        trials: int = 100,
        mode: str = "min",
        hedge: bool = False,
    ) -> None:
        self.ladder = Ladder(1, max_t, eta)
        self.search = Asha(Plan(self.ladder, Goal("loss", mode), trials, hedge=hedge))

    def schedule(self, decision: Decision) -> None:
        target = self.ladder.levels[decision.rung]
        self.search.apply(scheduled(decision.trial, decision.rung, target))

    def decide(self) -> Decision | None:
        """Takes the one decision that a free slot calls for."""
        for decision in self.search.decide(1):
            self.schedule(decision)
            return decision
        return None

    def results(self, *values: object) -> None:
        """Starts one new trial per value and brings these results of rung 0."""
        first = self.search.started
        for trial in range(first, first + len(values)):
            self.search.apply(scheduled(trial))
        for trial, value in enumerate(values, start=first):
            self.search.apply(completed(trial, 0, value))

    def promotions(self) -> list[int]:
        """The trials that ten free slots would promote now."""
        return [decision.trial for decision in self.search.decide(10) if decision.rung > 0]

    def with_one_worker(self, value: Callable[[int], float], segments: int) -> list[Decision]:
        """Trains that many segments one after the other, fewer when the search finishes."""
        decisions: list[Decision] = []
        while len(decisions) < segments and (decision := self.decide()):
            self.search.apply(completed(decision.trial, decision.rung, value(decision.trial)))
            decisions.append(decision)
        return decisions
