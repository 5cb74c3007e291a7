"""Recovery and idleness, read off journals made by hand."""

from typing import Any

from tests.chaos.recovery import Journals
from tests.chaos.scene import Hit
from tests.chaos.witness import Attempt, Entry


def entry(kind: str, at: float, trial: int, attempt: int = 1, worker: str = "w0") -> Entry:
    facts: dict[str, Any] = {"type": kind, "at": at, "trial": trial, "rung": 0, "attempt": attempt}
    return facts | ({"worker": worker} if kind != "scheduled" else {})


#: Trial 0 is lost at 2.5 and started again by another worker at 4; trial 1 waits until 9.
JOURNALS = Journals(
    {
        "u": [
            entry("scheduled", 0.0, 0),
            entry("started", 1.0, 0),
            entry("lost", 2.5, 0),
            entry("scheduled", 2.5, 0, 2),
            entry("scheduled", 3.0, 1),
            entry("started", 4.0, 0, 2, "w1"),
            entry("completed", 8.0, 0, 2, "w1"),
            entry("started", 9.0, 1),
            entry("completed", 10.0, 1),
        ]
    }
)


def test_a_killed_segment_has_recovered_when_its_next_attempt_starts() -> None:
    assert JOURNALS.recovery(Hit("training", at=2.0, struck=["w0"])) == 2.0


def test_a_worker_that_held_nothing_has_recovered_when_it_starts_something() -> None:
    assert JOURNALS.recovery(Hit("worker", at=5.0, struck=["w0"])) == 4.0


def test_a_segment_that_the_fault_has_missed_needs_nothing() -> None:
    assert JOURNALS.recovery(Hit("training", at=6.0, struck=["w1"])) == 2.0  # its own end


def test_recovery_counts_from_the_end_of_a_fault_that_lasts() -> None:
    hit = Hit("server", at=2.0, over=3.0, workers=["w0", "w1"])
    assert JOURNALS.recovery(hit) == 6.0  # w1 at 4, w0 at 9


def test_a_deleted_message_has_recovered_when_its_segment_starts() -> None:
    assert JOURNALS.recovery(Hit("delete", at=3.5, queued=[Attempt("u", 1, 0, 1)])) == 5.5


def test_a_led_experiment_has_recovered_with_its_next_decision() -> None:
    assert JOURNALS.recovery(Hit("coordinator", at=0.5, led=["u"])) == 2.5
    assert JOURNALS.recovery(Hit("coordinator", at=3.5, led=["u"])) is None


def test_workers_are_idle_only_while_a_segment_waits() -> None:
    idle = JOURNALS.idle(["w0", "w1"])
    # w0 from 2.5 to 9 (trial 0, then 1 waits); w1 from 2.5 to 4, and from 8 to 9
    assert (idle.seconds, idle.longest, idle.of) == (9.0, 6.5, 18.0)
    assert JOURNALS.gaps(["w0", "w1"], 1.0, 10.0) == 6.5
