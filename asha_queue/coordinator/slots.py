"""Who gets how many of the fleet's slots: pure functions, so that all leaders compute alike.

Rules

1. Slots are divided for each queue by itself: the able workers that serve it are its slots. (One
   that serves several counts in each.) An experiment claims each of its queues separately, so it
   may be at its limit on "cpu" and hungry on "gpu".
2. The fair share is max-min by weight: nobody gets more than it wants, and what one leaves goes to
   the others by their weights. It is a real number, such as 0.2 of a slot.
3. Slots are whole: everyone gets its share rounded down. The slots that are left go one each to
   those with a part over: first to those that have queued a segment for it already, as a message
   cannot be taken back; then to those that are owed most for their weight; then to the largest
   part. What nobody wants is free for whoever comes to want it before all are asked again, and
   whoever loses a part's slot goes on with it until another in its process has queued a segment,
   or KEEP worker-seconds more are owed: leaders in other processes hear of their slots a second
   later, and no worker waits for that.
4. Owed is the time that workers trained less for an experiment than its share was, in
   worker-seconds; negative: more. Each leader counts it for its own experiment (`Account`) and
   keeps it in the store, where the next one finds it. So 50 experiments on 10 workers take turns,
   in worker-time: one with segments of an hour waits for longer after each than one with seconds.
5. Whoever wants nothing is owed nothing and owes nothing. Whoever has all that it wants is owed
   nothing. So nobody saves up for later by being idle.
6. Nothing that runs is taken back. An experiment that holds more than its slots, as others were
   idle, starts nothing until it holds less; those that are below theirs have their segments queued
   by then. So lent slots come back as each running segment of the others ends. That wait is the
   price of lending: what is held above the share rounded up is not owed later, or who was lent a
   whole fleet would wait for hours; and who waits for many slots is owed one at a time.
7. An experiment that is alone keeps a few segments queued beyond its slots (`lead`), no more than
   end while a decision is taken: they would delay rule 6.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

#: Seconds that a decision may take: as many segments as end meanwhile are kept queued in advance.
HANDOFF = 0.5
#: Worker-seconds by which another must be owed more for a slot to be left before it is seen to be
#: taken over: more than it takes until its leader knows.
KEEP = 3.0
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
        return {
            "wants": self.wants,
            "holds": self.holds,
            "open": self.open,
            "owed": round(self.owed, 3),
            "first": self.first,
        }


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


@dataclass(frozen=True, slots=True)
class Division:
    """The slots of a queue: the real `shares` by uid, the whole `slots`, how many of them are
    `free` as nobody wants them, how many experiments want any, and the most that one which has a
    part of a slot over is owed, per weight."""

    shares: Mapping[str, float]
    slots: Mapping[str, int]
    free: int
    hungry: int
    most_owed: float


def divide(workers: int, claims: Sequence[Want]) -> Division:
    """Divides the slots of so many workers among experiments."""
    shares = fair(workers, claims)
    slots = {uid: math.floor(share) for uid, share in shares.items()}
    left = min(workers, sum(claim.wants for claim in claims)) - sum(slots.values())

    def turn(claim: Want) -> tuple[bool, float, float]:
        whole = slots[claim.uid]
        queued = claim.open > max(whole, claim.holds)
        return not queued, -claim.owed / claim.weight, whole - shares[claim.uid]

    parts = [claim for claim in claims if shares[claim.uid] > slots[claim.uid]]
    for claim in sorted(parts, key=turn)[:left]:
        slots[claim.uid] += 1
    free = workers - sum(slots.values())
    hungry = sum(claim.wants > 0 for claim in claims)
    most_owed = max((claim.owed / claim.weight for claim in parts), default=0.0)
    return Division(shares, slots, free, hungry, most_owed)


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

    def settle(self, share: float, seconds: float, trained: float, claim: Want) -> Want:
        """The claim with what is owed after `seconds` in which the experiment's fair share was
        `share`, and workers `trained` for so many worker-seconds."""
        least, most = (math.floor(share) - 1) * seconds, math.ceil(share) * seconds
        self.owed += share * seconds - max(least, min(trained, most))
        if claim.wants == 0:
            self.owed = 0.0
        elif share >= claim.wants:
            self.owed = min(self.owed, 0.0)
        return replace(claim, owed=self.owed)
