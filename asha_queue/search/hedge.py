"""A first rung that rises: whether ranks at one level say anything about the next one.

Where early values do not rank, promotion by rank spends most of its budget on choosing by chance,
and random search finds more. A search that hedges tests a rung before it relies on it.

Rules

1. The evidence of a rung is the first SAMPLE results of the rung above it, however they got there:
   the share of their pairs that are in the same order in both rungs (Kendall's). A pair that is
   equal above says nothing; one that is equal below is half in order. That trials were chosen by
   their values below does not bias what these say about the values above. With several metrics a
   pair counts once in each.
2. The first rung is being tested. As soon as it has BEFORE results, and until TESTED trials were
   promoted out of it, that comes before everything else: the best that may be promoted by rank,
   else the lowest trial that waits, a probe.
3. A rung ranks when it has evidence of LEAST results or more, and the share is at least what chance
   reaches in one test of forty (CHANCE standard deviations above one half), and at least SHARE.
   A test that has TESTED results and does not show it ends with the rung open. So does a rung that
   ranks, when it has TESTED results and its share falls below SHARE. An open one may come to rank.
4. Out of an open rung everyone is promoted, the best first, as the rung comes in the order of
   `asha.py`; but never what diverged or failed. When a rung opens, the next one is tested.
   If all of them open this is random search.
5. A rung above one that ranks is not tested: it ranks.
6. The results of probes do not count in n in the rung above: they are no better than any, and one
   in eta of them would be promoted early. Once their rung opens they count, like all that follow.

A test costs at most TESTED segments, and a search that may rely on its ranks is plain ASHA after
it. What a rung is changes by results only, at most SAMPLE times, so this costs a search of a
million results as much as one of a few hundred.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

from asha_queue.search.rung import Ranking

#: Results of a rung before its test begins.
BEFORE = 8
#: Promotions out of a rung in its test, and results of these after which it is decided.
TESTED = 12
#: Results that are evidence, at most and at least.
SAMPLE = 64
LEAST = 5
#: The share of pairs in the same order that a rung must have to rank …
SHARE = 0.6
#: … and how many standard deviations above that of chance.
CHANCE = 1.96

#: "untested" ones rank, too.
Standing = Literal["untested", "testing", "ranks", "open"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """How far a rung's ranks are relied on.

    `share` is the share of pairs in the same order here and in the next rung, of `results` results
    there; None without any. `probe`: the trial is or was promoted whatever its rank, as a test.
    """

    standing: Standing
    share: float | None
    results: int
    probe: bool


class Hedge:
    """What is known of the rungs of one search.

    Args:
        rungs: the search's own, which it may add to.
        tested: whether they are tested at all; if not, each ranks, and nothing is known.
    """

    def __init__(self, rungs: Sequence[Ranking], tested: bool) -> None:
        self._rungs = rungs
        #: Whether there may be tests, and open rungs.
        self.tested = tested
        self._standing: list[Standing] = []
        self._probes: list[set[int]] = []
        self._evidence: list[set[int]] = []
        self.grow()

    def grow(self) -> None:
        """Follows the search to its new rungs."""
        while len(self._standing) < len(self._rungs):
            first = not self._standing
            self._standing.append("testing" if self.tested and first else "untested")
            self._probes.append(set())
            self._evidence.append(set())

    def open(self, rung: int) -> bool:
        """Whether everyone is promoted out of it."""
        return self._standing[rung] == "open"

    def ranks(self, rung: int) -> bool:
        """Whether it is settled, as yet, that only the best are promoted out of it."""
        return not self.tested or "ranks" in self._standing[: rung + 1]

    def tests(self, limit: int) -> list[tuple[int, int]]:
        """Trials and the rungs that they are promoted out of before anything else, in order."""
        found: list[tuple[int, int]] = []
        if not self.tested:
            return found
        for rung, held in enumerate(self._rungs[:-1]):
            room = min(limit - len(found), TESTED - held.promoted)
            if room > 0 and self._testing(rung):
                best = held.promotable(room)
                probes = held.lowest(room - len(best), best)
                found += [(trial, rung) for trial in (*best, *probes)]
        return found

    def promote(self, trial: int, rung: int) -> None:
        """Marks a trial as promoted out of a rung; JournalError, without a change, if it may not
        be."""
        held = self._rungs[rung]
        if self.open(rung):
            held.promote(trial, whatever=True)
        elif self._testing(rung) and held.promoted < TESTED and not held.candidate(trial):
            held.promote(trial, whatever=True)
            self._probes[rung].add(trial)
        else:
            held.promote(trial)

    def add(self, trial: int, rung: int, value: Any) -> None:
        """Adds a result to a rung, and looks at the one below in its light."""
        if not self.tested:
            self._rungs[rung].add(trial, value)
            return
        below = rung - 1
        self._rungs[rung].add(trial, value, below < 0 or trial not in self._probes[below])
        if below >= 0 and len(self._evidence[below]) < SAMPLE:
            self._evidence[below].add(trial)
            self._look(below)

    def withdraw(self, trial: int, rung: int) -> None:
        """Takes a result back. What it has decided stays so."""
        self._rungs[rung].withdraw(trial)
        if rung:
            self._evidence[rung - 1].discard(trial)

    def doubt(self, trial: int, rung: int) -> Doubt:
        """How far the ranks are relied on in a rung."""
        share, results = self._share(rung), len(self._evidence[rung])
        return Doubt(self._standing[rung], share, results, trial in self._probes[rung])

    def snapshot(self) -> list[dict[str, Any]]:
        """What is known of each rung, as JSON and in one canonical order; nothing if
        none is tested."""
        if not self.tested:
            return []
        held = zip(self._standing, self._probes, self._evidence, strict=True)
        return [
            {"standing": standing, "probes": sorted(probes), "evidence": sorted(evidence)}
            for standing, probes, evidence in held
        ]

    def restore(self, snapshot: Sequence[Mapping[str, Any]]) -> None:
        """Takes up what `snapshot` returned; the rungs hold their results already."""
        if not self.tested:
            return
        self._standing = [held["standing"] for held in snapshot]
        self._probes = [set(held["probes"]) for held in snapshot]
        self._evidence = [set(held["evidence"]) for held in snapshot]
        for rung, probes in zip(self._rungs[1:], self._probes, strict=False):
            rung.discount(probes)

    def _testing(self, rung: int) -> bool:
        return self._standing[rung] == "testing" and len(self._rungs[rung]) >= BEFORE

    def _look(self, rung: int) -> None:
        standing, n = self._standing[rung], len(self._evidence[rung])
        share = self._share(rung)
        if standing == "untested" or n < LEAST or share is None:
            return
        if standing != "ranks" and share >= needed(n):
            self._standing[rung] = "ranks"
        elif n >= TESTED and (standing == "testing" or (standing == "ranks" and share < SHARE)):
            self._open(rung)

    def _open(self, rung: int) -> None:
        self._standing[rung] = "open"
        self._probes[rung].clear()
        self._rungs[rung + 1].discount(())
        if self._standing[rung + 1] == "untested":
            self._standing[rung + 1] = "testing"
            self._look(rung + 1)

    def _share(self, rung: int) -> float | None:
        """Of the pairs of a rung's evidence, those in the same order here and above."""
        if not self._evidence[rung]:
            return None
        here, above = self._rungs[rung], self._rungs[rung + 1]
        keys = [(here.losses(trial), above.losses(trial)) for trial in self._evidence[rung]]
        pairs, same = 0, 0.0
        for (xs, ys), (other_xs, other_ys) in combinations(keys, 2):
            for x, y, other_x, other_y in zip(xs, ys, other_xs, other_ys, strict=True):
                if y != other_y:
                    pairs += 1
                    same += 0.5 if x == other_x else (x < other_x) == (y < other_y)
        return same / pairs if pairs else None


def needed(results: int) -> float:
    """The share of pairs in order that so many results need, for the rung to rank."""
    chance = math.sqrt((2 * results + 5) / (18 * results * (results - 1)))
    return max(SHARE, 0.5 + CHANCE * chance)
