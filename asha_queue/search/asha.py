"""ASHA with promotion, as a state machine: journal entries in, decisions out.

Rules

1. A slot is free: look at the levels from the highest below the top downward. The first at which
   a rung has a promotable trial promotes its best one; of several brackets the lowest goes first.
   If none has, the next new trial is started, in the bracket that `brackets.py` says; if all were
   started, the slot stays free until a result arrives. A slot of a class of machines looks at the
   levels of its class only (`rooms.py`).
2. Each bracket has rungs of its own; rung k of bracket s is at level k + s. What is promotable is
   said in `rung.py`, for several metrics in `front.py`: the best floor(n / eta) of all n results of
   a rung, those promoted before included, less those promoted before. Never "the best of those
   left". Where another variant is planned, `variants.py` says it, and `pasha.py` which level is the
   top.
3. A rung holds results of completed segments. A final failure, NaN, an infinity of the wrong side
   and a missing metric count as results that rank last and are never promoted. `retried` takes a
   final failure back: it no longer counts, and its segment is open again.
4. A trial has one open segment at most; it is open from `scheduled` until `completed` or the final
   failure. Lost, suspended and retried segments stay open: they are scheduled again under the same
   trial and rung, with the next attempt, and decide nothing.
5. The search is finished when all trials were started, none has an open segment and none is
   promotable. Not while it is paused: then nothing is decided at all, but results come in.
6. `extended` adds trials, or rungs above the top, whose results become candidates. That opens what
   was finished; so does `retried`. What was cancelled stays so, and its open segments are closed.
7. A search that hedges tests its rungs first, and promotes everyone out of those whose ranks say
   nothing of the next: rules 1 and 2 as changed by `hedge.py`.
8. A search with a budget passes over what does not fit into it, and is over when its time is used
   or its aim reached, whatever is open then: rules 1 and 5 as changed by `budget.py`.

What it guarantees

* The state is a fold: it depends on the entries applied, in their order, and on nothing else.
  There is no clock, no randomness and no I/O in it. Same entries, same decisions.
* `decide` changes nothing. A decision takes effect when it comes back as a `scheduled` entry; one
  that was never journalled has never happened.
* An entry that cannot follow those before it raises JournalError, and has then changed nothing.
* `restore(snapshot())` has the same snapshot, and decides the same from then on.

What it relies on: whoever schedules a decision has applied all earlier entries first (the store's
script refuses it otherwise).

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv 1810.05934,
Algorithm 2.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self, cast

from asha_queue.errors import JournalError, SpecificationError
from asha_queue.formats import newer, unknown
from asha_queue.search.brackets import Brackets
from asha_queue.search.budget import Budget, Purse
from asha_queue.search.decisions import Decision as Decision
from asha_queue.search.decisions import decisions
from asha_queue.search.goal import Goal, Goals
from asha_queue.search.hedge import Doubt, Hedge
from asha_queue.search.limits import EXTENDABLE
from asha_queue.search.pasha import Pasha
from asha_queue.search.plan import Plan
from asha_queue.search.rooms import Rooms
from asha_queue.search.rung import Explanation, Ranking
from asha_queue.search.variants import AnyRung, Stopping

#: Entries that decide nothing. Those of newer versions are refused instead.
_NEUTRAL = frozenset({"submitted", "started", "suspended", "lost", "warning", "evicted"})
_ENDED = ("finished", "cancelled")
#: The reason of an end that no budget has brought.
ALL_ENDED = "all trials ended"


class Asha:
    """The state of one search."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ladder = plan.ladder
        self._goal = plan.goal
        self._num_trials = plan.num_trials
        self._grid_size = plan.grid_size
        self._brackets = Brackets(plan.ladder, plan.brackets)
        self._rungs: list[list[AnyRung]] = [[] for _ in range(plan.brackets)]  # by bracket
        # One that tests nothing asks no more of a rung than those of all variants have.
        self._hedges = [Hedge(cast("list[Ranking]", rungs), plan.hedge) for rungs in self._rungs]
        self._add_rungs()
        self._pasha = Pasha() if plan.variant == "pasha" else None
        self._open: dict[int, int] = {}  # the rung that a trial's open segment trains for
        self._failed: dict[int, int] = {}  # the rung in which a trial has failed for good
        self._state = "open"  # or "paused", "finished", "cancelled"
        self.budget = Budget(plan.limits, plan.goal)  # what was used of it

    @property
    def variant(self) -> str:
        return self._plan.variant

    @property
    def top(self) -> int:
        """The number of the highest level, from which nothing is promoted; of PASHA as yet."""
        top = len(self._ladder.levels) - 1
        return min(top, self._pasha.top) if self._pasha else top

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of the ladder, as it was extended."""
        return self._ladder.levels

    @property
    def goal(self) -> Goal | Goals:
        """What trials are compared by."""
        return self._goal

    @property
    def state(self) -> str:
        """ "open", "paused", "finished" or "cancelled"."""
        return self._state

    @property
    def started(self) -> int:
        """Trials started so far; the next new one has this number."""
        return len(self._brackets.of)

    @property
    def plenty(self) -> int:
        """New trials that can be started whatever comes: none where brackets or a budget say
        which."""
        free = self._brackets.number == 1 and self.budget.limits.resource is None
        return self._num_trials - self.started if free else 0

    @property
    def outstanding(self) -> int:
        """Open segments."""
        return len(self._open)

    @property
    def open_by_level(self) -> Counter[int]:
        """Open segments by the level that they train up to."""
        levels, brackets = self._ladder.levels, self._brackets.of
        return Counter(levels[brackets[trial] + rung] for trial, rung in self._open.items())

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do, unless it is extended or retried."""
        return self._state in _ENDED or bool(self.ending())

    def ending(self, now: float | None = None) -> str:
        """Why the search is to be finished, in words; empty if it is not, or has ended. `now` is
        the server's time, if one later than that of the last decision is known."""
        if self._state != "open":
            return ""
        if reason := self.budget.over(now):
            return reason
        if self._open or self.decide(1):
            return ""
        for one in self._decide(Rooms(1), None):
            return self.budget.used_up(self.budget.need(one.trial, one.target))
        return ALL_ENDED

    def decide(self, slots: int | Rooms) -> list[Decision]:
        """The segments that at most `slots` free slots should train next, in this order; or as many
        as there is room for in each class of machines."""
        if self._state != "open" or self.budget.over():
            return []
        rooms = Rooms(slots) if isinstance(slots, int) else slots
        return self._decide(rooms, self.budget.purse())

    def _decide(self, rooms: Rooms, purse: Purse | None) -> list[Decision]:
        def pays(trial: int, target: int) -> bool:
            assert purse is not None, "else it is not asked"
            return purse.pays(self.budget.need(trial, target))

        parts = self._ladder, self.top, self._brackets, self._rungs, self._hedges
        return decisions(*parts, self._num_trials, rooms, pays if purse else None)

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal; JournalError if it cannot follow those before."""
        try:
            kind = entry["type"]
            if kind == "completed":
                self._complete(entry)
            elif kind == "scheduled":
                self._schedule(entry)
            elif kind == "failed":
                if entry["final"]:
                    self._fail(entry)
            elif kind == "retried":
                self._retry(entry)
            elif kind == "paused":
                self._pause()
            elif kind == "resumed":
                self._resume()
            elif kind == "extended":
                self._extend(entry["changed"])
            elif kind in _ENDED:
                self._end(kind)
            elif kind not in _NEUTRAL:
                raise unknown(entry)
            if self.budget.limits:
                self.budget.apply(entry)
        except (KeyError, TypeError, AttributeError) as error:
            raise JournalError(f"malformed entry ({error!r}): {entry!r}") from error
        except JournalError as error:
            raise JournalError(f"entry {entry.get('id', 'without id')}: {error}") from None

    def explain(self, trial: int, rung: int) -> Explanation:
        """Why the trial was promoted out of this rung, or not, by the results so far.

        KeyError when it has no result there.
        """
        return self._rungs[self._brackets.of[trial]][rung].explain(trial)

    def goes_on(self, trial: int, rung: int) -> bool | None:
        """Whether a trial will be promoted out of this rung, whatever its rank there: True where
        everyone is, or may be, False where it was stopped; None where its rank decides."""
        if trial >= self.started:  # known to others earlier
            return True
        bracket = self._brackets.of[trial]
        if rung >= len(self._rungs[bracket]):
            return True
        held = self._rungs[bracket][rung]
        if isinstance(held, Stopping):
            return not held.stopped(trial)
        return None if self._hedges[bracket].ranks(rung) else True

    def doubt(self, trial: int, rung: int) -> Doubt:
        """How far ranks are relied on in this rung, and whether the trial is a test of them."""
        return self._hedges[self._brackets.of[trial]].doubt(trial, rung)

    def snapshot(self) -> dict[str, Any]:
        """The state as JSON, in one canonical form: equal states have equal texts."""
        return {
            "state": self._state,
            "levels": list(self._ladder.levels),
            "trials": self._num_trials,
            "started": self.started,
            "brackets": self._brackets.snapshot() if self._brackets.number > 1 else [],
            "open": [[trial, rung] for trial, rung in sorted(self._open.items())],
            "failed": [[trial, rung] for trial, rung in sorted(self._failed.items())],
            "rungs": [rung.snapshot() for rungs in self._rungs for rung in rungs],
            "hedge": [held for hedge in self._hedges for held in hedge.snapshot()],
            **({"pasha": self._pasha.snapshot()} if self._pasha else {}),
            **self.budget.snapshot(),
        }

    @classmethod
    def restore(cls, plan: Plan, snapshot: Mapping[str, Any]) -> Self:
        """The search whose snapshot this is, and whose plan it began with."""
        ladder = plan.ladder.with_levels(tuple(snapshot["levels"]))
        search = cls(replace(plan, ladder=ladder, num_trials=snapshot["trials"]))
        search._state = snapshot["state"]
        search._brackets.restore(snapshot.get("brackets") or [0] * snapshot["started"])
        search._open = dict(snapshot["open"])
        search._failed = dict(snapshot["failed"])
        rungs = (rung for rungs in search._rungs for rung in rungs)
        for rung, held in zip(rungs, snapshot["rungs"], strict=True):
            rung.restore(**held)
        search._hedges[0].restore(snapshot.get("hedge", []))
        if search._pasha:
            search._pasha.restore(snapshot["pasha"])
        search.budget.restore(snapshot.get("budget"))
        return search

    def _add_rungs(self) -> None:
        """The rungs that the ladder has, and the brackets have not yet."""
        for bracket, rungs in enumerate(self._rungs):
            while len(rungs) < self._ladder.rungs(bracket):
                rungs.append(self._plan.rung())
        for hedge in self._hedges:
            hedge.grow()

    # Each of the following validates everything before its first change.

    def _schedule(self, entry: Mapping[str, Any]) -> None:
        trial, bracket, rung = entry["trial"], entry["bracket"], entry["rung"]
        if self._state in _ENDED:
            raise JournalError(f"trial {trial} is scheduled after the end of the experiment")
        if not 0 <= bracket < self._brackets.number:
            raise JournalError(
                f"trial {trial} is scheduled in bracket {bracket}, which does not exist"
            )
        levels, known = self._ladder.levels, 0 <= trial < self.started
        if not 0 <= rung < len(levels) - bracket:
            raise JournalError(f"trial {trial} is scheduled for rung {rung}, which does not exist")
        target = levels[bracket + rung]
        if entry["target"] != target:
            raise JournalError(
                f"trial {trial} is scheduled to {entry['target']}, "
                f"but rung {rung} of bracket {bracket} ends at {target}"
            )
        if known and bracket != self._brackets.of[trial]:
            raise JournalError(
                f"trial {trial} is scheduled in bracket {bracket}, but it began in bracket "
                f"{self._brackets.of[trial]}"
            )
        if entry["attempt"] > 1:
            self._require_open(trial, rung)
        elif self._state == "paused":
            raise JournalError(f"trial {trial} is scheduled while the experiment is paused")
        elif trial in self._open:
            raise JournalError(f"trial {trial} is scheduled while it has an open segment")
        elif rung == 0:
            if trial != self.started or trial >= self._num_trials:
                raise JournalError(
                    f"trial {trial} is started as number {self.started} of {self._num_trials}"
                )
            self._open[trial] = 0
            self._brackets.start(bracket)
        elif bracket + rung > self.top:
            raise JournalError(f"trial {trial} cannot be promoted: rung {rung} is not opened yet")
        else:
            self._hedges[bracket].promote(trial, rung - 1)
            self._open[trial] = rung

    def _complete(self, entry: Mapping[str, Any]) -> None:
        trial, rung, metrics = entry["trial"], entry["rung"], entry["metrics"]
        if self._pasha is None:
            self._close(entry, metrics)
            return
        leading = self._goal.objectives[0]  # PASHA has no other
        loss, points = leading.loss(metrics), entry.get("curve") or ()
        curve = {step: leading.loss(reported) for step, reported in points}
        curve[self._ladder.levels[rung]] = loss
        self._close(entry, metrics)
        finite = {step: one for step, one in sorted(curve.items()) if math.isfinite(one)}
        self._pasha.result(trial, rung, loss, finite)

    def _close(self, entry: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        trial, rung = entry["trial"], entry["rung"]
        self._require_open(trial, rung)
        value = self._goal.value(metrics)
        del self._open[trial]
        self._hedges[self._brackets.of[trial]].add(trial, rung, value)

    def _fail(self, entry: Mapping[str, Any]) -> None:
        self._close(entry, {})
        self._failed[entry["trial"]] = entry["rung"]

    def _retry(self, entry: Mapping[str, Any]) -> None:
        trial, rung = entry["trial"], entry["rung"]
        self._require_not_cancelled()
        if self._failed.get(trial) != rung:
            raise JournalError(f"trial {trial} is retried, but has not failed in rung {rung}")
        del self._failed[trial]
        self._hedges[self._brackets.of[trial]].withdraw(trial, rung)
        self._open[trial] = rung
        self._reopen()

    def _pause(self) -> None:
        if self._state in _ENDED:
            raise JournalError("the experiment is paused after its end")
        self._state = "paused"

    def _resume(self) -> None:
        if self._state != "paused":
            raise JournalError("the experiment is resumed, but it is not paused")
        self._state = "open"

    def _extend(self, changed: Mapping[str, Any]) -> None:
        self._require_not_cancelled()
        if others := changed.keys() - set(EXTENDABLE):
            raise newer("an order to extend", f"it extends {', '.join(sorted(others))}")
        num_trials = self._num_trials
        if "num_samples" in changed:
            num_trials = changed["num_samples"] * self._grid_size
        if num_trials < self._num_trials:
            raise JournalError(f"{self._num_trials} trials cannot shrink to {num_trials}")
        try:
            ladder = self._ladder.extended(changed.get("max_t", self._ladder.max_t))
            self.budget.limits.extended(changed, self._goal)
        except SpecificationError as error:
            raise JournalError(str(error)) from None
        self._num_trials, self._ladder = num_trials, ladder
        self._brackets.climb(ladder)
        self._add_rungs()
        self._reopen()

    def _end(self, kind: str) -> None:
        if self._state in _ENDED:
            raise JournalError("the experiment has ended before")
        if self._state == "paused" and kind == "finished":
            raise JournalError("the experiment is finished while it is paused")
        if kind == "cancelled":
            self._open.clear()
        self._state = kind

    def _reopen(self) -> None:
        if self._state == "finished":
            self._state = "open"

    def _require_not_cancelled(self) -> None:
        if self._state == "cancelled":
            raise JournalError("the experiment goes on, but it was cancelled")

    def _require_open(self, trial: int, rung: int) -> None:
        if self._open.get(trial) != rung:
            raise JournalError(f"trial {trial} has no open segment of rung {rung}")
