"""The pulse: when a program has been silent, or in training, for too long."""

import math
import os
import time
from pathlib import Path

import pytest

from asha_queue.training.children import Child, Held, Loading
from asha_queue.training.line import Granted
from asha_queue.training.pulse import REPORT_TIMEOUT, SAVING, STEPS, USUAL_STEPS, Pulse, Reading


class Clock:
    """The monotonic clock, as the pulse sees it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def pulse(tmp_path: Path) -> tuple[Pulse, Reading]:
    """Both ends."""
    line = str(tmp_path / "keeper")
    return Pulse(line), Reading(line, os.getpid())


Ends = tuple[Pulse, Reading]


def test_silence_counts_from_the_start_and_from_each_report(clock: Clock, pulse: Ends) -> None:
    program, keeper = pulse
    assert keeper.silent_at() == keeper.trained_at(5.0) == math.inf
    program.begin(4, 10.0)
    assert (keeper.silent_at(), keeper.trained_at(60.0), keeper.reached) == (1010.0, 1060.0, 4)
    clock.now += 7
    program.report(5)
    assert (keeper.silent_at(), keeper.trained_at(60.0), keeper.reached) == (1017.0, 1060.0, 5)
    program.end()
    assert keeper.silent_at() == keeper.trained_at(5.0) == math.inf


def test_by_default_many_usual_steps_of_silence_are_allowed(clock: Clock, pulse: Ends) -> None:
    program, keeper = pulse
    program.begin(0, None)
    for step in range(STEPS):  # short ones
        clock.now += 1
        program.report(step)
    assert keeper.patience == REPORT_TIMEOUT
    for step in range(STEPS):  # long ones: once they are the more usual, so is patience
        clock.now += 600
        program.report(STEPS + step)
    assert keeper.patience == USUAL_STEPS * 600
    for step in range(STEPS):
        clock.now += 1
        program.report(2 * STEPS + step)
    assert keeper.patience == REPORT_TIMEOUT


def test_a_checkpoint_may_take_its_time_and_counts_as_a_sign(clock: Clock, pulse: Ends) -> None:
    program, keeper = pulse
    program.begin(0, 10.0)
    clock.now += 5
    with program.saving():
        assert keeper.silent_at() == 1005.0 + SAVING
        clock.now += 600
    assert keeper.silent_at() == 1605.0 + 10.0


def test_no_time_passes_while_the_server_does_not_answer(clock: Clock, pulse: Ends) -> None:
    program, keeper = pulse
    program.begin(0, 10.0)
    clock.now += 5
    with program.stopped():
        clock.now += 600
        assert keeper.silent_at() == keeper.trained_at(20.0) == math.inf
    assert keeper.silent_at() == 1610.0
    assert keeper.trained_at(20.0) == 1620.0
    program.end()
    with program.stopped():
        clock.now += 5
    assert keeper.trained_at(20.0) == math.inf


def child(reading: Reading, granted: Granted) -> Child:
    found = Child(connection=None)
    found.pulse = reading
    found.held = Held("u", 17, "claim", "task", granted)
    return found


@pytest.mark.parametrize(
    ("segment", "report", "passed", "said"),
    [
        (None, None, 1799.0, ""),
        (None, None, 1801.0, "no report for 1800 s; set report_timeout if steps take more"),
        (None, 5.0, 6.0, "no report for longer than report_timeout=5 s"),
        (7.5, None, 8.0, "trained for longer than segment_timeout=7.5 s"),
        (7.5, 100.0, 7.0, ""),
    ],
)
def test_what_is_overdue_is_told_in_a_sentence_with_where_to_look(
    clock: Clock,
    pulse: Ends,
    segment: float | None,
    report: float | None,
    passed: float,
    said: str,
) -> None:
    program, keeper = pulse
    overdue = child(keeper, Granted(1, "digits", "/log", segment, report))
    program.begin(0, report)
    clock.now += passed
    expected = f"{said}; its stack: asha-queue logs digits 17" if said else ""
    assert overdue.overdue(clock.now) == expected


def test_an_import_that_does_not_end_is_overdue_too(clock: Clock, pulse: Ends) -> None:
    program, keeper = pulse
    loading = Child(connection=None)
    loading.pulse, loading.loading = keeper, Loading("u", 17, 0, 1)
    program.begin(0, None)
    assert loading.overdue(clock.now) == ""
    clock.now += REPORT_TIMEOUT
    said = "the program's import has not ended after 1800 s"
    assert loading.overdue(clock.now) == said
