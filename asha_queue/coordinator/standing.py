"""Who stands where on each queue, and who gets its next slot: for people, from what leaders claim.

A slot is free when a worker ends its segment. What is queued then decides: the highest level first,
whosever it is, and of one level what was queued first. Leaders queue no more than their slots
(`slots.py`), so whoever has a segment queued is below its share, or nobody else wants the slot.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from asha_queue.coordinator.fleet import claims_of, wants
from asha_queue.coordinator.slots import Want, divide
from asha_queue.store.contract import Claimant, Worker


def standing(
    claimants: Sequence[Claimant], workers: Sequence[Worker], names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """For each queue that open experiments claim slots of: its workers that take segments, a line
    for each experiment, whom the `next` slot goes to and, in a sentence, why. `names` by uid."""
    told = [claims_of(one) for one in claimants]
    queues = sorted({queue for one in told for queue in one.wants})
    found = []
    for queue in queues:
        able = sum(not w.aside and queue in w.info.get("queues", ()) for w in workers)
        claims = [claim for claim in wants(told, queue) if claim.uid in names]
        rows = _rows(able, claims, names)
        following, says = _next(queue, able, rows)
        found.append(
            {
                "queue": queue,
                "slots": able,
                "held": sum(row["holds"] for row in rows),
                "experiments": rows,
                "next": following,
                "says": says,
            }
        )
    return found


def _rows(able: int, claims: Sequence[Want], names: Mapping[str, str]) -> list[dict[str, Any]]:
    division = divide(able, claims)
    shares, slots = division.shares, division.slots
    return [
        {
            "name": names[claim.uid],
            "uid": claim.uid,
            "weight": claim.weight,
            "share": round(shares[claim.uid], 3),
            "slots": slots[claim.uid],
            "holds": claim.holds,
            "wants": claim.wants,
            "queued": max(0, claim.open - claim.holds),
            "level": claim.first,
            "lent": max(0, claim.holds - slots[claim.uid]),
            "due": max(0, slots[claim.uid] - claim.holds),
            "owed_seconds": round(claim.owed, 1),
        }
        for claim in claims
    ]


def _next(queue: str, able: int, rows: Sequence[Mapping[str, Any]]) -> tuple[str | None, str]:
    """Whom the next slot goes to, None if that is not known yet, and why."""
    hungry = [row for row in rows if row["wants"]]
    if not hungry:
        return None, f"nobody wants a slot of {queue}"
    if not able:
        return None, f"no live worker serves {queue}: {_listed(hungry)} cannot go on there"
    queued = [row for row in hungry if row["queued"] and row["level"] is not None]
    if not queued:
        if sum(row["holds"] for row in rows) < able:
            return None, f"{queue} has free slots: nobody has more to train just now"
        return None, (
            f"a slot of {queue} that comes free stays with the experiment that had it: nobody "
            f"holds less than its share"
        )
    first = max(queued, key=lambda row: (row["level"], row["due"], row["owed_seconds"]))
    return first["name"], f"the next slot of {queue} goes to {first['name']}: {_why(first, hungry)}"


def _why(first: Mapping[str, Any], hungry: Sequence[Mapping[str, Any]]) -> str:
    segments = f"{first['queued']} segment{'' if first['queued'] == 1 else 's'} queued"
    if len(hungry) == 1:
        return f"it alone wants any, and has {segments}"
    others = [row for row in hungry if row is not first]
    why = f"it holds {first['holds']} of its {first['slots']} and has {segments}"
    if all(row["queued"] == 0 or row["level"] < first["level"] for row in others):
        higher = any(row["queued"] for row in others)
        why += ", of the highest level" if higher else ""
    if lenders := [row for row in others if row["lent"]]:
        much = " and ".join(f"{row['name']} holds {row['lent']} too many" for row in lenders[:3])
        why += f"; {much}, lent until what they train has ended"
    return why


def _listed(rows: Sequence[Mapping[str, Any]]) -> str:
    names = [row["name"] for row in rows[:3]]
    return ", ".join(names) + (f" and {len(rows) - 3} more" if len(rows) > 3 else "")
