"""What an experiment has used of its budgets: a fold of its journal, in which all decisions agree.

Rules

1. `resource_budget` is in units of resource that attempts have trained, as their ends tell:
   `reached` less the `start` they began at, of those that failed or were lost too. What an open
   segment still needs is reserved when it is scheduled: from the trial's newest checkpoint to the
   target. A new segment is decided only if all of it fits into what is neither trained nor
   reserved; so nothing is scheduled that would exceed the budget.
2. Of the decisions in their order (`asha.py`) one that does not fit is passed over, with the others
   of its rung, and the next that fits is taken. So a budget that cannot pay for the top any more is
   spent below it. Nothing open and nothing that fits: the budget is used.
3. What was not reserved counts all the same: that which failures, losses and checkpoints that are
   gone make train again. Open segments go on to their end, so only this may exceed the budget.
4. `time_budget` is in seconds on the server's clock while the experiment is open: since its
   submission, less pauses, and less the time from its end to its extension. The entries tell how
   many; whoever knows a later time of that clock may say it. No other clock counts.
5. `stop_at` is reached by one completed result, in any rung, that is as good in every metric named,
   and meets the constraints. Values on the way to a rung are none: nothing of them is kept.
6. When the time is used or `stop_at` is reached, nothing new is decided. What runs is drained: it
   saves, and the rest of its segment stays queued, like what nobody had begun. Then the experiment
   finishes. Nothing is lost: when a budget is raised, the queued segments go on first.
7. Times and what is reserved come from entries that decide something, as a decision is refused
   when one of those was not folded: whoever may schedule has the same figures.
"""

from collections.abc import Mapping
from typing import Any, Final

from asha_queue.search.goal import Goal, Goals
from asha_queue.search.limits import Limits
from asha_queue.search.rung import number

_ENDS: Final = ("completed", "suspended", "failed", "lost")
_MICRO: Final = 1_000_000


class Clock:
    """The time for which an experiment was open, in whole microseconds as entries have them."""

    def __init__(self) -> None:
        self._used = 0
        #: When it was opened, or None while it is not open.
        self._since: int | None = None
        self._ended = False

    def apply(self, kind: str, at: float) -> None:
        """Folds an entry of this type and time."""
        if kind in ("submitted", "resumed") or (self._ended and kind in ("extended", "retried")):
            self._since, self._ended = round(at * _MICRO), False
        elif kind in ("paused", "finished", "cancelled"):
            self._used = self._at(at)
            self._since, self._ended = None, kind != "paused"

    def seconds(self, now: float) -> float:
        """Seconds for which it was open, up to the server's time `now`."""
        return self._at(now) / _MICRO

    def snapshot(self) -> list[Any]:
        return [self._used, self._since, self._ended]

    def restore(self, used: int, since: int | None, ended: bool) -> None:
        self._used, self._since, self._ended = used, since, ended

    def _at(self, now: float) -> int:
        if self._since is None:
            return self._used
        return self._used + max(0, round(now * _MICRO) - self._since)


class Purse:
    """What decisions that are taken together may still spend."""

    def __init__(self, left: int) -> None:
        self._left = left

    def pays(self, need: int) -> bool:
        """Takes so many units out, if there are as many."""
        if need > self._left:
            return False
        self._left -= need
        return True


class Budget:
    """The account of one experiment; without limits nothing is folded and nothing held."""

    def __init__(self, limits: Limits, goal: Goal | Goals) -> None:
        self.limits = limits
        self._goal = goal
        #: Units that ended attempts have trained.
        self.trained = 0
        self._reserved: dict[int, int] = {}  # by trial with an open segment
        self._committed = 0  # the sum of these
        self._starts: dict[int, int] = {}  # where attempts that run began
        self._saved: dict[int, int] = {}  # resource of each trial's newest checkpoint
        self._clock = Clock()
        self._latest = 0.0  # time of the last entry that decides
        #: Trial, resource and values of the results that have reached `stop_at`.
        self._met: list[tuple[int, int, dict[str, float]]] = []

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry, which the search has found to be right, where there are limits."""
        kind = entry["type"]
        if kind == "extended":
            self._extend(entry["changed"])
        self._tell_time(kind, entry)
        if kind == "scheduled":
            self._reserve(entry["trial"], entry["target"])
        elif kind == "started":
            start = _whole(entry.get("start")) or 0
            self._starts[entry["trial"]] = self._saved[entry["trial"]] = start
        elif kind in _ENDS:
            self._settle(kind, entry)
        elif kind == "evicted" and entry["trial"] in self._saved:
            self._saved[entry["trial"]] = _whole(entry.get("left")) or 0
        elif kind == "cancelled":
            self._reserved.clear()
            self._committed = 0

    def need(self, trial: int, target: int) -> int:
        """Units that it takes to train a trial up to there."""
        return max(0, target - self._saved.get(trial, 0))

    def purse(self) -> Purse | None:
        """What new segments may spend; None: anything."""
        budget = self.limits.resource
        return None if budget is None else Purse(budget - self.trained - self._committed)

    def over(self, now: float | None = None) -> str:
        """Why the experiment is to be ended whatever is open, in words; empty if it is not. `now`
        is the server's time, if a later one than that of the last decision is known."""
        if self._met:
            trial, resource, values = self._met[0]
            asked = " and ".join(map(str, self.limits.stop_at))
            found = " and ".join(f"{values[bound.metric]:.6g}" for bound in self.limits.stop_at)
            return f"stop_at {asked} is reached: {found} by trial {trial} at {resource}"
        budget = self.limits.seconds
        if budget is None or (used := self.seconds(now)) < budget:
            return ""
        return (
            f"time_budget of {budget:g} s is used: {used:.1f} s since the submission, pauses not "
            f"counted"
        )

    def used_up(self, need: int) -> str:
        """Why nothing is decided any more, when the next segment needs so much, in words."""
        return (
            f"resource_budget of {self.limits.resource} is used: {self.trained} trained, the next "
            f"segment needs {need}"
        )

    def seconds(self, now: float | None = None) -> float:
        """Seconds for which the experiment was open."""
        return self._clock.seconds(max(self._latest, now or 0.0))

    def snapshot(self) -> dict[str, Any]:
        """The account as JSON; nothing of one without limits."""
        if not self.limits:
            return {}
        held = {
            "limits": self.limits.fields,
            "trained": self.trained,
            "reserved": _pairs(self._reserved),
            "starts": _pairs(self._starts),
            "saved": _pairs(self._saved),
            "clock": self._clock.snapshot(),
            "latest": self._latest,
            "met": [[trial, resource, dict(values)] for trial, resource, values in self._met],
        }
        return {"budget": held}

    def restore(self, held: Mapping[str, Any] | None) -> None:
        """Fills an empty account with what `snapshot` returned."""
        if held is None:
            return
        self.limits = Limits.of(held["limits"], self._goal)
        self.trained, self._latest = held["trained"], held["latest"]
        self._reserved = dict(held["reserved"])
        self._committed = sum(self._reserved.values())
        self._starts, self._saved = dict(held["starts"]), dict(held["saved"])
        self._clock.restore(*held["clock"])
        self._met = [(trial, resource, dict(values)) for trial, resource, values in held["met"]]

    def _tell_time(self, kind: str, entry: Mapping[str, Any]) -> None:
        at = entry.get("at")
        neutral = kind in ("started", "suspended", "lost", "warning", "evicted")
        if not isinstance(at, int | float) or neutral or (kind == "failed" and not entry["final"]):
            return
        self._clock.apply(kind, at)
        self._latest = max(self._latest, at)

    def _extend(self, changed: Mapping[str, Any]) -> None:
        self.limits = self.limits.extended(changed, self._goal)
        self._met = [one for one in self._met if self.limits.reached(one[2], self._goal)]

    def _reserve(self, trial: int, target: int) -> None:
        self._release(trial)
        self._reserved[trial] = self.need(trial, target)
        self._committed += self._reserved[trial]

    def _release(self, trial: int) -> None:
        self._committed -= self._reserved.pop(trial, 0)

    def _settle(self, kind: str, entry: Mapping[str, Any]) -> None:
        """Books an attempt that has ended."""
        trial, reached = entry["trial"], _whole(entry.get("reached"))
        saved = entry.get("checkpoint")
        self._release(trial)
        start = self._starts.pop(trial, None)
        if start is not None and reached is not None:
            self.trained += max(0, reached - start)
        if isinstance(saved, Mapping):
            self._saved[trial] = _whole(saved.get("resource")) or 0
        elif kind == "lost" or "witness" in entry:  # names the newest there is
            self._saved[trial] = 0
        if kind == "completed" and self.limits.reached(entry["metrics"], self._goal):
            metrics = entry["metrics"]
            values = {one: number(metrics.get(one)) for one in self._named}
            self._met.append((trial, reached or 0, values))

    @property
    def _named(self) -> list[str]:
        """The metrics that a reached `stop_at` is told by, and judged by once it is raised."""
        bounds = (*self.limits.stop_at, *self._goal.constraints)
        return list(dict.fromkeys(bound.metric for bound in bounds))


def _whole(value: Any) -> int | None:
    """A whole number of an entry, or nothing: what is malformed must not be half applied."""
    return value if isinstance(value, int) else None


def _pairs(of: Mapping[int, int]) -> list[list[int]]:
    """A dict as JSON in one canonical form."""
    return [[key, value] for key, value in sorted(of.items())]
