"""Celery as it is used here: its settings, publishing by task name, and events for Flower.

Rules

* A message is a hint. It names a segment (uid, trial, rung, attempt); what is to be done is read
  when it is claimed. It may be lost, late or doubled without harm, so it is never acknowledged, and
  its task has no result, no retry and no time limit.
* Priority 0 is first. Segments of a higher level overtake those of a lower one, across all queues
  that a worker serves.
* Events are for people: they are dropped rather than waited for.
"""

import contextlib
import os
import uuid
from collections.abc import Mapping, Sequence
from functools import cache

import msgspec
from celery import Celery
from celery.events.event import Event
from celery.utils.nodenames import anon_nodename
from celery.utils.time import utcoffset
from kombu.entity import PERSISTENT_DELIVERY_MODE, TRANSIENT_DELIVERY_MODE, Queue
from kombu.exceptions import OperationalError

from asha_queue import tls
from asha_queue.errors import StoreUnavailable
from asha_queue.search.configuration import short
from asha_queue.search.rooms import QUEUE as QUEUE  # that of experiments that name no other
from asha_queue.sentinel import Sentinels, is_sentinel
from asha_queue.settings import FORMAT
from asha_queue.store import messages
from asha_queue.store.contract import QueuedSegment

#: Name of the one Celery task.
TASK = "asha_queue.train_segment"
#: Priorities of a Redis queue, 0 to 9.
PRIORITIES = 10
#: Beginning of every key that kombu writes: other applications on the database keep theirs.
KEYS = "asha:celery:"
#: Seconds that the broker may take to answer.
TIMEOUT = 3.0
#: Characters of the line by which Flower shows a segment.
SHOWN = 200


def make_app(broker: str, queues: Sequence[str] = (QUEUE,)) -> Celery:
    """The Celery application on `broker`, for workers of `queues`, publishers and Flower alike."""
    transport: dict[str, object] = {}
    if is_sentinel(broker):
        sentinels = Sentinels.of(broker)
        broker = sentinels.for_kombu()
        transport = {
            "master_name": sentinels.master,
            "sentinel_kwargs": sentinels.asking(),
            # a frozen primary is left for its successor after one of these or, while nothing but
            # messages is waited for, twice the other
            "socket_timeout": 3,
            "health_check_interval": 3,
        }
    encrypted = tls.options(broker)
    broker = tls.bare(broker)
    app = Celery("asha_queue", broker=broker, set_as_current=False)
    app.conf.update(
        # without these two CELERY_BROKER_URL would win over what was decided here
        broker_read_url=broker,
        broker_write_url=broker,
        # left to itself, kombu does not verify the server
        broker_use_ssl=encrypted or None,
        broker_transport_options={
            "priority_steps": list(range(PRIORITIES)),
            "queue_order_strategy": "priority",
            # other applications on the database keep theirs
            "global_keyprefix": KEYS,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 10,
            **transport,
        },
        # the default gives up after about 45 minutes without a server
        broker_connection_max_retries=None,
        broker_connection_retry_on_startup=True,
        # a server that refuses (too few replicas, a full disk) is one to connect to again
        broker_channel_error_retry=True,
        task_default_queue=QUEUE,
        # nothing is acknowledged: what dies with its worker is published again, as with a message
        # that was acknowledged early, and each one is spared two writes to the server's disk
        task_queues=[Queue(name, no_ack=True) for name in queues],
        task_create_missing_queues=False,
        # a busy worker holds no second message, so promotions overtake exactly
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        task_acks_late=False,
        task_ignore_result=True,
        task_serializer="json",
        accept_content=["json"],
        worker_pool="prefork",
        worker_concurrency=1,
        # a spawned child that imports torch takes longer than the default of 4 s
        worker_proc_alive_timeout=120,
        # nobody waits for the result of a lost child: it is given up at once
        worker_lost_wait=0.1,
        worker_hijack_root_logger=False,
        # programs print to the descriptors themselves, which go to the segment's log
        worker_redirect_stdouts=False,
        worker_send_task_events=True,
        task_send_sent_event=True,
    )
    return app


class Publisher:
    """Puts segments into the queue, and tells Flower of them."""

    def __init__(self, broker: str) -> None:
        self._app = make_app(broker)
        self._hostname = anon_nodename()
        self._messages = messages(broker, TIMEOUT)
        #: What Celery itself would send for a segment, but for what differs from one to the next.
        self._form = self._app.amqp.as_task_v2(
            *("", TASK),
            kwargsrepr="",
            origin=self._hostname,
            ignore_result=True,
            create_sent_event=True,
        )

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str = QUEUE) -> bool:
        """Sends one message for each segment to `queue`, each with a new task id, and marks them as
        published, in one go; True.

        Raises StoreUnavailable when the broker does not take them; some may have been sent.
        """
        # by hand: Celery goes to the broker and back for each message, twice, and kombu spends far
        # more on one than it takes to decide on it
        keys = lists(queue)
        sent: dict[str, list[bytes]] = {}
        events = []
        for segment in segments:
            task, text = str(uuid.uuid4()), shown(segment, queue)
            place = priority(segment.bracket, segment.rung)
            message = self._message(uid, segment, queue, task, text, place)
            sent.setdefault(keys[place], []).append(message)
            events.append(self._event(queue, task, text))
        try:
            marks = [(segment.trial, segment.rung, segment.attempt) for segment in segments]
            self._messages.send(sent, *self._told(events), uid, marks)
        except StoreUnavailable as error:
            raise StoreUnavailable(f"the broker takes no message: {error}") from None
        return True

    def _message(
        self, uid: str, segment: QueuedSegment, queue: str, task: str, text: str, place: int
    ) -> bytes:
        hint = {
            "uid": uid,
            "trial": segment.trial,
            "rung": segment.rung,
            "attempt": segment.attempt,
            "v": FORMAT,
        }
        arguments, _, after = self._form.body
        headers = self._form.headers | {"id": task, "root_id": task, "kwargsrepr": text}
        properties = self._form.properties | {"correlation_id": task}
        properties |= {"delivery_mode": PERSISTENT_DELIVERY_MODE, "priority": place}
        return _packed((arguments, hint, after), headers, properties, "", queue)

    def _event(self, queue: str, task: str, text: str) -> dict[str, object]:
        """What says that it was sent, as Celery's own dispatcher does."""
        sent: dict[str, object] = Event(
            "task-sent",
            hostname=self._hostname,
            utcoffset=utcoffset(),
            pid=os.getpid(),
            clock=self._app.clock.forward(),
            **self._form.sent_event | {"uuid": task, "root_id": task, "kwargs": text},
            queue=queue,
            exchange="",
            routing_key=queue,
        )
        return sent

    def _told(self, events: Sequence[dict[str, object]]) -> tuple[str, bytes]:
        """The channel of such events, and the message that has these."""
        exchange, key = self._app.conf.event_exchange, "task.multi"
        headers = {"hostname": self._hostname}
        properties = {"delivery_mode": TRANSIENT_DELIVERY_MODE, "priority": 0}
        channel = f"{KEYS}/{self._messages.database}.{exchange}/{key}"
        return channel, _packed(events, headers, properties, exchange, key)


def _packed(
    body: object,
    headers: Mapping[str, object],
    properties: Mapping[str, object],
    exchange: str,
    routing_key: str,
) -> bytes:
    """A message as kombu writes it into a list, or to a channel, of a Redis server."""
    return msgspec.json.encode(
        {
            "body": msgspec.json.encode(body),  # bytes are written as base64
            "content-encoding": "utf-8",
            "content-type": "application/json",
            "headers": headers,
            "properties": {
                **properties,
                "delivery_info": {"exchange": exchange, "routing_key": routing_key},
                "body_encoding": "base64",
                "delivery_tag": str(uuid.uuid4()),
            },
        }
    )


class Events:
    """Tells Flower, and whoever else listens, about the tasks of a worker."""

    def __init__(self, broker: str, worker: str) -> None:
        self._app = _impatient(broker)
        self._worker = worker

    def progress(self, task: str, text: str) -> None:
        """How far a task is: what Flower shows as its result, until it has one."""
        self._send("task-progress", uuid=task, result=text)

    def failed(self, task: str, reason: str) -> None:
        """Why a task failed whose worker can say no more."""
        self._send("task-failed", uuid=task, exception=reason, traceback=None)

    def _send(self, kind: str, **fields: object) -> None:
        with (
            contextlib.suppress(*_failures(self._app)),
            self._app.events.default_dispatcher(hostname=self._worker) as dispatcher,
        ):
            dispatcher.send(kind, **fields)


def _impatient(broker: str) -> Celery:
    """An application for those who have other things to do than to wait for the broker."""
    app = make_app(broker)
    app.conf.broker_transport_options |= {
        "max_retries": 1,
        "interval_start": 0,
        # nothing is waited for here but answers
        "socket_timeout": 3,
    }
    return app


def _failures(app: Celery) -> tuple[type[Exception], ...]:
    """What is raised when the broker does not take a message: it does not answer, or refuses (too
    few replicas, no memory)."""
    connection = app.connection_for_write()
    return (
        OperationalError,
        *connection.connection_errors,
        *connection.channel_errors,
    )


@cache
def lists(queue: str) -> list[str]:
    """The server's lists that hold the messages of a queue, one for each priority."""
    # imported by those who look, not by every worker's main process
    from kombu.transport.redis import Channel

    return [
        f"{KEYS}{queue}{Channel.sep}{step}" if step else f"{KEYS}{queue}"
        for step in range(PRIORITIES)
    ]


def priority(bracket: int, rung: int) -> int:
    """The priority of a segment: the higher its level, the earlier."""
    return max(0, PRIORITIES - 1 - (rung + bracket))


def shown(segment: QueuedSegment, queue: str = QUEUE) -> str:
    """A segment in one line, as people read it in Flower; with its queue, if that is another than
    usual."""
    again = f" attempt={segment.attempt}" if segment.attempt > 1 else ""
    to = f" queue={queue}" if queue != QUEUE else ""
    place = f"trial={segment.trial} rung={segment.rung}{again} →{segment.target}{to}"
    text = f"{place} {short(segment.config)}".rstrip()
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
