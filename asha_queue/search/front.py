"""The results at one level where several metrics count, and which of them may be promoted.

Rules

* The order is by total violation, then by front, then by crowding, then by trial number. It is one
  order of all n results, promoted or not; as in `rung.py` the candidates are the best
  floor(n / eta), and promotable are those of them that were not promoted yet.
* One result dominates another if it is as good in every metric and better in one. Front 1 holds
  what none dominates, front k what none dominates once the fronts before it are taken away. Only
  results of equal violation are compared so: meeting the constraints comes first.
* Crowding is the distance between a result's neighbours within its front, in each metric as a share
  of what the front spans there, summed; the ends of a front have an infinite one. More is better:
  it keeps what is promoted spread along the front. Equal values stand in the order of the trials'
  numbers; a span of 0, or too large for a number, counts for nothing.
* A result with a value that is missing or not finite, or with an infinite violation, counts in n,
  ranks last and is never promoted.

Theory of operation

The order depends on all results at once, so it is made anew when it is asked for and results have
come since. For two metrics the fronts are found in O(n log n), by one pass over the results sorted
by the first metric that keeps the best second one of each front; for more in O(n^2), in blocks.

Sources: the order is that of NSGA-II, Deb et al., IEEE Transactions on Evolutionary Computation
6 (2), 2002; within a rung it is MO-ASHA's, Schmucker et al., arXiv 2106.12639.
"""

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from asha_queue.errors import JournalError
from asha_queue.search.rung import Explanation, Standing, cut, number, written

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Points whose dominators are looked for at a time.
BLOCK = 128


class Order(NamedTuple):
    """What can be ranked, the best first."""

    trials: list[int]
    #: From 0, by trial.
    ranks: dict[int, int]
    fronts: Ints
    crowding: Floats


class Front:
    """Results of one rung, for the modes "min" or "max" of each metric and reduction factor `eta`;
    the methods are those of `Rung`."""

    def __init__(self, eta: int, modes: Sequence[str], margin: float = 0.0) -> None:
        self._eta = eta
        self._margin = margin
        self._signs = np.array([1.0 if mode == "min" else -1.0 for mode in modes])
        self._results: dict[int, Standing] = {}
        #: Those that can be ranked: violation and values.
        self._ranked: dict[int, tuple[float, ...]] = {}
        self._promoted: set[int] = set()
        self._uncounted: set[int] = set()
        #: None when results have come since.
        self._order: Order | None = None

    def __len__(self) -> int:
        return len(self._results)

    @property
    def promoted(self) -> int:
        return len(self._promoted)

    def add(self, trial: int, value: Standing, counts: bool = True) -> None:
        self._results[trial] = value
        if value.violation < math.inf and all(map(math.isfinite, value.values)):
            self._ranked[trial] = (value.violation, *value.values)
        if not counts:
            self._uncounted.add(trial)
        self._order = None

    def withdraw(self, trial: int) -> None:
        del self._results[trial]
        self._ranked.pop(trial, None)
        self._uncounted.discard(trial)
        self._order = None

    def discount(self, trials: Iterable[int]) -> None:
        self._uncounted = {trial for trial in trials if trial in self._results}

    def losses(self, trial: int) -> tuple[float, ...]:
        """In each metric; constraints are not compared."""
        ranked = self._ranked.get(trial)
        if ranked is None:
            return (math.inf,) * len(self._signs)
        return tuple((np.array(ranked[1:]) * self._signs).tolist())

    def candidate(self, trial: int) -> bool:
        return self._ordered().ranks.get(trial, self._cut) < self._cut

    def promotable(self, limit: int, everyone: bool = False) -> list[int]:
        limited = len(self._ranked) if everyone else self._cut
        if not limited:
            return []
        best = (trial for trial in self._ordered().trials[:limited] if trial not in self._promoted)
        return list(islice(best, limit))

    def lowest(self, limit: int, besides: Iterable[int]) -> list[int]:
        waiting = self._ranked.keys() - self._promoted - set(besides)
        return heapq.nsmallest(max(limit, 0), waiting)

    def promote(self, trial: int, whatever: bool = False) -> None:
        if trial not in self._results:
            raise JournalError(f"trial {trial} cannot be promoted: it has no result in this rung")
        if trial in self._promoted:
            raise JournalError(f"trial {trial} cannot be promoted: it was promoted before")
        if trial not in self._ranked if whatever else not self.candidate(trial):
            raise JournalError(
                f"trial {trial} cannot be promoted: it is not among the best {self._cut} of "
                f"{len(self)}"
            )
        self._promoted.add(trial)

    def explain(self, trial: int) -> Explanation:
        violation, values = self._results[trial]
        order = self._ordered()
        place = order.ranks.get(trial)
        if place is None:
            last = sorted(self._results.keys() - order.ranks)
            rank = len(order.trials) + last.index(trial)
        else:
            rank = place
        fronts = place is not None and violation == 0.0
        return Explanation(
            rank=rank + 1,
            n=len(self),
            counted=len(self) - len(self._uncounted),
            cut=self._cut,
            value=None if place is None else values[0],
            threshold=None,
            promoted=trial in self._promoted,
            violation=violation,
            front=int(order.fronts[rank]) if fronts else None,
            crowding=float(order.crowding[rank]) if fronts else None,
        )

    def snapshot(self) -> dict[str, Any]:
        """What the rung holds, as JSON and in one canonical order."""
        results = [
            [trial, written(violation), [written(value) for value in values]]
            for trial, (violation, values) in sorted(self._results.items())
        ]
        return {"results": results, "promoted": sorted(self._promoted)}

    def restore(
        self, results: Iterable[tuple[int, object, Iterable[object]]], promoted: Iterable[int]
    ) -> None:
        for trial, violation, values in results:
            self.add(trial, Standing(number(violation), tuple(map(number, values))))
        self._promoted = set(promoted)

    @property
    def _cut(self) -> int:
        return cut(len(self._results) - len(self._uncounted), self._eta, self._margin)

    def _ordered(self) -> Order:
        if self._order is None:
            self._order = self._made()
        return self._order

    def _made(self) -> Order:
        trials = np.fromiter(self._ranked, np.int64, len(self._ranked))
        held = np.array([*self._ranked.values()]).reshape(len(trials), 1 + len(self._signs))
        violations, losses = held[:, 0], held[:, 1:] * self._signs + 0.0  # which makes -0 a 0
        fronts, crowding = np.ones(len(trials), np.int64), np.full(len(trials), np.inf)
        groups = np.argsort(violations, kind="stable")
        starts = np.flatnonzero(np.diff(violations[groups]) > 0) + 1
        for group in np.split(groups, starts):  # of equal violation
            if len(group) > 1:
                fronts[group] = fronts_of(losses[group])
                crowding[group] = crowding_of(losses[group], fronts[group], trials[group])
        best = np.lexsort((trials, -crowding, fronts, violations))
        ordered = trials[best].tolist()
        ranks = dict(zip(ordered, range(len(ordered)), strict=True))
        return Order(ordered, ranks, fronts[best], crowding[best])


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether one's losses are as small in everything, and smaller in something."""
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))


def fronts_of(losses: Floats) -> Ints:
    """The number of each row's front, from 1; a smaller loss is better in each column."""
    order = np.lexsort(losses.T[::-1])  # by the first column, then the next
    ordered = losses[order]
    new = np.ones(len(ordered), bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(1)
    points = ordered[new]
    found = _of_pairs(points[:, 1]) if points.shape[1] == 2 else _of_many(points)
    fronts = np.empty_like(found, shape=len(losses))
    fronts[order] = found[np.cumsum(new) - 1]
    return fronts


def _of_pairs(seconds: Floats) -> Ints:
    """The fronts of different pairs in order, by their second values. A pair is dominated by one
    before it if that has no larger second value: `least` has the last of each front, which is its
    least, and grows from front to front."""
    least: list[float] = []
    fronts = np.empty(len(seconds), np.int64)
    for i, second in enumerate(seconds.tolist()):
        front = bisect_right(least, second)
        if front == len(least):
            least.append(second)
        else:
            least[front] = second
        fronts[i] = front + 1
    return fronts


def _of_many(points: Floats) -> Ints:
    """The fronts of different points in order: a point's dominators all stand before it, and its
    front is the one after the last of theirs."""
    fronts = np.ones(len(points), np.int64)
    for start in range(0, len(points), BLOCK):
        block = points[start : start + BLOCK]
        before = points[: start + len(block)]
        dominates = np.ones((len(before), len(block)), bool)
        for column in range(points.shape[1]):
            dominates &= before[:, column, None] <= block[None, :, column]
        within = dominates[start:]
        within[np.diag_indices(len(block))] = False
        found = 1 + np.where(dominates[:start], fronts[:start, None], 0).max(0, initial=0)
        while True:  # a chain of dominators within the block takes a round for each of its links
            more = np.maximum(found, 1 + np.where(within, found[:, None], 0).max(0, initial=0))
            if (more == found).all():
                break
            found = more
        fronts[start : start + len(block)] = found
    return fronts


def crowding_of(losses: Floats, fronts: Ints, trials: Ints) -> Floats:
    """The distance of each row to its neighbours in its front; fronts are numbered from 1."""
    crowding = np.zeros(len(losses))
    for column in losses.T:
        along = np.lexsort((trials, column, fronts))
        values, of = column[along], fronts[along] - 1
        ends = np.flatnonzero(np.diff(of)) + 1
        first, last = np.r_[0, ends], np.r_[ends, len(of)] - 1
        gaps = np.zeros(len(of))
        with np.errstate(over="ignore", invalid="ignore"):
            spans = (values[last] - values[first])[of]
            gaps[1:-1] = values[2:] - values[:-2]
            counts = (spans > 0) & (spans < np.inf)
            crowding[along[counts]] += gaps[counts] / spans[counts]
        crowding[along[first]] = crowding[along[last]] = np.inf
    return crowding
