"""An acknowledgement that the broker does not take leaves no worker deaf."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.entity import Queue
from kombu.message import Message

from asha_queue.queue import QUEUE, TASK, Publisher, make_app
from asha_queue.store.contract import QueuedSegment
from asha_queue.training.parts import SegmentRequest
from asha_queue.training.task import train_segment
from tests.processes.servers import Valkey


@pytest.fixture
def valkey_aof(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "valkey", "127.0.0.1")
    yield server
    server.kill()


@pytest.mark.parametrize("how", ["frozen", "refusing"])
def test_the_next_message_comes_although_the_one_before_was_not_acknowledged(
    valkey_aof: Valkey, how: str
) -> None:
    app = make_app(valkey_aof.url)
    app.conf.broker_transport_options |= {"socket_timeout": 0.5}
    app.task(train_segment, bind=True, name=TASK)
    publisher = Publisher(valkey_aof.url)
    segments = [QueuedSegment(trial, 0, 0, 1, 1, {}) for trial in range(2)]
    publisher.publish("uid", segments)
    with app.connection_for_read() as connection:
        channel = connection.default_channel
        channel.basic_qos(0, 1, False)
        came: list[Message] = []
        queue = Queue(QUEUE)(channel)
        with connection.Consumer([queue], on_message=came.append):
            connection.drain_events(timeout=10)
            [message] = came
            assert not channel.qos.can_consume()
            request = SegmentRequest(
                message,
                on_ack=message.ack_log_error,
                app=app,
                connection_errors=connection.connection_errors,
            )
            if how == "frozen":
                valkey_aof.process.send_signal(signal.SIGSTOP)
            else:
                channel.client.config_set("min-replicas-to-write", 1)
            request.acknowledge()
            valkey_aof.process.send_signal(signal.SIGCONT)
            channel.client.config_set("min-replicas-to-write", 0)
            assert request.acknowledged
            assert channel.qos.can_consume()
            connection.drain_events(timeout=10)
    assert [m.payload[1]["trial"] for m in came] == [0, 1]
