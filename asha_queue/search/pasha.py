"""PASHA: the top of the ladder starts low and rises while ranks still change.

Rules

* At first the second level is the top. Whenever a result arrives at the top, the trials there are
  ranked by it and by their results one level below. If a trial is not in the place, or within
  epsilon of the value that has this place below, the next level becomes the top. Otherwise the
  order has settled, and more training would cost much and tell little.
* Epsilon is what noise does to values: the 90th percentile of the distances between trials whose
  order along their learning curves changed and changed back before the last step. It is 0 until
  such a pair was seen. Points that both curves have are compared, from the level below to the top;
  a journal's curves are thin, but hold the same steps for all trials.
* Compared are the best COMPARED of the top, and distances are those of the last NOISES pairs, so
  that a result costs the same however many there are. The paper compares all.
* Results that are not finite are compared with nothing.

Source: Bohdal et al., "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", ICLR
2023, https://openreview.net/forum?id=syfgJE6nFRW, with soft ranking.
"""

import bisect
import itertools
import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: Trials of the top whose ranks are compared: the best.
COMPARED = 64
#: Distances of pairs from which epsilon is taken: the latest.
NOISES = 256
#: Percentile of the distances that is epsilon.
PERCENTILE = 90

#: Losses by step.
Curve = Mapping[int, float]


class Pasha:
    """Which level is the top; a fold of results as losses, smaller is better."""

    def __init__(self) -> None:
        #: The number of the top level, if the ladder has as many.
        self.top = 1
        self.epsilon = 0.0
        self._last: dict[int, float] = {}  # each trial's last loss
        # Of the best at the top: (loss, trial) in order, losses one level below, and curves.
        self._best: list[tuple[float, int]] = []
        self._below: dict[int, float] = {}
        self._curves: dict[int, Curve] = {}
        self._noises: deque[float] = deque(maxlen=NOISES)

    def result(self, trial: int, level: int, loss: float, curve: Curve) -> None:
        """The loss of a trial at a level, and finite ones on the way from the level below to it."""
        if loss == math.inf:  # and if it is a failure that is tried again, as if it had not been
            return
        below, self._last[trial] = self._last.get(trial, -math.inf), loss
        if level != self.top or math.isinf(loss) or math.isinf(below):
            return
        bisect.insort(self._best, (loss, trial))
        self._below[trial], self._curves[trial] = below, curve
        if len(self._best) > COMPARED:
            _, worst = self._best.pop()
            del self._below[worst], self._curves[worst]
            if worst == trial:
                return
        self._listen(trial)
        if not settled([t for _, t in self._best], self._below, self.epsilon):
            self.top += 1
            self._best, self._below, self._curves = [], {}, {}

    def snapshot(self) -> dict[str, Any]:
        """The state as JSON."""
        return {
            "top": self.top,
            "epsilon": self.epsilon,
            "last": [[t, loss] for t, loss in sorted(self._last.items()) if loss > -math.inf],
            "best": [
                [trial, loss, self._below[trial], [list(p) for p in self._curves[trial].items()]]
                for loss, trial in self._best
            ],
            "noises": list(self._noises),
        }

    def restore(self, held: Mapping[str, Any]) -> None:
        """Goes on from what `snapshot` returned."""
        self.top, self.epsilon = held["top"], held["epsilon"]
        self._last = dict(held["last"])
        self._best = [(loss, trial) for trial, loss, _, _ in held["best"]]
        self._below = {trial: below for trial, _, below, _ in held["best"]}
        self._curves = {trial: dict(curve) for trial, _, _, curve in held["best"]}
        self._noises.extend(held["noises"])

    def _listen(self, trial: int) -> None:
        """Learns epsilon from the pairs that a new trial of the best makes with the others."""
        mine = {0: self._below[trial], **self._curves[trial]}
        found = []
        for _, other in self._best:
            if other != trial:
                theirs = {0: self._below[other], **self._curves[other]}
                gaps = [mine[step] - theirs[step] for step in mine if step in theirs]
                if changed_back(gaps):
                    found.append(abs(gaps[-1]))
        self._noises.extend(found)
        if found:
            self.epsilon = float(np.percentile(list(self._noises), PERCENTILE))


def changed_back(gaps: Sequence[float]) -> bool:
    """Whether the order at the last step is one that had been before, and changed in between."""
    orders = [gap > 0 for gap in gaps]
    changes = sum(one != other for one, other in itertools.pairwise(orders))
    return changes >= 2


def settled(ranked: Sequence[int], below: Mapping[int, float], epsilon: float) -> bool:
    """Whether trials, ranked by the top, have there the places that they had one level below, or
    are within `epsilon` of those who had them."""
    before = sorted(below[trial] for trial in ranked)
    return all(
        loss - epsilon <= below[trial] <= loss + epsilon
        for trial, loss in zip(ranked, before, strict=True)
    )
