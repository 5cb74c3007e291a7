"""What a message says of its segment, to Celery and to people."""

import pytest

from asha_queue.errors import StoreUnavailable
from asha_queue.queue import SHOWN, Publisher, make_app, priority, shown
from asha_queue.store.contract import QueuedSegment
from tests.conftest import free_port


def test_a_higher_level_comes_first() -> None:
    assert [priority(0, rung) for rung in range(11)] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0]
    assert priority(2, 1) == priority(0, 3)


def test_people_read_trial_rung_target_and_config() -> None:
    config = {"lr": 0.0131578, "layers": 3, "net": {"kind": "wide"}}
    segment = QueuedSegment(17, 0, 2, 16, 1, config)
    assert shown(segment) == "trial=17 rung=2 →16 lr=0.01316 layers=3 net.kind=wide"
    again = QueuedSegment(17, 0, 2, 16, 3, {})
    assert shown(again) == "trial=17 rung=2 attempt=3 →16"


def test_a_long_config_is_cut() -> None:
    text = shown(QueuedSegment(0, 0, 0, 1, 1, {f"name{i}": i for i in range(100)}))
    assert len(text) == SHOWN
    assert text.endswith("…")


def test_celery_s_own_variable_does_not_move_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://elsewhere:1/0")
    app = make_app("redis://here:2/0")
    assert app.connection_for_read().as_uri() == "redis://:**@here:2/0"
    assert app.connection_for_write().as_uri() == "redis://:**@here:2/0"


def test_a_broker_that_is_down_is_named_without_its_password() -> None:
    port = free_port()
    publisher = Publisher(f"redis://:secret@127.0.0.1:{port}/0")
    with pytest.raises(StoreUnavailable, match=f"127.0.0.1:{port}") as refused:
        publisher.publish("u1", [QueuedSegment(0, 0, 0, 1, 1, {})])
    assert "secret" not in str(refused.value)
