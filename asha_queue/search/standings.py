"""What the journal says of each rung in an experiment that hedges: `hedge.py` checked.

The rules of `hedge.py` once more, without its code and that of rungs, by lists that are looked
through; only the numbers in them are the same.
"""

from collections.abc import Sequence
from typing import Any

from asha_queue.search.hedge import BEFORE, CHANCE, LEAST, SAMPLE, SHARE, TESTED
from asha_queue.search.ranks import Ranks


class Standings:
    """The standing of each rung; `ranked` are all its results, kept by the caller."""

    def __init__(self, hedge: bool, eta: int, ranked: list[Ranks]) -> None:
        self._hedge = hedge
        self._eta = eta
        self._ranked = ranked
        self._standing: dict[int, str] = {0: "testing"} if hedge else {}
        #: Trials that were promoted whatever their rank out of a rung in its test.
        self._probes: dict[int, list[int]] = {}
        #: By trial, the losses in a rung and in the one above, of each metric.
        self._pairs: dict[int, dict[int, list[tuple[Any, Any]]]] = {}

    def open(self, rung: int) -> bool:
        """Whether everyone is promoted out of it."""
        return self._standing.get(rung) == "open"

    def testing(self, rung: int, promoted: int) -> bool:
        """Whether one more is promoted out of it whatever its rank."""
        begun = len(self._ranked[rung]) >= BEFORE
        return self._standing.get(rung) == "testing" and begun and promoted < TESTED

    def cut(self, rung: int) -> int:
        """How many of the best of a rung are candidates."""
        probes = self._probes.get(rung - 1, [])
        return sum(trial not in probes for trial in self._ranked[rung].trials) // self._eta

    def probe(self, trial: int, rung: int) -> None:
        """Notes a promotion that rank did not allow."""
        if not self.open(rung):
            self._probes.setdefault(rung, []).append(trial)

    def result(self, trial: int, rung: int, below: Sequence[Any], losses: Sequence[Any]) -> None:
        """Takes a result of a rung above the first, after it was ranked."""
        pairs = self._pairs.setdefault(rung - 1, {})
        if self._hedge and len(pairs) < SAMPLE:
            pairs[trial] = list(zip(below, losses, strict=True))
            self._judge(rung - 1)

    def withdraw(self, trial: int, rung: int) -> None:
        """Forgets a result."""
        self._pairs.get(rung - 1, {}).pop(trial, None)

    def _judge(self, rung: int) -> None:
        standing, pairs = self._standing.get(rung), list(self._pairs.get(rung, {}).values())
        n, told, same = len(pairs), 0.0, 0.0
        for i in range(n):
            for j in range(i):
                for (here, above), (other, beyond) in zip(pairs[i], pairs[j], strict=True):
                    if above != beyond:
                        told += 1
                        order = bool(above < beyond) is bool(here < other)
                        same += 0.5 if here == other else float(order)
        if standing is None or n < LEAST or not told:
            return
        by_chance = 0.5 + CHANCE * ((2 * n + 5) / (18 * n * (n - 1))) ** 0.5
        if standing != "ranks" and same / told >= max(SHARE, by_chance):
            self._standing[rung] = "ranks"
        elif n >= TESTED and (
            standing == "testing" or (standing == "ranks" and same / told < SHARE)
        ):
            self._standing[rung] = "open"
            self._probes.pop(rung, None)
            if rung + 1 not in self._standing:
                self._standing[rung + 1] = "testing"
                self._judge(rung + 1)
