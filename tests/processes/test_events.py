"""What Flower, or any other listener to Celery's events, sees of a segment."""

import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from asha_queue.queue import make_app
from tests.conftest import wait_until
from tests.processes.lab import Lab, kill
from tests.processes.test_deaths import WAITING

Event = dict[str, Any]


@pytest.fixture
def events(lab: Lab) -> Iterator[list[Event]]:
    """All events that come while the test runs."""
    seen: list[Event] = []
    app = make_app(lab.broker)
    listening, stop = threading.Event(), threading.Event()

    def listen() -> None:
        with app.connection_for_read() as connection:
            receiver = app.events.Receiver(connection, handlers={"*": seen.append})
            with receiver.consumer_context() as (own, _, _):
                listening.set()
                while not stop.is_set():
                    try:
                        own.drain_events(timeout=0.1)
                    except TimeoutError:
                        continue

    thread = threading.Thread(target=listen)
    thread.start()
    listening.wait(10)
    yield seen
    stop.set()
    thread.join()


def wait_for_event(
    events: list[Event], kind: str, matches: Callable[[Event], bool] = lambda _: True
) -> Event:
    def found() -> list[Event]:
        return [event for event in events if event["type"] == kind and matches(event)]

    wait_until(found, f"an event {kind}", 20.0)
    return found()[0]


def test_progress_is_told_about_once_a_second_and_never_after_the_result(
    lab: Lab, events: list[Event]
) -> None:
    lab.worker()
    lab.submit(
        """
        import time

        def train(trial):
            for step in trial.steps():
                trial.report(score=step / 100)
                time.sleep(0.05)
        """,
        target=60,
    )
    done = wait_for_event(events, "task-succeeded")
    told = [event for event in events if event["type"] == "task-progress"]
    assert 2 <= len(told) <= 5
    assert {event["uuid"] for event in told} == {done["uuid"]}
    assert {event["hostname"] for event in told} == {"w@lab"}
    assert all(re.fullmatch(r"step \d+/60 score=0\.\d+", event["result"]) for event in told)
    assert done["result"] == "'trial 0 completed at 60: score=0.6'"
    assert events.index(done) > max(events.index(event) for event in told)


def test_a_failed_segment_is_a_failure_with_its_reason(lab: Lab, events: list[Event]) -> None:
    lab.worker()
    lab.submit("def train(trial): raise ValueError('a bad start')", retries=0)
    failed = wait_for_event(events, "task-failed")
    assert "trial 0 failed (final): ValueError: a bad start" in failed["exception"]


def test_a_killed_training_process_is_a_failure_with_its_signal(
    lab: Lab, events: list[Event]
) -> None:
    lab.worker()
    lab.submit(WAITING)
    kill(lab.pid("pid1"))
    failed = wait_for_event(events, "task-failed")
    assert "SIGKILL" in failed["exception"]


def test_a_task_that_died_with_its_worker_is_a_failure_too(lab: Lab, events: list[Event]) -> None:
    worker = lab.worker()
    lab.submit(WAITING)
    lab.pid("pid1")
    started = wait_for_event(events, "task-started")
    worker.kill()
    failed = wait_for_event(events, "task-failed")
    assert failed["uuid"] == started["uuid"]
    assert failed["hostname"] == "w@lab"
    assert "w@lab was ended while it trained this segment" in failed["exception"]


def test_a_segment_whose_process_is_replaced_for_what_it_left_running_is_a_success(
    lab: Lab, events: list[Event]
) -> None:
    lab.worker()
    lab.submit(
        """
        import subprocess

        def train(trial):
            subprocess.Popen(["sleep", "60"])
            return 1.0
        """
    )
    done = wait_for_event(events, "task-succeeded")
    assert done["result"] == "'trial 0 completed at 3: score=1'"
    assert not [event for event in events if event["type"] == "task-failed"]


def test_the_events_of_short_tasks_are_sent_together(lab: Lab, events: list[Event]) -> None:
    lab.worker()
    client = redis.Redis.from_url(lab.broker)
    before = int(client.info("commandstats")["cmdstat_publish"]["calls"])
    lab.submit("def train(trial):\n    return 1.0\n", [{}] * 40)
    wait_until(lambda: ended(events) == 40, "each task has its events", 60.0)
    published = int(client.info("commandstats")["cmdstat_publish"]["calls"]) - before
    client.close()
    assert sum(event["type"].startswith("task-") for event in events) >= 3 * 40
    assert published < 2 * 40


def ended(events: list[Event]) -> int:
    return sum(event["type"] == "task-succeeded" for event in events)
