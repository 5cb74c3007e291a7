"""What a journal has used of its budgets, added up for the check of its rules.

Written without `budget.py`, so that an error there does not hide here. The rules are those of its
docstring; where a leader may not have known the latest, less is held against it:

* An eviction need not have been known: a promotion needs what it would with all that was saved.
* Where trials of one rung need different amounts, its best may be the one that does not fit.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from asha_queue.errors import SpecificationError
from asha_queue.search.goal import Goal, Goals
from asha_queue.search.limits import Limits

_DECIDE_NOTHING = ("started", "suspended", "lost", "warning", "evicted")


class Ledger:
    """A fold of one journal, entry by entry."""

    def __init__(self, limits: Limits, goal: Goal | Goals, submitted_at: Any) -> None:
        self._limits, self._goal = limits, goal
        self._spent = 0
        #: By trial: where its open attempt has begun, if it has, its target, and what was reserved.
        self._open: dict[int, tuple[int | None, int, int]] = {}
        self._saved: dict[int, int] = {}
        #: Metrics of all completed results, if they matter.
        self._results: list[Mapping[str, Any]] = []
        #: When it was opened and closed, in turn.
        self._turns: list[float] = [] if submitted_at is None else [submitted_at]
        self._ended = False
        #: Time of the last entry that decides, and of the last one with another time before it.
        self._last_at: float | None = submitted_at
        self._before: float | None = None

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds an entry, after what is wrong with it was asked for."""
        kind, trial = entry["type"], entry.get("trial", -1)
        if kind == "extended":
            with contextlib.suppress(SpecificationError):  # which `excess` has said
                self._limits = self._limits.extended(entry["changed"], self._goal)
        if (at := entry.get("at")) is not None:
            opens = kind == "resumed" or (self._ended and kind in ("extended", "retried"))
            closes = kind in ("paused", "finished", "cancelled")
            if (opens, closes)[len(self._turns) % 2]:
                self._turns.append(at)
            self._ended = kind in ("finished", "cancelled") or (self._ended and not opens)
            if kind not in _DECIDE_NOTHING and (kind != "failed" or entry["final"]):
                self._before = self._before if at == self._last_at else self._last_at
                self._last_at = at
        if kind == "scheduled":
            target = entry["target"]
            self._open[trial] = None, target, self.need(trial, target)
        elif kind == "started" and trial in self._open:
            _, target, need = self._open[trial]
            self._open[trial] = entry["start"], target, need
        elif kind in ("completed", "suspended", "failed", "lost"):
            self._end(kind, entry)
        elif kind == "cancelled":
            self._open.clear()

    def need(self, trial: int, target: int) -> int:
        """Units from what a trial has saved to a target."""
        return max(0, target - self._saved.get(trial, 0))

    def fits(self, segments: Collection[tuple[int, int]]) -> bool:
        """Whether each of these, trial and target, could be paid."""
        budget = self._limits.resource
        if budget is None:
            return True
        left = budget - self._spent - sum(need for _, _, need in self._open.values())
        return all(self.need(trial, target) <= left for trial, target in segments)

    def excess(self, entry: Mapping[str, Any]) -> Iterator[str]:
        """What budgets have against an entry."""
        if entry["type"] == "extended":
            try:
                self._limits.extended(entry["changed"], self._goal)
            except SpecificationError as error:
                yield f"extended: {error}"
        if entry["type"] != "scheduled" or entry["attempt"] > 1:
            return
        if not self.fits([(entry["trial"], entry["target"])]):
            yield f"scheduled beyond the resource_budget of {self._limits.resource}"
        # those of one call have one time, at which not all was known
        known = self._before if self._last_at == entry.get("at") else self._last_at
        if self._late(known):
            yield f"scheduled after the time_budget of {self._limits.seconds:g} s was used"
        if self._reached:
            yield "scheduled after stop_at was reached"

    def ends(self, at: float | None) -> bool:
        """Whether the experiment may end at this time, whatever is open."""
        return self._late(at) or self._reached

    @property
    def _reached(self) -> bool:
        return any(self._limits.reached(metrics, self._goal) for metrics in self._results)

    def _late(self, at: float | None) -> bool:
        if self._limits.seconds is None or at is None:
            return False
        turns = [*self._turns, at] if len(self._turns) % 2 else self._turns
        passed = sum(max(0.0, e - b) for b, e in zip(turns[::2], turns[1::2], strict=True))
        return passed >= self._limits.seconds - 1e-5  # sums of times of the day round

    def _end(self, kind: str, entry: Mapping[str, Any]) -> None:
        trial = entry["trial"]
        start = self._open.pop(trial, (None, 0, 0))[0]
        if start is not None:
            self._spent += max(0, entry.get("reached", start) - start)
        if entry.get("checkpoint"):
            self._saved[trial] = entry["checkpoint"]["resource"]
        elif kind == "lost" or "witness" in entry:
            self._saved[trial] = 0
        elif start is not None:
            self._saved[trial] = start
        if kind == "completed" and self._limits.stop_at:
            self._results.append(entry["metrics"])
