"""Live reports: what is sent from behind the program, and when it is put into words."""

from functools import partial
from typing import Any, cast

import pytest

from asha_queue.queue import Events
from asha_queue.store.contract import Store
from asha_queue.training import live
from asha_queue.training.live import LiveReports
from tests.conftest import wait_until


class Receiver:
    """Store and events in one; keeps what it is sent."""

    def __init__(self) -> None:
        self.points: list[tuple[str, dict[str, Any]]] = []
        self.told: list[tuple[str, str]] = []

    def report(self, uid: str, points: list[dict[str, Any]]) -> None:
        self.points += [(uid, point) for point in points]

    def progress(self, task: str, text: str) -> None:
        self.told.append((task, text))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def reports(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> LiveReports:
    monkeypatch.setattr(live, "FLUSH_EVERY", 0.05)
    return LiveReports(cast(Store, receiver), cast(Events, receiver))


def test_every_point_is_sent_in_order(reports: LiveReports, receiver: Receiver) -> None:
    expected = [("u1", {"step": step}) for step in range(live.WAITING)]
    for uid, point in expected:
        reports.add(uid, point)
    wait_until(lambda: len(receiver.points) == len(expected), "all points are sent")
    assert receiver.points == expected


def test_points_of_later_flushes_are_sent_too(reports: LiveReports, receiver: Receiver) -> None:
    reports.add("u1", {"step": 1})
    wait_until(lambda: len(receiver.points) == 1, "the first is sent")
    reports.add("u1", {"step": 2})
    wait_until(lambda: len(receiver.points) == 2, "the second is sent")


def test_progress_is_put_into_words_only_when_it_is_sent(
    reports: LiveReports, receiver: Receiver
) -> None:
    worded: list[int] = []

    def word(step: int) -> str:
        worded.append(step)
        return f"step {step}"

    for step in range(1000):
        reports.tell("task", partial(word, step))
    wait_until(lambda: receiver.told, "it is told")
    assert receiver.told == [("task", f"step {worded[0]}")]
    assert len(worded) == 1


def test_no_progress_is_told_of_a_task_that_is_done(
    reports: LiveReports, receiver: Receiver
) -> None:
    reports.tell("task", lambda: "step 1")
    reports.done()
    reports.add("u1", {"step": 1})
    wait_until(lambda: receiver.points, "a flush after it")
    reports.add("u1", {"step": 2})
    wait_until(lambda: len(receiver.points) == 2, "another flush")
    assert not receiver.told
