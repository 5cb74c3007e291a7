"""Which checkpoints there are, as the journal tells, and which of them nobody needs any more.

Rules

1. A trial with an open segment keeps all of them: its claim may rest on any.
2. A resting trial keeps its last two (the newest, and one to fall back to) while it may go on:
   while it is among the best floor(n / eta) + MARGIN * (1 + sqrt(n)) of its rung. A place in n
   settles as 1 / sqrt(n): of what is further away, two in a hundred at most come to be promotable
   (with few results too, hence the 1), and training those again is cheaper than keeping all. The
   top rung counts like the others: its best are what `extend` promotes.
3. Where everyone goes on, or may come to (`hedge.py`), a rung keeps everything but what diverged.
   Where trials are stopped, who was keeps nothing.
4. What has failed for good keeps its own, as `retry` goes on from there.
5. What is asked to be kept (the best results) stays in any case.
6. Above a limit of their number or bytes more go: first the ones to fall back to, then the newest,
   of failed trials first, then of the lowest level, the worst first. What runs is never touched, so
   it alone may exceed a limit.

An evicted trial that becomes promotable all the same is promoted: it trains again from the best
checkpoint left. A look need not be at all that hold a checkpoint: what came to rest since the last
one is looked at first, and of the others a few at a time, in turn. With limits it is.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from asha_queue.search.asha import Asha
from asha_queue.search.goal import Goal, Goals
from asha_queue.search.plan import Plan
from asha_queue.search.rung import Ranking

#: How far below the cut a trial's checkpoints are kept, in 1 + the root of the number of results.
MARGIN: Final = 1.0
#: Checkpoints that a trial keeps which may go on.
LAST: Final = 2


class Surplus(NamedTuple):
    """What a resting trial is to keep: so many of its newest, and those in `keep`."""

    trial: int
    rung: int
    newest: int
    keep: tuple[str, ...]


@dataclass(slots=True)
class _Held:
    """The checkpoints of a trial, path to bytes, oldest first."""

    sizes: dict[str, int] = field(default_factory=dict)
    bracket: int = 0
    rung: int = 0
    open: bool = True
    failed: bool = False
    #: What was asked to be kept of it last, of which there may be less.
    asked: tuple[int, tuple[str, ...]] | None = None


class Holdings:
    """The checkpoints of one experiment; `most` of them, and `most_bytes`, are its limits."""

    def __init__(self, plan: Plan, most: int | None = None, most_bytes: int | None = None) -> None:
        self._goal: Goal | Goals = plan.goal
        self._eta = plan.ladder.reduction_factor
        self._most, self._most_bytes = most, most_bytes
        self._rungs: dict[tuple[int, int], Ranking] = {}
        self._brackets: dict[int, int] = {}
        self._held: dict[int, _Held] = {}
        #: Trials that came to rest since the last look, and those whose turn comes next.
        self._rested: dict[int, None] = {}
        self._turn: list[int] = []

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal."""
        kind = entry["type"]
        if kind == "scheduled":
            self._brackets[entry["trial"]] = entry["bracket"]
            if held := self._held.get(entry["trial"]):
                held.open, held.failed, held.asked = True, False, None
        elif kind in ("completed", "suspended", "failed", "lost"):
            self._leave(entry)
        elif kind == "retried":
            self._rung(self._brackets[entry["trial"]], entry["rung"]).withdraw(entry["trial"])
        elif kind == "evicted" and (held := self._held.get(entry["trial"])):
            for path in entry["checkpoints"]:
                held.sizes.pop(path, None)
            if not held.sizes:
                del self._held[entry["trial"]]

    @property
    def count(self) -> int:
        """Checkpoints there are."""
        return sum(len(held.sizes) for held in self._held.values())

    @property
    def limited(self) -> bool:
        """Whether there is a limit of their number or bytes."""
        return self._most is not None or self._most_bytes is not None

    def surplus(
        self, search: Asha, keep: Collection[str] = (), some: int | None = None
    ) -> list[Surplus]:
        """What may go now, by the present `search`; `keep` has the paths that stay in any case.
        Without limits, `some`: looks at what is new, and at so many of the others."""
        looked = self._next(len(self._held) if some is None or self.limited else some)
        resting = {t: held for t in looked if (held := self._held.get(t)) and not held.open}
        newest = {t: LAST if self._needed(t, held, search) else 0 for t, held in resting.items()}
        if self.limited:
            self._limit(resting, newest)
        found = []
        for trial, held in resting.items():
            kept = tuple(path for path in held.sizes if path in keep)
            if held.asked != (newest[trial], kept):
                found.append(Surplus(trial, held.rung, newest[trial], kept))
        return found

    def _next(self, some: int) -> Iterable[int]:
        """What came to rest since the last call, and so many of the others."""
        rested, self._rested = self._rested, {}
        if some >= len(self._held):
            return self._held
        if not self._turn:
            self._turn = [*self._held]
        rested |= dict.fromkeys(self._turn[-some:])
        del self._turn[-some:]
        return rested

    def asked(self, surplus: Collection[Surplus]) -> None:
        """These were evicted, or the store passed them over."""
        for one in surplus:
            if held := self._held.get(one.trial):
                held.asked = one.newest, one.keep

    def _leave(self, entry: Mapping[str, Any]) -> None:
        trial, rung, saved = entry["trial"], entry["rung"], entry.get("checkpoint")
        bracket = self._brackets.get(trial, 0)
        if saved:
            self._held.setdefault(trial, _Held()).sizes[saved["path"]] = saved.get("bytes", 0)
        completed = entry["type"] == "completed"
        final = entry["type"] == "failed" and bool(entry["final"])
        if completed or final:
            metrics = entry["metrics"] if completed else {}
            self._rung(bracket, rung).add(trial, self._goal.value(metrics))
            if held := self._held.get(trial):
                held.bracket, held.rung = bracket, rung
                held.open, held.failed, held.asked = False, final, None
                self._rested[trial] = None

    def _rung(self, bracket: int, rung: int) -> Ranking:
        place = bracket, rung
        if place not in self._rungs:
            self._rungs[place] = self._goal.rung(self._eta, MARGIN)
        return self._rungs[place]

    def _needed(self, trial: int, held: _Held, search: Asha) -> bool:
        if held.failed:
            return True
        goes_on = search.goes_on(trial, held.rung)
        if goes_on is None:
            return self._rung(held.bracket, held.rung).candidate(trial)
        return goes_on

    def _limit(self, resting: Mapping[int, _Held], newest: dict[int, int]) -> None:
        """Lowers what is kept, of the worst first, until the limits are met."""
        held = self._held.items()
        sizes = {t: [*of.sizes.values()][-newest.get(t, len(of.sizes)) :] for t, of in held}
        sizes |= {trial: [] for trial, kept in newest.items() if kept == 0}
        count, total = sum(map(len, sizes.values())), sum(map(sum, sizes.values()))
        worst = sorted(resting, key=lambda t: self._standing(t, resting[t]), reverse=True)
        for left in range(LAST - 1, -1, -1):
            for trial in worst:
                over = self._most is not None and count > self._most
                over |= self._most_bytes is not None and total > self._most_bytes
                if not over:
                    return
                while len(sizes[trial]) > left:
                    count, total = count - 1, total - sizes[trial].pop(0)
                newest[trial] = min(newest[trial], left)

    def _standing(self, trial: int, held: _Held) -> tuple[Any, ...]:
        """The larger, the sooner it goes."""
        losses = self._rung(held.bracket, held.rung).losses(trial)
        return held.failed, -(held.bracket + held.rung), losses, trial
