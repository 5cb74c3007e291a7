"""The results at one level, and which of them may be promoted.

Rules

* The candidates are the best floor(n / eta) of all n results, promoted or not; promotable are the
  candidates that were not promoted yet. Equal values: the lower trial number is better.
* A value that is NaN, or infinite on the wrong side, counts in n, ranks last and is never promoted.
* Some results may not count in n, of trials that came here whatever their rank (`hedge.py`). They
  have their place among all others none the less.

Theory of operation

* Every result has one key, (loss, trial), smaller is better; no two are equal.
* Two heaps split the results: `_inside` holds the candidates with the worst on top, `_outside` all
  others with the best on top. A new result takes its place by at most two heap operations, since
  it moves the border between them by one result at most. So the border, the worst candidate's key,
  is always at hand, and a result is a candidate if its key does not exceed it.
* A third heap holds the results not promoted yet, best on top. Something is promotable if and only
  if its top is a candidate. Promoted ones are dropped from it when they come to the top.

A result and a promotion thus cost O(log n): a few microseconds, at a million results too. Only
taking a result back, which is a person's order, looks through the heap that holds it.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from asha_queue.errors import JournalError

#: Loss of a result that ranks last.
WORST = math.inf


def number(value: object) -> float:
    """A metric's value as a float: NaN for anything that is no number.

    Texts are read too, because JSON cannot hold "NaN", "Infinity" and "-Infinity" as numbers.
    """
    if isinstance(value, int | float | str):
        try:
            return float(value)
        except (ValueError, OverflowError):
            return math.nan
    return math.nan


def written(value: float) -> float | str:
    """The inverse of `number`: a float as JSON can hold it."""
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a trial was promoted out of a rung, or not.

    `rank` counts from 1 among all `n` results, of which the best `cut` are candidates, as many as
    the `counted` ones allow. `value` is None for a result that ranks last; `threshold` is the worst
    candidate's value, the one to beat, None if there is no candidate or if any number would do.
    """

    rank: int
    n: int
    counted: int
    cut: int
    value: float | None
    threshold: float | None
    promoted: bool


class Rung:
    """Results of one rung, for `mode` "min" or "max" and reduction factor `eta`."""

    def __init__(self, eta: int, mode: str) -> None:
        self._eta = eta
        self._sign = 1.0 if mode == "min" else -1.0
        self._losses: dict[int, float] = {}
        self._promoted: set[int] = set()
        self._uncounted: set[int] = set()
        self._inside: list[tuple[float, int]] = []  # negated keys: the worst candidate on top
        self._outside: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []

    def __len__(self) -> int:
        return len(self._losses)

    @property
    def promoted(self) -> int:
        """Trials that were promoted."""
        return len(self._promoted)

    def add(self, trial: int, value: float, counts: bool = True) -> None:
        """Adds the result of a trial that has none here yet; NaN counts and ranks last."""
        loss = self._loss(value)
        key = (loss, trial)
        self._losses[trial] = loss
        if loss != WORST:
            heapq.heappush(self._waiting, key)
        if self._inside and key < self._border():
            key = _negated(heapq.heapreplace(self._inside, _negated(key)))
        heapq.heappush(self._outside, key)
        if not counts:
            self._uncounted.add(trial)
        self._settle()

    def withdraw(self, trial: int) -> None:
        """Takes back a result that ranks last, so that the trial may have another one; O(n).

        There may be one candidate less then. What was promoted before stays promoted.
        """
        key = (self._losses.pop(trial), trial)
        if self._inside and key <= self._border():
            _remove(self._inside, _negated(key))
        else:
            _remove(self._outside, key)
        self._uncounted.discard(trial)
        self._settle()

    def discount(self, trials: Iterable[int]) -> None:
        """Counts all results in n but those of these trials."""
        self._uncounted = {trial for trial in trials if trial in self._losses}
        self._settle()

    def loss(self, trial: int) -> float:
        """A result's value as a loss, smaller is better; KeyError without one."""
        return self._losses[trial]

    def candidate(self, trial: int) -> bool:
        """Whether a trial is among the best, promoted or not."""
        loss = self._losses.get(trial, WORST)
        return loss != WORST and bool(self._inside) and (loss, trial) <= self._border()

    def promotable(self, limit: int, everyone: bool = False) -> list[int]:
        """The at most `limit` best trials that may be promoted now, best first; `everyone`: that
        are not among the best, too."""
        best: list[tuple[float, int]] = []
        if not self._inside and not everyone:
            return []
        waiting, promoted = self._waiting, self._promoted
        border = (WORST, 0) if everyone else self._border()
        while len(best) < limit and waiting and waiting[0] <= border:
            key = heapq.heappop(waiting)
            if key[1] not in promoted:
                best.append(key)
        for key in best:
            heapq.heappush(waiting, key)
        return [trial for _, trial in best]

    def lowest(self, limit: int, besides: Iterable[int]) -> list[int]:
        """The at most `limit` trials of the lowest numbers that wait, besides these; O(n)."""
        if limit < 1:
            return []
        waiting = {trial for _, trial in self._waiting} - self._promoted - set(besides)
        return heapq.nsmallest(limit, waiting)

    def promote(self, trial: int, whatever: bool = False) -> None:
        """Marks a trial as promoted, whatever its rank or only if that allows it; raises
        JournalError, and changes nothing, if it may not be."""
        loss = self._losses.get(trial)
        if loss is None:
            raise JournalError(f"trial {trial} cannot be promoted: it has no result in this rung")
        if trial in self._promoted:
            raise JournalError(f"trial {trial} cannot be promoted: it was promoted before")
        if loss == WORST if whatever else not self.candidate(trial):
            cut = len(self._inside)
            raise JournalError(
                f"trial {trial} cannot be promoted: it is not among the best {cut} of {len(self)}"
            )
        self._promoted.add(trial)

    def explain(self, trial: int) -> Explanation:
        """Why the trial was promoted, or not, by the results so far; O(n). KeyError without one."""
        loss = self._losses[trial]
        key = (loss, trial)
        return Explanation(
            rank=1 + sum((other, t) < key for t, other in self._losses.items()),
            n=len(self),
            counted=len(self) - len(self._uncounted),
            cut=len(self._inside),
            value=self._value(loss),
            threshold=self._value(self._border()[0]) if self._inside else None,
            promoted=trial in self._promoted,
        )

    def snapshot(self) -> dict[str, Any]:
        """What the rung holds, as JSON and in one canonical order."""
        results = [[t, written(self._sign * loss)] for t, loss in sorted(self._losses.items())]
        return {"results": results, "promoted": sorted(self._promoted)}

    def restore(self, results: Iterable[tuple[int, object]], promoted: Iterable[int]) -> None:
        """Fills an empty rung with what `snapshot` returned; a sorted list is a heap."""
        self._losses = {trial: self._loss(number(value)) for trial, value in results}
        self._promoted = set(promoted)
        ranked = sorted((loss, trial) for trial, loss in self._losses.items())
        cut = len(ranked) // self._eta
        self._inside = [_negated(key) for key in reversed(ranked[:cut])]
        self._outside = ranked[cut:]
        self._waiting = [key for key in ranked if key[0] != WORST and key[1] not in self._promoted]

    def _settle(self) -> None:
        """Moves the border to where it belongs."""
        cut = (len(self._losses) - len(self._uncounted)) // self._eta
        while len(self._inside) > cut:
            heapq.heappush(self._outside, _negated(heapq.heappop(self._inside)))
        while len(self._inside) < cut:
            heapq.heappush(self._inside, _negated(heapq.heappop(self._outside)))

    def _loss(self, value: float) -> float:
        """The smaller the better."""
        loss = self._sign * value
        return WORST if math.isnan(loss) else loss

    def _border(self) -> tuple[float, int]:
        """The worst candidate's key; there must be one."""
        return _negated(self._inside[0])

    def _value(self, loss: float) -> float | None:
        return None if loss == WORST else self._sign * loss


def _remove(heap: list[tuple[float, int]], key: tuple[float, int]) -> None:
    heap.remove(key)
    heapq.heapify(heap)


def _negated(key: tuple[float, int]) -> tuple[float, int]:
    """The key by which Python's heaps, which have the smallest on top, have the worst on top."""
    return (-key[0], -key[1])
