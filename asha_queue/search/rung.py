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
  it moves the border between them by one result at most. The border, the worst candidate's key, is
  kept beside them, and a result is a candidate if its key does not exceed it.
* A third heap holds the results not promoted yet, best on top. Something is promotable if and only
  if its top is a candidate. Promoted ones are dropped from it when they come to the top.

With constraints a loss is a pair, see `Constrained`; nothing else is different.

A result and a promotion thus cost O(log n): a few microseconds, at a million results too. Only
taking a result back, which is a person's order, looks through the heap that holds it.
"""

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from asha_queue.errors import JournalError


def number(value: object) -> float:
    """A metric's value as a float: NaN for anything that is no number.

    Texts are read too, because JSON cannot hold "NaN", "Infinity" and "-Infinity" as numbers.
    """
    if type(value) is float:
        return value
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


#: A loss (a number, or a pair of them) and a trial's number.
Key = tuple[Any, int]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a trial was promoted out of a rung, or not.

    `rank` counts from 1 among all `n` results, of which the best `cut` are candidates, as many as
    the `counted` ones allow. `value` is None for a result that ranks last; `threshold` is the worst
    candidate's value, the one to beat, None if there is no candidate or if any number would do.

    `violation` is how far the result is from meeting the constraints. With several metrics `value`
    is that of the first, `front` counts from 1, the results that no other beats in everything, and
    `crowding` is the distance to the neighbours in that front, which decides within it; both are
    None for what violates a constraint or ranks last.
    """

    rank: int
    n: int
    counted: int
    cut: int
    value: float | None
    threshold: float | None
    promoted: bool
    violation: float = 0.0
    front: int | None = None
    crowding: float | None = None


class Standing(NamedTuple):
    """What a result is ranked by where a number is not enough: by how much it violates the
    constraints, and its values of the metrics that are ranked by."""

    violation: float
    values: tuple[float, ...]


class Ranking(Protocol):
    """A rung's results, whatever they are ranked by; `Rung` says what each method does."""

    def __len__(self) -> int: ...
    @property
    def promoted(self) -> int: ...
    def add(self, trial: int, value: Any, counts: bool = True) -> None: ...
    def withdraw(self, trial: int) -> None: ...
    def discount(self, trials: Iterable[int]) -> None: ...
    def losses(self, trial: int) -> tuple[Any, ...]: ...
    def candidate(self, trial: int) -> bool: ...
    def promotable(self, limit: int, everyone: bool = False) -> list[int]: ...
    def lowest(self, limit: int, besides: Iterable[int]) -> list[int]: ...
    def promote(self, trial: int, whatever: bool = False) -> None: ...
    def explain(self, trial: int) -> Explanation: ...
    def snapshot(self) -> dict[str, Any]: ...
    def restore(self, results: Iterable[Any], promoted: Iterable[int]) -> None: ...


def cut(n: int, eta: int, margin: float) -> int:
    """How many of `n` results are candidates."""
    return min(n, n // eta + int(margin * (1 + math.sqrt(n))))


class Rung:
    """Results of one rung, for `mode` "min" or "max" and reduction factor `eta`; `margin` times
    1 + sqrt(n) more are candidates for whoever looks at who may become one (`holdings.py`)."""

    #: Loss of a result that ranks last.
    _worst: Any = math.inf

    def __init__(self, eta: int, mode: str, margin: float = 0.0) -> None:
        self._eta = eta
        self._margin = margin
        self._sign = 1.0 if mode == "min" else -1.0
        self._losses: dict[int, Any] = {}
        self._promoted: set[int] = set()
        self._uncounted: set[int] = set()
        self._inside: list[Key] = []  # negated keys: the worst candidate on top
        self._outside: list[Key] = []
        self._waiting: list[Key] = []
        self._border: Key | None = None  # the worst candidate's, if there is one

    def __len__(self) -> int:
        return len(self._losses)

    @property
    def promoted(self) -> int:
        """Trials that were promoted."""
        return len(self._promoted)

    def add(self, trial: int, value: Any, counts: bool = True) -> None:
        """Adds the result of a trial that has none here yet; NaN counts and ranks last."""
        loss = self._loss(value)
        key, border = (loss, trial), self._border
        self._losses[trial] = loss
        if loss != self._worst:
            heapq.heappush(self._waiting, key)
        if border is not None and key < border:
            heapq.heapreplace(self._inside, _negated(key))
            key, self._border = border, _negated(self._inside[0])
        heapq.heappush(self._outside, key)
        if not counts:
            self._uncounted.add(trial)
        self._settle()

    def withdraw(self, trial: int) -> None:
        """Takes back a result that ranks last, so that the trial may have another one; O(n).

        There may be one candidate less then. What was promoted before stays promoted.
        """
        key = (self._losses.pop(trial), trial)
        if self._border is not None and key <= self._border:
            _remove(self._inside, _negated(key))
            self._border = _negated(self._inside[0]) if self._inside else None
        else:
            _remove(self._outside, key)
        self._uncounted.discard(trial)
        self._settle()

    def discount(self, trials: Iterable[int]) -> None:
        """Counts all results in n but those of these trials."""
        self._uncounted = {trial for trial in trials if trial in self._losses}
        self._settle()

    def losses(self, trial: int) -> tuple[Any, ...]:
        """A result's value as a loss, smaller is better; KeyError without one."""
        return (self._losses[trial],)

    def candidate(self, trial: int) -> bool:
        """Whether a trial is among the best, promoted or not."""
        loss, border = self._losses.get(trial, self._worst), self._border
        return border is not None and loss != self._worst and (loss, trial) <= border

    def promotable(self, limit: int, everyone: bool = False) -> list[int]:
        """The at most `limit` best trials that may be promoted now, best first; `everyone`: that
        are not among the best, too."""
        border = (self._worst, 0) if everyone else self._border
        waiting, promoted = self._waiting, self._promoted
        while waiting and waiting[0][1] in promoted:
            heapq.heappop(waiting)
        if border is None or limit < 1 or not waiting or waiting[0] > border:
            return []
        if limit == 1:  # as a rule: one slot has become free
            return [waiting[0][1]]
        best: list[Key] = []
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
        if loss == self._worst if whatever else not self.candidate(trial):
            best = len(self._inside)
            raise JournalError(
                f"trial {trial} cannot be promoted: it is not among the best {best} of {len(self)}"
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
            threshold=self._value(self._border[0]) if self._border else None,
            promoted=trial in self._promoted,
        )

    def snapshot(self) -> dict[str, Any]:
        """What the rung holds, as JSON and in one canonical order."""
        results = [[t, *self._written(loss)] for t, loss in sorted(self._losses.items())]
        return {"results": results, "promoted": sorted(self._promoted)}

    def restore(self, results: Iterable[Any], promoted: Iterable[int]) -> None:
        """Fills an empty rung with what `snapshot` returned; a sorted list is a heap."""
        self._losses = {trial: self._loss(self._read(*held)) for trial, *held in results}
        self._promoted = set(promoted)
        ranked = sorted(zip(self._losses.values(), self._losses, strict=True))
        best = cut(len(ranked), self._eta, self._margin)
        self._inside = [_negated(key) for key in reversed(ranked[:best])]
        self._border = ranked[best - 1] if best else None
        self._outside = ranked[best:]
        worst, promoted = self._worst, self._promoted
        self._waiting = [key for key in ranked if key[1] not in promoted and key[0] != worst]

    def _settle(self) -> None:
        """Moves the border to where it belongs."""
        n, inside = len(self._losses) - len(self._uncounted), self._inside
        best = cut(n, self._eta, self._margin) if self._margin else n // self._eta
        if len(inside) == best:
            return
        while len(inside) > best:
            heapq.heappush(self._outside, _negated(heapq.heappop(inside)))
        while len(inside) < best:
            heapq.heappush(inside, _negated(heapq.heappop(self._outside)))
        self._border = _negated(inside[0]) if inside else None

    def _loss(self, value: Any) -> Any:
        """The smaller the better."""
        loss: float = self._sign * value
        return math.inf if math.isnan(loss) else loss

    def _written(self, loss: Any) -> list[Any]:
        """What `snapshot` holds of a result."""
        return [written(self._sign * loss)]

    def _read(self, *held: Any) -> Any:
        """The value of which a snapshot holds this."""
        return number(held[0])

    def _value(self, loss: Any) -> float | None:
        return None if loss == math.inf else self._sign * loss


class _Pair(NamedTuple):
    """A violation and a loss, compared in this order."""

    violation: float
    loss: float

    def __neg__(self) -> "_Pair":
        return _Pair(-self.violation, -self.loss)


class Constrained(Rung):
    """Results of one rung that are ranked by violation first, then by their one value."""

    _worst = _Pair(math.inf, math.inf)

    def explain(self, trial: int) -> Explanation:
        loss = self._losses[trial]
        border = self._border[0] if self._border else self._worst
        # what violates more, or less, has no value to beat
        same = border.violation == loss.violation
        return replace(
            super().explain(trial),
            threshold=self._value(border) if same else None,
            violation=loss.violation,
        )

    def _loss(self, value: Standing) -> _Pair:
        loss = super()._loss(value.values[0])
        if math.inf in (loss, value.violation):
            return self._worst
        return _Pair(value.violation, loss)

    def _written(self, loss: _Pair) -> list[Any]:
        return [written(loss.violation), [written(self._sign * loss.loss)]]

    def _read(self, violation: Any, values: list[Any]) -> Standing:
        return Standing(number(violation), (number(values[0]),))

    def _value(self, loss: _Pair) -> float | None:
        return super()._value(loss.loss)


def _remove(heap: list[Key], key: Key) -> None:
    heap.remove(key)
    heapq.heapify(heap)


def _negated(key: Key) -> Key:
    """The key by which Python's heaps, which have the smallest on top, have the worst on top."""
    return (-key[0], -key[1])
