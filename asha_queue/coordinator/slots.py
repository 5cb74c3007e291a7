"""Who gets how many of the fleet's slots: one pure function, so that all leaders compute alike."""

from collections.abc import Mapping


def divide(workers: int, wants: Mapping[str, int]) -> dict[str, int]:
    """Divides `workers` slots among experiments, given how many each could use now.

    Max-min fair: nobody gets more than it wants, and what one leaves goes to the others in equal
    parts. Slots that cannot be split evenly go to the first ones in the order of `wants`.

    Returns slots by uid; their sum is at most `workers`.
    """
    slots = dict.fromkeys(wants, 0)
    left = workers
    while left > 0:
        hungry = [uid for uid, want in wants.items() if slots[uid] < want]
        if not hungry:
            break
        part = max(1, left // len(hungry))
        for uid in hungry:
            given = min(part, wants[uid] - slots[uid], left)
            slots[uid] += given
            left -= given
    return slots


def lead(slots: int) -> int:
    """Segments kept queued beyond the slots, so that a worker that ends one finds the next.

    With one slot there is none: each decision then waits for the result before it, and a run is
    repeatable. With more, a queued new trial only stands for "the next new trial": a promotion
    that comes up meanwhile overtakes it by priority.
    """
    return slots // 2
