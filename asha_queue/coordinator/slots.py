"""Who gets how many of the fleet's slots: pure functions, so that all leaders compute alike.

Rules

1. Slots are divided for each queue by itself: the able workers that serve it are its slots. (One
   that serves several counts in each.) An experiment claims each of its queues separately, so it
   may be at its limit on "cpu" and hungry on "gpu".
2. The fair share is max-min by weight: nobody gets more than it wants, and what one leaves goes to
   the others by their weights. It is a real number, such as 0.2 of a slot.
3. Slots are whole: everyone gets its share rounded down. The slots that are left go one each to
   those with a part over: first to those that have queued a segment for it already, as a message
   cannot be taken back; then to those that are owed most; then to the largest part.
4. Owed is the time that workers trained less for an experiment than its share was, in
   worker-seconds; negative: more. Each leader counts it for its own experiment (`Account`) and
   keeps it in the store, where the next one finds it. So 50 experiments on 10 workers take turns,
   in worker-time: one with segments of an hour waits for longer after each than one with seconds.
5. Whoever wants nothing is owed nothing and owes nothing. Whoever has all that it wants is owed
   nothing. So nobody saves up for later by being idle.
6. Nothing that runs is taken back. An experiment that holds more than its slots, as others were
   idle, starts nothing until it holds less; those that are below theirs have their segments queued
   by then. So lent slots come back as each running segment of the others ends, and the wait is
   counted as owed.
7. An experiment that is alone keeps a few segments queued beyond its slots (`lead`), no more than
   end while a decision is taken: they would delay rule 6.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

#: Seconds that a decision may take: as many segments as end meanwhile are kept queued in advance.
HANDOFF = 0.5
#: Parts of a slot below which a share is whole: sums of weights are not exact.
EXACT = 1e-9


@dataclass(frozen=True, slots=True)
class Want:
    """What an experiment claims of a queue, and its weight beside the others: how many slots it
    could use now (`wants`), how many workers train it (`holds`), its segments that are queued or in
    training (`open`), what it is `owed` in worker-seconds, and the level, counted from 0, of the
    `first` of its queued segments; None if none is queued."""

    uid: str
    wants: int
    weight: float = 1.0
    holds: int = 0
    open: int = 0
    owed: float = 0.0
    first: int | None = None

    def to_json(self) -> dict[str, Any]:
        """What other leaders need to know of it; whose it is they know."""
        told = asdict(self) | {"owed": round(self.owed, 3)}
        return {name: value for name, value in told.items() if name not in ("uid", "weight")}


def fair(workers: int, claims: Sequence[Want]) -> dict[str, float]:
    """The share of each experiment in `workers` slots by uid, a real number."""
    shares = {claim.uid: 0.0 for claim in claims}
    hungry = [claim for claim in claims if claim.wants > 0]
    hungry.sort(key=lambda claim: claim.wants / claim.weight)
    weights, total = [], 0.0
    for claim in reversed(hungry):
        total += claim.weight
        weights.append(total)
    left = float(workers)
    for claim in hungry:  # whoever is satisfied first leaves the rest to those after it
        share = min(float(claim.wants), left * claim.weight / weights.pop())
        whole = round(share)
        shares[claim.uid] = share = whole if abs(share - whole) < EXACT else share
        left -= share
    return shares


def divide(workers: int, claims: Sequence[Want]) -> dict[str, int]:
    """The slots of each experiment by uid, whole numbers; their sum is at most `workers`."""
    shares = fair(workers, claims)
    slots = {uid: math.floor(share) for uid, share in shares.items()}
    left = min(workers, sum(claim.wants for claim in claims)) - sum(slots.values())

    def turn(claim: Want) -> tuple[bool, float, float]:
        whole = slots[claim.uid]
        queued = claim.open > max(whole, claim.holds)
        return not queued, -claim.owed, whole - shares[claim.uid]

    parts = [claim for claim in claims if shares[claim.uid] > slots[claim.uid]]
    for claim in sorted(parts, key=turn)[:left]:
        slots[claim.uid] += 1
    return slots


def lead(slots: int, alone: bool, seconds: float | None = None) -> int:
    """Segments kept queued beyond the slots, so that a worker that ends one finds the next.

    As many as end within HANDOFF if they take so many `seconds`; one before that is known, and half
    of the slots at most. With one slot there is none: each decision then waits for the result
    before it, and a run is repeatable. With more, a queued new trial only stands for "the next new
    trial": a promotion that comes up meanwhile overtakes it by priority. Beside other experiments
    that want slots there is none either: it would take the slot that another's next segment is
    about to fill.
    """
    if not alone or slots < 2:
        return 0
    if seconds is None:
        return 1
    return min(slots // 2, math.ceil(slots * HANDOFF / max(seconds, EXACT)))


class Account:
    """What one experiment is owed on one queue, as time passes."""

    def __init__(self, owed: float = 0.0) -> None:
        self.owed = owed
        self._holds: int | None = None

    def settle(self, seconds: float, share: float, claim: Want) -> Want:
        """The claim with what is owed after `seconds` in which the experiment's fair share was
        `share`; what it held in between is the mean of before and after."""
        if self._holds is not None:
            self.owed += (share - (self._holds + claim.holds) / 2) * seconds
        self._holds = claim.holds
        if claim.wants == 0:
            self.owed = 0.0
        elif share >= claim.wants:
            self.owed = min(self.owed, 0.0)
        return replace(claim, owed=self.owed)
