"""The rules by which other tuners halve, as methods of this player.

They tell two things apart that a comparison with a peer's own classes mixes: who plays, and by
which rule. A peer's class and its rule here must find the same; what is then left between the class
and this project's search is the rule.

Rules: how many of the n results of a level go on, of which each new one is the last

* Ours (`asha`): the best floor(n / eta); none of fewer than eta, but all as `variant=stopping`.
* Ray Tune's ASHA (2.60) stops what is worse than the quantile 1 / eta of the results *before*, as
  numpy interpolates it: of n - 1 results, the best floor((n - 2) / eta) + 1 and a part of the way
  to the next. So 1 of 2 goes on, and about one more than with ours later. From the last level below
  the top about 1 / eta go on, too.
* Syne Tune's (0.13), promotion and stopping, takes the quantile of all n, the best
  floor((n - 1) * q) + 1, of two at least. Its q is 1 / eta but for the last level below the top,
  where it is that level's share of the top: 16 / 50 where eta = 4, 27 / 50 where eta = 3.
* Optuna's successive halving (5.0): the best max(1, floor(n / eta)), by stopping.

NaN goes on by the rules of Ray Tune and Syne Tune where the worst would, by the other two never;
Optuna does not count it either. Of equal values all or none go on, but for ours, by which a later
one is worse.
"""

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np

from asha_queue.search.ladder import Ladder
from tests.benchmarks.quality.peers.stepwise import BEYOND
from tests.benchmarks.quality.play import Segment

#: From the results of a level before, in order, a new one and the share that shall go on to whether
#: it is among them.
GoesOn = Callable[[Sequence[float], float, Fraction], bool]
#: From a number of results and the share that shall go on to how many do.
Cut = Callable[[int, Fraction], int]


class Stopping:
    """A trial goes on at once from a level, by the same worker, or never."""

    def __init__(self, goes_on: GoesOn, shares: Sequence[Fraction], ladder: Ladder, trials: int):
        self._goes_on, self._shares = goes_on, shares
        self._levels, self._trials = ladder.levels, trials
        self._results: list[list[float]] = [[] for _ in shares]
        self._going: deque[Segment] = deque()
        self._started = 0

    def decide(self) -> Segment | None:
        if self._going:
            return self._going.popleft()
        if self._started == self._trials:
            return None
        self._started += 1
        return Segment(self._started - 1, 0, self._levels[0])

    def complete(self, segment: Segment, value: float) -> None:
        rung = segment.rung
        if rung == len(self._shares):
            return
        value = BEYOND if math.isnan(value) else value
        if self._goes_on(self._results[rung], value, self._shares[rung]):
            self._going.append(Segment(segment.trial, rung + 1, self._levels[rung + 1]))
        insort(self._results[rung], value)

    def fail(self, segment: Segment) -> None:
        """It is not heard of again."""


class Promotion:
    """Looks for a trial to go on when a worker is free, from the highest level downward."""

    def __init__(self, cut: Cut, shares: Sequence[Fraction], ladder: Ladder, trials: int):
        self._cut, self._shares = cut, shares
        self._levels, self._trials = ladder.levels, trials
        self._results: list[list[tuple[float, int]]] = [[] for _ in shares]
        self._promoted: list[set[int]] = [set() for _ in shares]
        self._started = 0

    def decide(self) -> Segment | None:
        for rung in reversed(range(len(self._shares))):
            results = self._results[rung]
            for _, trial in results[: self._cut(len(results), self._shares[rung])]:
                if trial not in self._promoted[rung]:
                    self._promoted[rung].add(trial)
                    return Segment(trial, rung + 1, self._levels[rung + 1])
        if self._started == self._trials:
            return None
        self._started += 1
        return Segment(self._started - 1, 0, self._levels[0])

    def complete(self, segment: Segment, value: float) -> None:
        if segment.rung < len(self._shares):
            value = BEYOND if math.isnan(value) else value
            insort(self._results[segment.rung], (value, segment.trial))

    def fail(self, segment: Segment) -> None:
        """It is not heard of again."""


def alike(ladder: Ladder) -> list[Fraction]:
    """The same share from each level but the top."""
    return [Fraction(1, ladder.reduction_factor)] * (len(ladder.levels) - 1)


def by_level(ladder: Ladder) -> list[Fraction]:
    """As much less as the next level is higher."""
    return [Fraction(low, high) for low, high in pairwise(ladder.levels)]


def ray_goes_on(before: Sequence[float], value: float, share: Fraction) -> bool:
    return not before or value <= float(np.quantile(before, float(share)))


def syne_goes_on(before: Sequence[float], value: float, share: Fraction) -> bool:
    place = bisect_left(before, value) + 1
    return not before or place <= syne_cut(len(before) + 1, share)


def optuna_goes_on(before: Sequence[float], value: float, share: Fraction) -> bool:
    counted = before[: bisect_left(before, BEYOND)]
    place = bisect_left(counted, value) + 1
    return value < BEYOND and place <= max(1, math.floor((len(counted) + 1) * share))


def syne_cut(n: int, share: Fraction) -> int:
    return math.floor((n - 1) * share) + 1 if n > 1 else 0
