"""What is put into the queue and told of it is what Celery itself would send, in one go."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Queue

from asha_queue.queue import KEYS, TASK, Publisher, lists, make_app, shown
from asha_queue.settings import FORMAT
from asha_queue.store import connect
from asha_queue.store.contract import QueuedSegment, ScheduledSegment

SEGMENTS = [QueuedSegment(n, 0, n % 3, 4 ** (n % 3), 1 + n % 2, {"lr": n / 7}) for n in range(7)]
#: Drawn anew for every message, or counted.
DRAWN = ("id", "root_id", "correlation_id", "delivery_tag", "uuid", "clock", "timestamp", "origin")


class Wire:
    """The server of a broker, and what comes over it."""

    def __init__(self, broker: str) -> None:
        self._client = redis.Redis.from_url(broker)
        self._events = self._client.pubsub()  # type: ignore[no-untyped-call]
        self._events.psubscribe("*celeryev*")
        assert self._events.get_message(timeout=5)

    def messages(self, queue: str) -> list[dict[str, Any]]:
        """Takes what is in the lists of a queue, those that come first first."""
        found = []
        for key in lists(queue):
            while text := self._client.rpop(key):
                assert isinstance(text, bytes)
                found.append(plain(json.loads(text)) | {"list": key})
                found[-1]["body"] = json.loads(decoded(found[-1]))
        return found

    def events(self) -> Iterator[Any]:
        """What Flower was told, message by message."""
        while message := self._events.get_message(timeout=0.5):
            body = json.loads(message["data"])
            yield plain(body["headers"]), plain(json.loads(decoded(body)))

    def close(self) -> None:
        self._events.close()
        self._client.close()


def decoded(body: dict[str, Any]) -> str:
    return base64.b64decode(body["body"]).decode()


def plain(value: Any) -> Any:
    """Without what differs each time."""
    if isinstance(value, list):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items() if name not in DRAWN}
    return value


@pytest.fixture
def wire(broker: str) -> Iterator[Wire]:
    made = Wire(broker)
    yield made
    made.close()


def test_messages_and_events_are_those_that_celery_sends(wire: Wire, broker: str) -> None:
    app = make_app(broker)
    for segment in SEGMENTS:
        about = {"trial": segment.trial, "rung": segment.rung, "attempt": segment.attempt}
        app.send_task(
            TASK,
            kwargs={"uid": "u", **about, "v": FORMAT},
            kwargsrepr=shown(segment, "gpu"),
            queue=Queue("gpu"),
            priority=9 - segment.rung,
            ignore_result=True,
        )
    theirs, told = wire.messages("gpu"), list(wire.events())
    Publisher(broker).publish("u", SEGMENTS, "gpu")
    for ours, celerys in zip(wire.messages("gpu"), theirs, strict=True):
        # where a result would go, and an option that only came along
        unread = {name: celerys["properties"].pop(name) for name in ("reply_to", "kwargsrepr")}
        assert ours["headers"]["kwargsrepr"] == unread["kwargsrepr"]
        assert ours["properties"].pop("reply_to") == ""
        assert ours == celerys
    assert len(theirs) == len(SEGMENTS)
    assert len(told) == len(SEGMENTS)
    [(headers, events)] = wire.events()
    assert events == [event for _, event in told]
    assert headers == told[0][0]


def test_segments_of_higher_rungs_come_first_and_in_their_order(wire: Wire, broker: str) -> None:
    Publisher(broker).publish("u", SEGMENTS)
    trials = [message["body"][1]["trial"] for message in wire.messages("asha")]
    assert trials == [2, 5, 1, 4, 0, 3, 6]


def test_many_are_sent_in_a_few_round_trips(broker: str) -> None:
    publisher = Publisher(broker)
    publisher.publish("u", SEGMENTS)
    client = redis.Redis.from_url(broker)
    received = client.info("clients")["connected_clients"]
    before = client.info("stats")["total_reads_processed"]
    publisher.publish("u", SEGMENTS * 50)
    assert client.info("stats")["total_reads_processed"] - before < 175  # or 700
    assert client.info("clients")["connected_clients"] == received
    assert client.llen(KEYS + "asha") == 0  # their priorities have lists of their own
    client.close()


def test_a_message_that_was_taken_is_nowhere_any_more(broker: str) -> None:
    Publisher(broker).publish("uid", SEGMENTS[:2])
    app = make_app(broker)
    came: list[Any] = []
    with app.connection_for_read() as connection, redis.Redis.from_url(broker) as client:
        channel = connection.default_channel
        with app.amqp.TaskConsumer(channel, on_message=came.append):
            connection.drain_events(timeout=10)
        assert len(came) == 1
        assert not client.keys(f"{KEYS}unacked*")


def test_what_is_sent_is_marked_as_published(broker: str) -> None:
    store = connect(broker)
    store.submit("u", "digits", {"name": "digits", "retries": 1})
    new = [ScheduledSegment(trial, 0, 0, 1, {}) for trial in range(3)]
    assert store.schedule("u", store.describe("u").last, "r", new) == "ok"
    first, *others = store.due("u")
    assert Publisher(broker).publish("u", [first])
    assert store.due("u") == others
    store.close()
