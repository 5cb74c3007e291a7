"""Who gets the next slot, and why: what `status` and the pages say."""

from typing import Any

import pytest

from asha_queue.coordinator.standing import standing
from asha_queue.store.contract import Claimant, Worker


def told(workers: int, **claims: dict[str, Any]) -> dict[str, Any]:
    """What is said of the queue "asha", with these claims of it by name."""
    claimants = [
        Claimant(name, claim["wants"], float(i), claim.pop("weight", 1.0), "asha", {"asha": claim})
        for i, (name, claim) in enumerate(claims.items())
    ]
    alive = [Worker(f"w{i}@node", {"queues": ["asha"]}, 1.0) for i in range(workers)]
    [found] = standing(claimants, alive, {name: name for name in claims})
    return found


def claim(wants: int, holds: int, queued: int = 0, first: int = 0, **more: Any) -> dict[str, Any]:
    waits = first if queued else None
    return {"wants": wants, "holds": holds, "open": holds + queued, "first": waits, **more}


@pytest.mark.parametrize(
    ("workers", "claims", "following", "says"),
    [
        (
            4,
            {"a": claim(9, 4), "b": claim(9, 0, 2)},
            "b",
            "the next slot of asha goes to b: it holds 0 of its 2 and has 2 segments queued; a "
            "holds 2 too many, lent until what they train has ended",
        ),
        (
            4,
            {"a": claim(9, 2, 1), "b": claim(9, 1, 1, first=3)},
            "b",
            "the next slot of asha goes to b: it holds 1 of its 2 and has 1 segment queued, of the "
            "highest level",
        ),
        (
            4,
            {"a": claim(9, 4, 1)},
            "a",
            "the next slot of asha goes to a: it alone wants any, and has 1 segment queued",
        ),
        (
            4,
            {"a": claim(9, 2), "b": claim(9, 2)},
            None,
            "a slot of asha that comes free stays with the experiment that had it: nobody holds "
            "less than its share",
        ),
        (8, {"a": claim(2, 2)}, None, "asha has free slots: nobody has more to train just now"),
        (
            0,
            {"a": claim(2, 0), "b": claim(2, 0)},
            None,
            "no live worker serves asha: a, b cannot go on there",
        ),
        (3, {"a": claim(0, 0)}, None, "nobody wants a slot of asha"),
    ],
)
def test_a_sentence_says_whom_the_next_slot_goes_to_and_why(
    workers: int, claims: dict[str, Any], following: str | None, says: str
) -> None:
    found = told(workers, **claims)
    assert (found["next"], found["says"]) == (following, says)


def test_each_experiment_has_its_weight_share_slots_and_what_is_lent_or_due() -> None:
    found = told(5, a=claim(9, 4, weight=2.0, owed=-7.25), b=claim(9, 1, 1, owed=3.0))
    first, second = found["experiments"]
    assert first["share"] == 3.333
    assert (first["slots"], first["holds"], first["lent"], first["due"]) == (3, 4, 1, 0)
    assert (second["slots"], second["holds"], second["lent"], second["due"]) == (2, 1, 0, 1)
    assert (first["owed_seconds"], second["owed_seconds"]) == (-7.2, 3.0)
    assert (found["slots"], found["held"]) == (5, 5)


def test_an_experiment_of_an_earlier_version_claims_what_it_wants_on_its_queue() -> None:
    claimants = [Claimant("u", 3, 1.0, 1.0, "big")]
    [found] = standing(claimants, [Worker("w@n", {"queues": ["big"]}, 1.0)], {"u": "old"})
    assert found["queue"] == "big"
    assert [(one["name"], one["wants"]) for one in found["experiments"]] == [("old", 3)]
