"""Which trials go on out of a rung, and when: the rules that differ between variants.

Rules

* "promotion": whoever is among the best floor(n / eta) of all n results so far may go on at any
  time, also when the result came long ago. That is the rung itself (`rung.py`).
* "delayed": as promotion, but a rung promotes no more than floor(n / eta) in all: the next one
  waits until the rung has eta results for each promotion made and for this one. Plain promotion
  exceeds that where early ones were mistaken. Source: D-ASHA in Li et al., "Hyper-Tune: Towards
  Efficient Hyper-parameter Tuning at Scale", VLDB 2022, arXiv 2201.06834.
* "stopping": the verdict falls when the result arrives, once and for good. The trial goes on at
  once if it is among the best floor(n / eta) of the results so far, its own included, or if n <
  eta; else it is stopped. A result that ranks last never goes on. Whoever goes on does so before
  new trials are started, those of one rung in the order of their results. Nobody waits, so no
  checkpoint of a waiting trial is needed; what is stopped wrongly is lost. It is the rule that Ray
  Tune's and Syne Tune's schedulers of this name play, with the paper's ranks.
* "pasha": as promotion, on a ladder whose top rises (`pasha.py`).

Each is a rung to those who use it: results in, and the trials that may go on out. They are built
around any rung that a goal makes, from what all rungs can do.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from asha_queue.errors import JournalError
from asha_queue.search.rung import Explanation, Ranking


class Delayed:
    """A rung that promotes no more than one trial for each `eta` results."""

    def __init__(self, make: Callable[[], Ranking], eta: int) -> None:
        self._rung = make()
        self._eta = eta

    def __len__(self) -> int:
        return len(self._rung)

    def add(self, trial: int, value: Any, counts: bool = True) -> None:
        self._rung.add(trial, value, counts)

    def withdraw(self, trial: int) -> None:
        self._rung.withdraw(trial)

    def promotable(self, limit: int, everyone: bool = False) -> list[int]:
        return self._rung.promotable(max(0, min(limit, self._left)), everyone)

    def promote(self, trial: int) -> None:
        if self._left <= 0:
            raise JournalError(
                f"trial {trial} cannot be promoted: {self._rung.promoted} of {len(self)} were "
                f"promoted, which is all that may be yet"
            )
        self._rung.promote(trial)

    def explain(self, trial: int) -> Explanation:
        return self._rung.explain(trial)

    def snapshot(self) -> dict[str, Any]:
        return self._rung.snapshot()

    def restore(self, results: Iterable[tuple[int, Any]], promoted: Iterable[int]) -> None:
        self._rung.restore(results, promoted)

    @property
    def _left(self) -> int:
        """Trials that may be promoted before there are more results."""
        return len(self._rung) // self._eta - self._rung.promoted


class Stopping:
    """A rung whose verdicts fall as results arrive."""

    def __init__(self, make: Callable[[], Ranking], eta: int) -> None:
        self._make = make
        self._rung = make()
        self._eta = eta
        self._order: dict[int, None] = {}  # trials, as their results arrived
        self._going: dict[int, None] = {}  # those that go on, but are not scheduled yet
        self._gone: set[int] = set()

    def __len__(self) -> int:
        return len(self._rung)

    def add(self, trial: int, value: Any, counts: bool = True) -> None:
        self._rung.add(trial, value, counts)
        self._order[trial] = None
        try:
            self._rung.promote(trial, whatever=len(self._rung) < self._eta)
        except JournalError:  # and nothing has changed
            return
        self._going[trial] = None

    def withdraw(self, trial: int) -> None:
        self._rung.withdraw(trial)
        del self._order[trial]

    def promotable(self, limit: int, everyone: bool = False) -> list[int]:
        return list(itertools.islice(self._going, max(0, limit)))

    def promote(self, trial: int) -> None:
        if trial not in self._going:
            why = "it went on before" if trial in self._gone else "it was stopped"
            if trial not in self._order:
                why = "it has no result in this rung"
            raise JournalError(f"trial {trial} cannot go on: {why}")
        del self._going[trial]
        self._gone.add(trial)

    def goes_on(self, trial: int) -> bool:
        """Whether the trial was not stopped here."""
        return trial in self._going or trial in self._gone

    def stopped(self, trial: int) -> bool:
        """Whether it was stopped here, for good."""
        return trial in self._order and not self.goes_on(trial)

    def explain(self, trial: int) -> Explanation:
        """The verdict, by the results that there were; O(n log n). KeyError without a result."""
        results = {held[0]: held for held in self._rung.snapshot()["results"]}
        before = self._make()
        arrived = itertools.takewhile(lambda other: other != trial, self._order)
        before.restore([results[t] for t in (*arrived, trial)], [])
        return replace(before.explain(trial), promoted=self.goes_on(trial))

    def snapshot(self) -> dict[str, Any]:
        """What the rung holds, as JSON; verdicts are kept as they fell."""
        return {
            **self._rung.snapshot(),
            "order": list(self._order),
            "going": list(self._going),
            "gone": sorted(self._gone),
        }

    def restore(
        self,
        results: Iterable[tuple[int, Any]],
        promoted: Iterable[int],
        order: Iterable[int],
        going: Iterable[int],
        gone: Iterable[int],
    ) -> None:
        self._rung.restore(results, promoted)
        self._order, self._going = dict.fromkeys(order), dict.fromkeys(going)
        self._gone = set(gone)


AnyRung = Ranking | Delayed | Stopping

_AROUND: Final[Mapping[str, type[Delayed | Stopping]]] = {"delayed": Delayed, "stopping": Stopping}


#: All that there are.
VARIANTS: Final = ("promotion", *_AROUND, "pasha")


def rung(variant: str, make: Callable[[], Ranking], eta: int) -> AnyRung:
    """An empty rung of a variant, around those that `make` makes."""
    return _AROUND[variant](make, eta) if variant in _AROUND else make()
