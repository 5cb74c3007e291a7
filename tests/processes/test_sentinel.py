"""A real trio: what a failover does to a run, and to what the old primary accepted alone."""

import re
import signal
import statistics
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.errors import ProtocolError, StoreUnavailable
from asha_queue.queue import Publisher
from asha_queue.search.rules import check
from asha_queue.store import connect
from asha_queue.store.contract import Outcome, QueuedSegment, ScheduledSegment, Store
from asha_queue.training.site import answered
from asha_queue.views import journal
from tests.conftest import free_port, wait_until
from tests.processes.lab import Lab
from tests.processes.sentinels import PASSWORD, SENTINEL_PASSWORD, Trio
from tests.processes.test_store_loss import PROGRAM

TRIALS = 48


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    made = Trio(tmp_path / "trio")
    yield made
    made.end()


@pytest.fixture
def fleet(trio: Trio, tmp_path: Path) -> Iterator[Lab]:
    """Two workers, a coordinator service and an experiment that is under way."""
    with Lab(trio.url, tmp_path) as lab:
        (tmp_path / "exp.py").write_text(PROGRAM.replace("=24", f"={TRIALS}"))
        for name in ("one@lab", "two@lab"):
            lab.start("celery", "-A", "asha_queue", "worker", "-n", name, "-l", "INFO")
        lab.start("asha_queue", "coordinator")
        lab.call("asha_queue", "submit", "exp.py")
        uid = lab.store.names()["fleet"]
        wait_until(lambda: len(lab.entries(uid, "completed")) >= 8, "eight results", 60)
        yield lab
        shown = lab.log.read_text()
        assert "p%40ss" not in shown
        assert PASSWORD not in shown
        assert SENTINEL_PASSWORD not in shown


def results_after(lab: Lab, uid: str, count: int) -> bool:
    """Whether each of two workers has brought some more results than what it trained then."""
    try:
        completed = lab.entries(uid, "completed")
    except Exception:  # the failover is going on
        return False
    workers = Counter(entry["worker"] for entry in completed[count:])
    return len(workers) == 2 and min(workers.values()) > 2


def sound_end(lab: Lab, uid: str) -> list[dict]:
    def ended() -> bool:
        try:
            return lab.store.describe(uid).state == "finished"
        except Exception:
            return False

    wait_until(ended, f"it ends; {lab.log} says why not", 150)
    entries = list(journal(lab.store, uid))
    assert check(entries) == []
    assert len({e["trial"] for e in entries if e["type"] == "completed"}) == TRIALS
    return entries


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["killed", "asked to"])
def test_a_run_goes_on_after_the_primary_went(fleet: Lab, trio: Trio, how: str) -> None:
    [uid] = fleet.store.names().values()
    acknowledged = fleet.entries(uid, "completed")
    if how == "killed":
        trio.signal(trio.primary, signal.SIGKILL)
    else:
        trio.fail_over()
    killed = time.monotonic()
    wait_until(lambda: trio.elected() not in (0, trio.primary), "a replica takes over", 30)
    elected = time.monotonic()
    wait_until(lambda: results_after(fleet, uid, len(acknowledged)), "both workers go on", 90)
    recovered = time.monotonic()
    entries = sound_end(fleet, uid)
    print(
        f"\nfailover after {elected - killed:.1f} s, both workers after {recovered - killed:.1f} s"
    )
    tokens = {e["token"] for e in entries if e["type"] == "completed"}
    assert {e["token"] for e in acknowledged} <= tokens, "what a replica had is still there"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_a_frozen_primary_accepts_alone_at_its_return_is_nothing(
    fleet: Lab, trio: Trio
) -> None:
    [uid] = fleet.store.names().values()
    acknowledged = fleet.entries(uid, "completed")
    trio.signal(trio.primary, signal.SIGSTOP)
    frozen = time.monotonic()
    wait_until(lambda: trio.elected() not in (0, trio.primary), "a replica takes over", 30)
    elected = time.monotonic()
    trio.signal(trio.primary, signal.SIGCONT)
    wait_until(lambda: results_after(fleet, uid, len(acknowledged)), "both workers go on", 90)
    recovered = time.monotonic()
    wait_until(lambda: trio.role(trio.primary)[:1] == ["slave"], "the old primary follows", 60)
    entries = sound_end(fleet, uid)
    print(
        f"\nfailover after {elected - frozen:.1f} s, both workers after {recovered - frozen:.1f} s"
    )
    tokens = {e["token"] for e in entries if e["type"] == "completed"}
    assert {e["token"] for e in acknowledged} <= tokens
    key = f"asha:experiment:{uid}:journal"
    with trio.client(trio.primary) as old:
        wait_until(lambda: old.xlen(key) == len(entries), "the old primary has the same journal")
        assert [i for i, _ in old.xrange(key)] == [entry["id"] for entry in entries]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_goes_on_while_the_old_primary_stays_frozen(fleet: Lab, trio: Trio) -> None:
    [uid] = fleet.store.names().values()
    count = len(fleet.entries(uid, "completed"))
    trio.signal(trio.primary, signal.SIGSTOP)
    frozen = time.monotonic()
    wait_until(lambda: results_after(fleet, uid, count), "both workers go on", 120)
    recovered = time.monotonic()
    sound_end(fleet, uid)
    print(f"\nboth workers after {recovered - frozen:.1f} s")


@pytest.mark.slow
def test_a_result_that_the_old_primary_took_alone_is_not_acknowledged(tmp_path: Path) -> None:
    trio = Trio(tmp_path / "trio", min_replicas=0)
    try:
        store = connect(trio.url)
        [token] = segments(store, "alone", 1)
        trio.signal(trio.primary, signal.SIGSTOP)
        wait_until(lambda: trio.elected() not in (0, trio.primary), "a replica takes over", 30)
        elected = trio.elected()
        [other] = {*trio.servers} - {trio.primary, elected}
        wait_until(lambda: trio.role(other)[2:3] == [elected], "the other replica follows it", 30)
        trio.signal(trio.primary, signal.SIGCONT)
        # our connection still leads to the old one, which takes the result, and nobody has it
        outcome = Outcome({"loss": 0.5}, 1, None, 1.0, [[1, {"loss": 0.5}]])
        with pytest.raises(StoreUnavailable, match="no replica .* has confirmed"):
            store.complete("alone", 0, token, outcome)
        # a Sentinel that has not heard of the election may lead there once more
        assert answered(lambda: store.complete("alone", 0, token, outcome)) == "ok"
        with trio.client(elected) as client:
            kinds = [fields["type"] for _, fields in client.xrange("asha:experiment:alone:journal")]
        assert kinds == ["submitted", "scheduled", "started", "completed"]
    finally:
        trio.end()


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """A trio whose primary takes writes without replicas, and where nothing fails over."""
    made = Trio(tmp_path_factory.mktemp("calm"), min_replicas=0)
    yield made
    made.end()


def segments(store: Store, uid: str, count: int) -> list[int]:
    """Tokens of so many started segments."""
    store.submit(uid, uid, {"name": uid})
    wanted = [ScheduledSegment(trial, 0, 0, 1, {}) for trial in range(count)]
    assert store.schedule(uid, store.describe(uid).last, "r", wanted) == "ok"
    tokens = []
    for trial in range(count):
        token = store.claim(uid, trial, 0, 1, f"c{trial}", "w").token
        assert store.start(uid, trial, token, 0) == "ok"
        tokens.append(token)
    return tokens


@pytest.mark.slow
def test_a_result_is_acknowledged_once_a_replica_has_it(calm: Trio) -> None:
    store = connect(calm.url)
    alone = connect(f"redis://:p%40ss%2Fword@127.0.0.1:{calm.primary}/2")
    outcome = Outcome({"loss": 0.5}, 1, None, 1.0, [[1, {"loss": 0.5}]])
    [token] = segments(store, "held", 1)
    replicas = [port for port in calm.servers if port != calm.primary]
    for port in replicas:
        calm.signal(port, signal.SIGSTOP)
    try:
        for _ in range(2):  # also when the repeated call has nothing to write
            with pytest.raises(StoreUnavailable, match="no replica .* has confirmed"):
                store.complete("held", 0, token, outcome)
    finally:
        for port in replicas:
            calm.signal(port, signal.SIGCONT)
    assert store.complete("held", 0, token, outcome) == "ok"
    assert [e["type"] for e in journal(store, "held")].count("completed") == 1
    [other] = segments(store, "wrong", 1)
    with pytest.raises(ProtocolError, match="beyond its target"):
        store.complete("wrong", 0, other, Outcome({}, 2, None, 1.0, []))

    count = 300
    tokens = segments(store, "timed", 2 * count)
    medians = {}
    for name, side, first in (("without", alone, 0), ("with", store, count)):
        seconds = []
        for trial in range(first, first + count):
            before = time.perf_counter()
            assert side.complete("timed", trial, tokens[trial], outcome) == "ok"
            seconds.append(time.perf_counter() - before)
        medians[name] = 1000 * statistics.median(seconds)
    print(
        f"\ncomplete: {medians['without']:.2f} ms, confirmed by a replica {medians['with']:.2f} ms"
    )


@pytest.mark.slow
def test_doctor_and_flower_find_the_primary_through_its_sentinels(
    calm: Trio, tmp_path: Path
) -> None:
    with Lab(calm.url, tmp_path) as lab:
        segments(lab.store, "shown", 1)
        Publisher(calm.url).publish("shown", [QueuedSegment(0, 0, 0, 1, 1, {})])
        port = free_port()
        lab.start("asha_queue", "flower", "--port", str(port))
        report = lab.call("asha_queue", "doctor", expect=1)  # there is no coordinator
        assert "2 connected, min-replicas-to-write 0" in report
        assert re.search(r"configuration:\s+min-replicas-to-write 1", report)
        for server in calm.servers:
            with calm.client(server) as client:
                client.config_set("min-replicas-to-write", 1)
        report = lab.call("asha_queue", "doctor", expect=1)
        assert "2 connected, min-replicas-to-write 1" in report
        assert PASSWORD not in report

        def page(path: str) -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as read:
                    return str(read.read().decode())
            except (urllib.error.URLError, ConnectionError):
                return ""

        wait_until(lambda: page("/"), f"Flower answers; {lab.log} says why not")
        assert "shown" in page("/experiments")
        waiting = r'<td>asha</td>\s*<td class="[\w-]+">1</td>'
        assert re.search(waiting, page("/broker")), page("/broker")
        # the Sentinel that the URL names first is not needed
        calm.signal(calm.sentinels[0], signal.SIGSTOP)
        try:
            assert re.search(waiting, page("/broker"))
        finally:
            calm.signal(calm.sentinels[0], signal.SIGCONT)
        shown = lab.log.read_text()
        assert "p%40ss" not in shown
        assert SENTINEL_PASSWORD not in shown


def test_a_wrong_url_is_one_message_of_every_command(tmp_path: Path) -> None:
    with Lab("redis://127.0.0.1:1/0", tmp_path) as lab:
        for command in (
            ["asha_queue", "status"],
            ["asha_queue", "coordinator"],
            ["asha_queue", "worker", "--cpus", "1"],
        ):
            says = lab.call(*command, "--broker", "sentinel://a,b/0", expect=2)
            assert "?master=NAME is missing" in says
        says = lab.call(
            "celery", "-A", "asha_queue", "worker", expect=1, ASHA_QUEUE_BROKER="sentinel://a,b/0"
        )
        assert "?master=NAME is missing" in says
