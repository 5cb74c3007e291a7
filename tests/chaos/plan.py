"""Which faults come when: from a seed alone."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.faults import LONG

#: Seconds between two faults of a mixed run.
GAP = (1.0, 3.0)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault to be done `at` so many seconds after the start; it draws its victim from `seed`."""

    at: float
    kind: str
    seed: int


def mixed(seed: int, seconds: float, kinds: Sequence[str]) -> list[Planned]:
    """A deck of all kinds, dealt again and again. Of those that take long one comes at a time, the
    first at once, and none that would not be over in time."""
    rng = random.Random(seed)
    long = [kind for kind in LONG if kind in kinds]
    short = [kind for kind in kinds if kind not in LONG]
    planned: list[Planned] = []
    at, deck = 0.0, list[str]()
    while short and (at := at + rng.uniform(*GAP)) < seconds:
        if not deck:
            deck = rng.sample(short, len(short))
        planned.append(Planned(at, deck.pop(), rng.randrange(2**32)))
    at, turn = 0.0, 0
    while long and at + LONG[kind := long[turn % len(long)]] < seconds:
        planned.append(Planned(at, kind, rng.randrange(2**32)))
        at, turn = at + LONG[kind] + rng.uniform(*GAP), turn + 1
    return sorted(planned, key=lambda fault: fault.at)


def repeated(
    seed: int, times: int, kinds: Sequence[str], gap: tuple[float, float]
) -> list[Planned]:
    """These kinds in turn, so many faults in all, with so many seconds between them."""
    rng = random.Random(seed)
    planned, at = [], 0.0
    for number in range(times):
        at += rng.uniform(*gap)
        planned.append(Planned(at, kinds[number % len(kinds)], rng.randrange(2**32)))
    return planned
