"""Who gets how many of the fleet's slots: one pure function, so that all leaders compute alike."""

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Want:
    """How many slots an experiment could use now, and its weight beside the others."""

    uid: str
    wants: int
    weight: float = 1.0


def divide(workers: int, claims: Sequence[Want]) -> dict[str, int]:
    """Divides `workers` slots among experiments in proportion to their weights.

    Max-min fair: nobody gets more than it wants, and what one leaves goes to the others by their
    weights. The rest of a division that is not even goes to the largest remainders, and among equal
    ones to the first in the order of `claims`; so each share is within one slot of its weight's.

    Returns slots by uid; their sum is at most `workers`.
    """
    slots = {claim.uid: 0 for claim in claims}
    hungry = [claim for claim in claims if claim.wants > 0]
    left = workers
    while hungry and left > 0:
        total = sum(claim.weight for claim in hungry)
        quotas = {claim.uid: left * claim.weight / total for claim in hungry}
        full = [claim for claim in hungry if claim.wants <= quotas[claim.uid]]
        if not full:
            slots |= _rounded(quotas, left)
            break
        for claim in full:
            slots[claim.uid] = claim.wants
            left -= claim.wants
        hungry = [claim for claim in hungry if claim not in full]
    return slots


def _rounded(quotas: dict[str, float], total: int) -> dict[str, int]:
    """Whole parts that add up to `total`, by largest remainder."""
    parts = {uid: math.floor(quota) for uid, quota in quotas.items()}
    by_remainder = sorted(quotas, key=lambda uid: parts[uid] - quotas[uid])
    for uid in by_remainder[: total - sum(parts.values())]:
        parts[uid] += 1
    return parts


def lead(slots: int, alone: bool) -> int:
    """Segments kept queued beyond the slots, so that a worker that ends one finds the next.

    With one slot there is none: each decision then waits for the result before it, and a run is
    repeatable. With more, a queued new trial only stands for "the next new trial": a promotion
    that comes up meanwhile overtakes it by priority. Beside other experiments that want slots
    there is none either: it would take the slot that another's next segment is about to fill.
    """
    return slots // 2 if alone else 0
