"""Suggestions made ahead by a thread."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asha_queue.samplers import ahead as module
from asha_queue.samplers.ahead import Ahead
from asha_queue.samplers.history import History
from asha_queue.samplers.sampler import Random, Sampler
from asha_queue.search.goal import Goal
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from tests.conftest import wait_until

MADE = Specification(
    name="s",
    train="s.py:train",
    metric="loss",
    mode="min",
    max_t=9,
    seed=7,
    sampler="random",
    space={"x": uniform(0, 1)},
)


class Counting(Sampler):
    """Suggests the number of results that it was shown, as soon as it may."""

    learns = True

    def __init__(self) -> None:
        super().__init__(MADE)
        self.may = threading.Event()
        self.may.set()
        self.asked: list[tuple[int, int]] = []
        self.broken = ""

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        self.asked.append((first, len(history.results)))
        assert self.may.wait(60)
        if self.broken:
            raise ValueError(self.broken)
        return [{"x": len(history.results)} for _ in range(n)]


@pytest.fixture
def sampler() -> Iterator[Counting]:
    sampler = Counting()
    yield sampler
    sampler.may.set()  # ends the thread


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH_PATIENCE", 60.0)


def grown(history: History, results: int) -> History:
    """With so many more results, each of a trial of its own."""
    for trial in range(len(history.configs), len(history.configs) + results):
        entry = {"trial": trial, "rung": 0, "attempt": 1}
        history.apply({"type": "scheduled", "target": 1, "config": {"x": 0}, **entry})
        history.apply({"type": "completed", "metrics": {"loss": 1.0}, **entry})
    return history


def drawn(first: int, n: int) -> list[dict[str, Any]]:
    return Random(MADE).suggest(History(Goal("loss", "min")), first, n)


def eventually(taken: Callable[[], Any], expected: Any) -> None:
    wait_until(lambda: taken() == expected, f"{expected} is ready")


def test_what_is_not_ready_in_time_is_drawn_at_random(sampler: Counting) -> None:
    sampler.may.clear()
    made = Ahead(MADE, sampler)
    assert made.take(History(Goal("loss", "min")), 5, 3, fresh=False) == drawn(5, 3)
    sampler.may.set()
    eventually(lambda: made.take(History(Goal("loss", "min")), 5, 3, fresh=False), [{"x": 0}] * 3)


def test_a_fresh_one_knows_the_last_result(sampler: Counting) -> None:
    made, history = Ahead(MADE, sampler), History(Goal("loss", "min"))
    for results in range(20):
        made.want(history, results, 4)
        assert made.take(history, results, 1, fresh=True) == [{"x": results}]
        grown(history, 1)


def test_one_of_an_older_history_serves_until_the_new_one_is_ready(sampler: Counting) -> None:
    made, history = Ahead(MADE, sampler), grown(History(Goal("loss", "min")), 10)
    assert made.take(history, 10, 2, fresh=True) == [{"x": 10}] * 2
    sampler.may.clear()
    grown(history, 10)
    made.want(history, 10, 2)
    assert made.take(history, 10, 2, fresh=False) == [{"x": 10}] * 2
    sampler.may.set()
    eventually(lambda: made.take(history, 10, 2, fresh=False), [{"x": 20}] * 2)


def test_nothing_is_made_anew_while_results_have_grown_by_little(sampler: Counting) -> None:
    made, history = Ahead(MADE, sampler), grown(History(Goal("loss", "min")), 100)
    assert made.take(history, 100, 2, fresh=True) == [{"x": 100}] * 2
    made.want(grown(history, 3), 100, 2)
    assert made.take(history, 100, 2, fresh=False) == [{"x": 100}] * 2
    assert sampler.asked == [(100, 100), (101, 100)]


def test_the_thread_sees_the_history_as_it_was_when_it_was_asked(sampler: Counting) -> None:
    sampler.may.clear()
    made, history = Ahead(MADE, sampler), grown(History(Goal("loss", "min")), 4)
    made.want(history, 4, 1)
    wait_until(lambda: sampler.asked, "the thread is at work")
    grown(history, 5)
    sampler.may.set()
    wait_until(lambda: not made._working, "the thread has ended")
    assert made.take(history, 4, 1, fresh=False) == [{"x": 4}]


def test_a_model_is_shown_what_was_suggested_before_as_in_training() -> None:
    class Aside(Counting):
        """Suggests how many trials are in training."""

        def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
            return [{"x": len(history.running)} for _ in range(n)]

    made, history = Ahead(MADE, Aside()), History(Goal("loss", "min"))
    assert made.take(history, 0, 3, fresh=True) == [{"x": 0}, {"x": 1}, {"x": 2}]
    assert made.take(history, 0, 5, fresh=True)[3:] == [{"x": 3}, {"x": 4}]
    assert (history.configs, history.running) == ([], {})


def test_a_model_that_fails_is_told_once_and_asked_again(
    sampler: Counting, caplog: pytest.LogCaptureFixture
) -> None:
    made, history = Ahead(MADE, sampler), History(Goal("loss", "min"))
    sampler.broken = "singular matrix"
    assert made.take(history, 0, 3, fresh=True) == drawn(0, 3)
    assert made.take(grown(history, 1), 1, 3, fresh=True) == drawn(1, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "s: sampler random has failed on trial 0 (ValueError: singular matrix); trials are drawn "
        "at random as long as it does"
    ]
    sampler.broken = ""
    assert made.take(grown(history, 1), 2, 1, fresh=True) == [{"x": 2}]


def test_what_is_past_is_not_kept(sampler: Counting) -> None:
    made, history = Ahead(MADE, sampler), History(Goal("loss", "min"))
    made.take(history, 0, 50, fresh=True)
    made.want(history, 40, 12)
    made.take(history, 40, 12, fresh=True)
    assert [*made._made] == [*range(40, 52)]
