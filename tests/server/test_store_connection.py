"""The connection: one clear message for whatever the server does, and no harm from a restart."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from asha_queue.errors import ProtocolError, StoreError, StoreUnavailable
from asha_queue.settings import LEADER_LEASE
from asha_queue.store import connect, keys
from asha_queue.store.contract import ScheduledSegment, Snapshot, Store
from tests.conftest import free_port, wait_until

UID = "1f2e3d"


@pytest.fixture
def store(broker: str) -> Iterator[Store]:
    store = connect(broker)
    store.submit(UID, "digits", {"retries": 1})
    yield store
    store.close()


@pytest.fixture
def client(broker: str) -> Iterator[redis.Redis]:
    client = redis.Redis.from_url(broker, decode_responses=True)
    yield client
    client.config_set("maxmemory", 0)
    client.config_set("requirepass", "")
    client.close()


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    store = connect(f"redis://me:secret@127.0.0.1:{free_port()}/0")
    with pytest.raises(StoreUnavailable, match="127.0.0.1") as raised:
        store.names()
    assert "secret" not in str(raised.value)


def test_a_server_that_says_nothing_is_given_up_after_the_time_limit() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        store = connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout=0.2)
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            store.describe(UID)


def test_something_else_than_a_url_is_refused() -> None:
    with pytest.raises(StoreError, match="head:6379"):
        connect("head:6379")


def test_a_full_server_says_what_to_do(store: Store, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    with pytest.raises(StoreUnavailable, match="raise maxmemory"):
        store.submit("other", "letters", {"retries": 1})
    client.config_set("maxmemory", 0)
    assert store.names() == {"digits": UID}


def test_a_missing_password_says_where_it_belongs(broker: str, client: redis.Redis) -> None:
    client.config_set("requirepass", "secret")
    with pytest.raises(StoreUnavailable, match="wants a password"):
        connect(broker).names()
    with pytest.raises(StoreUnavailable, match="refuses the user default"):
        connect(broker.replace("redis://", "redis://:wrong@")).names()


def test_scripts_are_loaded_again_after_the_server_lost_them(
    store: Store, client: redis.Redis
) -> None:
    store.describe(UID)
    client.script_flush()
    assert store.describe(UID).name == "digits"


def test_a_bug_in_the_caller_is_not_a_server_that_is_unavailable(store: Store) -> None:
    with pytest.raises(ProtocolError, match="trial 7 rung 0: the next new trial is 0"):
        store.schedule(UID, store.describe(UID).last, "r", [ScheduledSegment(7, 0, 0, 1, {})])


def test_wait_ends_when_an_entry_comes_and_at_its_time_limit(store: Store) -> None:
    seen = store.describe(UID).last
    before = time.monotonic()
    store.wait({UID: seen, "other": ""}, 0.05)
    store.wait({}, 0.05)
    assert 0.08 < time.monotonic() - before < 5
    waiting = threading.Thread(target=store.wait, args=({"other": "0-0", UID: seen}, 9.0))
    before = time.monotonic()
    waiting.start()
    assert store.schedule(UID, seen, "r", [ScheduledSegment(0, 0, 0, 1, {})]) == "ok"
    waiting.join(timeout=30)
    assert time.monotonic() - before < 5


def test_a_leader_whose_connection_has_ended_is_replaced_before_its_lease_is_over(
    store: Store, broker: str, client: redis.Redis
) -> None:
    killed = connect(broker)
    assert killed.lead(UID, "killed", 1).leading
    assert not store.lead(UID, "next", 1).leading
    killed.close()
    wait_until(lambda: store.lead(UID, "next", 1).leading, "the next one leads", LEADER_LEASE)
    till = int(client.hget(keys.experiment(UID), "leader_until") or 0) / 1e6
    assert till - LEADER_LEASE < store.describe(UID).submitted_at + LEADER_LEASE
    assert store.lead(UID, "next", 1).term == 2


def test_a_silent_leader_that_is_connected_keeps_its_lease(store: Store, broker: str) -> None:
    frozen = connect(broker)
    frozen.lead(UID, "frozen", 1)
    began = store.describe(UID).submitted_at
    wait_until(lambda: store.lead(UID, "next", 1).leading, "the next one leads", 2 * LEADER_LEASE)
    client = redis.Redis.from_url(broker)
    now = client.time()
    client.close()
    frozen.close()
    assert now[0] + 1 - began >= LEADER_LEASE


def test_whoever_waits_on_a_server_that_becomes_a_replica_is_told(
    store: Store, client: redis.Redis
) -> None:
    told: list[StoreError] = []
    seen = store.describe(UID).last

    def wait() -> None:
        try:
            while True:
                store.wait({UID: seen}, 2.0)
        except StoreError as error:
            told.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: client.info("clients")["blocked_clients"], "it waits")
    try:
        client.replicaof("127.0.0.1", free_port())
        thread.join(timeout=30)
    finally:
        client.replicaof("NO", "ONE")
    [error] = told
    assert isinstance(error, StoreUnavailable), error
    assert "has become a replica" in str(error)


def test_threads_share_a_store(store: Store) -> None:
    answers: list[int] = []

    def beat(number: int) -> None:
        for _ in range(20):
            store.beat(f"worker {number}", {"number": number})
        answers.append(number)

    threads = [threading.Thread(target=beat, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert sorted(answers) == list(range(8))
    assert len(store.workers()) == 8


def test_no_key_has_a_time_to_live_and_every_key_is_in_the_table(
    store: Store, client: redis.Redis
) -> None:
    store.schedule(UID, store.describe(UID).last, "r", [ScheduledSegment(0, 0, 0, 1, {})])
    token = store.claim(UID, 0, 0, 1, "c", 'worker/1 "\\ \udce9').token
    store.start(UID, 0, token, 0)
    store.checkpoint(
        UID, 0, token, {"path": "/a", "resource": 1, "metrics": {}, "bytes": 1, "digest": "d"}
    )
    store.refuse(UID, 0, 0, 1, "a", "no GPU")
    store.lead(UID, "me", 1)
    last = store.describe(UID).last
    store.keep_snapshot(UID, Snapshot(last, last, {}))
    store.beat("a", {})
    store.report(UID, [{"step": 1}])
    for key in client.scan_iter("*"):
        assert client.ttl(key) == -1
        pattern = key.replace(UID, "UID").replace("trial:0", "trial:N").replace("s:0", "s:N")
        row = next(
            line for line in str(keys.__doc__).splitlines() if line.startswith(pattern + " ")
        )
        assert str(client.type(key)) in row
