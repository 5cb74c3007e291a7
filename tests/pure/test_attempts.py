"""The attempts of a trial, folded from the journal: what `asha-queue logs` shows as headers."""

from typing import Any

from asha_queue.result import Attempts


def attempts(*entries: dict[str, Any]) -> list[str]:
    """The headers of trial 3 after these entries, of trial 3 unless they say otherwise."""
    found = Attempts(3)
    for entry in entries:
        found.apply({"trial": 3, "rung": 0, "attempt": 1} | entry)
    return [str(one) for one in found.all]


SCHEDULED = {"type": "scheduled", "target": 4}
STARTED = {"type": "started", "worker": "gpu0@a", "start": 1}


def test_an_attempt_is_queued_then_running_then_what_it_ended_as() -> None:
    assert attempts(SCHEDULED) == ["rung 0 attempt 1  0 → 4  queued"]
    running = "rung 0 attempt 1  gpu0@a  1 → 4"
    assert attempts(SCHEDULED, STARTED) == [f"{running}  running"]
    for kind in ("completed", "suspended"):
        ended = {"type": kind, "reached": 3}
        assert attempts(SCHEDULED, STARTED, ended) == [f"{running}  {kind} at 3"]
    lost = {"type": "lost", "reason": "the worker died"}
    assert attempts(SCHEDULED, STARTED, lost) == [f"{running}  lost: the worker died"]
    failed = {"type": "failed", "reached": 2, "error": "ValueError: no\n  in line 7"}
    assert attempts(SCHEDULED, STARTED, failed) == [f"{running}  failed at 2: ValueError: no"]


def test_the_times_are_those_of_the_journal_and_the_checkpoint_that_of_the_end() -> None:
    found = Attempts(3)
    saved = {"path": "p", "resource": 4}
    ended = {"type": "completed", "reached": 4, "checkpoint": saved}
    for at, entry in enumerate((SCHEDULED, STARTED, ended)):
        found.apply({"trial": 3, "rung": 0, "attempt": 1, "at": float(at)} | entry)
    (one,) = found.all
    assert (one.scheduled_at, one.started_at, one.ended_at) == (0.0, 1.0, 2.0)
    assert one.checkpoint == saved


def test_attempts_stand_in_the_order_in_which_they_were_scheduled() -> None:
    again = {"attempt": 2, "type": "scheduled", "target": 4}
    higher = {"rung": 1, "type": "scheduled", "target": 16}
    assert [header.split("  ")[0] for header in attempts(SCHEDULED, again, higher)] == [
        "rung 0 attempt 1",
        "rung 0 attempt 2",
        "rung 1 attempt 1",
    ]


def test_other_trials_and_what_has_no_attempt_leave_them_alone() -> None:
    others = ({"trial": 4, **STARTED}, {"type": "warning", "attempt": None, "rung": None})
    assert attempts(SCHEDULED, *others) == ["rung 0 attempt 1  0 → 4  queued"]
    assert attempts(STARTED) == []


def test_cancelling_the_experiment_ends_what_was_open_only() -> None:
    completed = {"type": "completed", "reached": 4}
    again = {"rung": 1, "type": "scheduled", "target": 16}
    cancelled = {"type": "cancelled", "trial": None}
    assert [
        one.rpartition("  ")[2] for one in attempts(SCHEDULED, completed, again, cancelled)
    ] == [
        "completed at 4",
        "cancelled",
    ]


def test_an_attempt_is_told_what_was_evicted_after_it_and_what_it_had_to_train_again() -> None:
    found = Attempts(3)
    higher = {"rung": 1, "attempt": 1}
    gone = {"type": "evicted", "checkpoints": ["b"], "reached": 4}
    again = {"type": "warning", "what": "its checkpoint at 4 was evicted, it trains again from 1"}
    for entry in (
        {"rung": 0, "attempt": 1, **SCHEDULED},
        {"rung": 0, "attempt": 1, **STARTED},
        {"rung": 0, "attempt": 1, "type": "completed", "reached": 4},
        {"rung": 0, **gone, "left": 4},
        {"rung": 0, **gone, "left": 1},
        {"rung": 0, **gone, "left": 0, "trial": 5},
        {**higher, "type": "scheduled", "target": 16},
        {"rung": 1, **again},
        {**higher, **STARTED},
    ):
        found.apply({"trial": 3} | entry)
    first, second = found.all
    assert first.notes == [
        "older checkpoints than that at 4 were evicted: they are not needed",
        "its checkpoint at 4 was evicted: it is not needed; training would go on from 1",
    ]
    assert second.notes == [again["what"]]
