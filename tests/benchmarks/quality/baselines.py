"""Methods to be ahead of: all of them play brackets, in which whole rungs are waited for.

A bracket is a list of rungs, each so many trials and a level: all of the first rung are trained up
to its level, then the best so many of them up to that of the second, and so on. Workers that find
nothing to train in the brackets that there are begin the next one; the oldest goes first.

* Random search is brackets of one trial and one rung.
* Best-k-after-one-epoch (Egele et al., "Is One Epoch All You Need For Multi-Fidelity Hyperparameter
  Optimization?", arXiv 2307.15422): one step each, then the best 3 to the end. A bracket spends as
  much on first steps as on these.
* Synchronous successive halving (Jamieson and Talwalkar, arXiv 1502.07943): levels as in
  `asha_queue.search.ladder`, one trial in the top rung.
* Hyperband (Li et al., arXiv 1603.06560): brackets that begin at each level, the lowest first, with
  about the same budget each, over and over.
"""

import math
from collections.abc import Iterator

from asha_queue.search.ladder import Ladder
from tests.benchmarks.quality.play import Segment

#: Trials and level of each rung.
Rungs = list[tuple[int, int]]
#: Trials that best-k-after-one-epoch trains to the end.
KEPT = 3


class Synchronous:
    """Plays brackets until all trials were started; a last one may get fewer trials than it has."""

    def __init__(self, brackets: Iterator[Rungs], trials: int) -> None:
        self._brackets = brackets
        self._trials = trials
        self._started = 0
        self._open: list[_Bracket] = []
        self._of: dict[int, _Bracket] = {}  # of each trial in training

    def decide(self) -> Segment | None:
        self._open = [bracket for bracket in self._open if not bracket.ended]
        for bracket in self._open:
            if bracket.waiting:
                return self._start(bracket)
        if self._started == self._trials:
            return None
        rungs = next(self._brackets)
        size = min(rungs[0][0], self._trials - self._started)
        trials = range(self._started, self._started + size)
        self._started += size
        self._open.append(_Bracket(rungs, list(trials)))
        return self._start(self._open[-1])

    def complete(self, segment: Segment, value: float) -> None:
        self._of.pop(segment.trial).add(segment.trial, value)

    def fail(self, segment: Segment) -> None:
        self.complete(segment, math.nan)

    def _start(self, bracket: "_Bracket") -> Segment:
        trial = bracket.waiting.pop(0)
        self._of[trial] = bracket
        return Segment(trial, bracket.rung, bracket.rungs[bracket.rung][1])


class _Bracket:
    def __init__(self, rungs: Rungs, trials: list[int]) -> None:
        self.rungs = rungs
        self.rung = 0
        self.waiting = trials
        self.ended = False
        self._missing = len(trials)
        self._results: list[tuple[float, int]] = []

    def add(self, trial: int, value: float) -> None:
        """Takes a result; the last one of a rung opens the next."""
        if not math.isnan(value):
            self._results.append((value, trial))
        self._missing -= 1
        if self._missing:
            return
        self.rung += 1
        kept = sorted(self._results)[: self.rungs[self.rung][0]] if self._more() else []
        self.waiting = [trial for _, trial in kept]
        self._missing, self._results = len(kept), []
        self.ended = not kept

    def _more(self) -> bool:
        return self.rung < len(self.rungs)


def random_search(ladder: Ladder) -> Iterator[Rungs]:
    while True:
        yield [(1, ladder.max_t)]


def one_epoch(ladder: Ladder) -> Iterator[Rungs]:
    while True:
        yield [(KEPT * ladder.max_t, 1), (KEPT, ladder.max_t)]


def halving(ladder: Ladder) -> Iterator[Rungs]:
    eta, levels = ladder.reduction_factor, ladder.levels
    top = len(levels) - 1
    while True:
        yield [(eta ** (top - rung), level) for rung, level in enumerate(levels)]


def hyperband(ladder: Ladder) -> Iterator[Rungs]:
    eta, levels = ladder.reduction_factor, ladder.levels
    while True:
        for first in range(len(levels)):
            rungs = len(levels) - first
            # so many at first that all brackets train about as much
            trials = math.ceil(len(levels) / rungs * eta ** (rungs - 1))
            yield [(trials // eta**rung, levels[first + rung]) for rung in range(rungs)]
