"""What Prometheus is told by a real Flower, against the journals."""

import uuid
from collections import Counter
from collections.abc import Iterator

import pytest
import redis
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families

from asha_queue.dashboard.experiments import Experiments
from asha_queue.dashboard.metrics import Experimental
from asha_queue.result import Result
from asha_queue.store import connect
from asha_queue.store.contract import Outcome, ScheduledSegment, Store
from asha_queue.store.memory import MemoryStore
from asha_queue.tally import BOUNDS, OUTCOMES
from asha_queue.views import journal
from tests.processes.test_flower import LOGIN, flower, submit
from tests.processes.test_flower_api import ask, experiment_with_a_failure, uid_of
from tests.server.test_coordinator import SPECIFICATION, drive

OUTCOME = Outcome({"loss": 0.5}, 1, None, 0.1, [])


@pytest.fixture(scope="module")
def store(valkey: str) -> Iterator[Store]:
    """`sums`, which has ended; `poor`, with a failure; `open`, with a queued, a running and a lost
    segment, and a stale write; workers in every state, and an experiment that cannot be read."""
    with redis.Redis.from_url(valkey) as client:
        client.flushall()
        store = connect(valkey)
        drive(store, submit(store, resource_budget=5000), workers=3)
        experiment_with_a_failure(store)
        uid = submit(store, name="open", queue="large")
        segments = [ScheduledSegment(trial, 0, 0, 1, {"x": 0.5}) for trial in (0, 1)]
        store.schedule(uid, store.describe(uid).last, "r", segments)
        lost = store.claim(uid, 0, 0, 1, "c0", "cpu1@test").token
        store.start(uid, 0, lost, 0)
        store.release(uid, 0, lost, "killed", counts=False)
        store.start(uid, 1, store.claim(uid, 1, 0, 1, "c1", "cpu0@test").token, 0)
        assert store.complete(uid, 0, lost, OUTCOME) == "stale"
        for worker in ("both@test", "aside@test", "leaving@test"):
            queues = ["large", "asha"] if worker == "both@test" else ["asha"]
            store.beat(worker, {"queues": queues})
        store.set_aside("aside@test", "its disk is full")
        store.drain(["leaving@test"], "me")
        store.submit("strange", "strange", SPECIFICATION.to_json() | {"mode": "sideways"})
        yield store
        store.close()
        client.flushall()


@pytest.fixture(scope="module")
def address(valkey: str, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("flower")
    options = (f"--basic_auth={LOGIN}", "--url_prefix=lab")
    with flower(valkey, folder, "-m", "asha_queue", "flower", *options) as running:
        yield f"{running.url}/lab/metrics"


@pytest.fixture
def told(address: str) -> dict[str, Metric]:
    answer = ask(f"{address}/experiments")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = list(text_string_to_metric_families(answer.body.decode()))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def values(family: Metric, suffix: str = "", **labels: str) -> dict[tuple[str, ...], float]:
    """The values of a family's samples with these labels, by their other labels in the order of
    their names."""
    return {
        tuple(v for k, v in sorted(sample.labels.items()) if k not in labels): sample.value
        for sample in family.samples
        if sample.name == family.name + suffix and labels.items() <= sample.labels.items()
    }


def result(store: Store, name: str) -> Result:
    return Result.from_journal(journal(store, uid_of(store, name)))


def test_the_experiments_are_counted_by_state_the_damaged_one_too(told: dict[str, Metric]) -> None:
    assert values(told["asha_queue_experiments"]) == {
        ("running",): 2,
        ("paused",): 0,
        ("finished",): 1,
        ("cancelled",): 0,
        ("unreadable",): 1,
    }


@pytest.mark.parametrize("name", ["sums", "poor", "open"])
def test_the_numbers_of_an_experiment_are_those_of_its_journal(
    told: dict[str, Metric], store: Store, name: str
) -> None:
    entries = list(journal(store, uid_of(store, name)))
    kinds = Counter(entry["type"] for entry in entries)
    assert values(told["asha_queue_segments"], "_total", experiment=name) == {
        (outcome,): kinds[outcome] for outcome in OUTCOMES
    }
    promotions = [
        e for e in entries if e["type"] == "scheduled" and e["attempt"] == 1 and e["rung"] > 0
    ]
    promoted = values(told["asha_queue_promotions"], "_total", experiment=name)
    assert promoted == {(): len(promotions)}
    states = Counter(trial.state for trial in result(store, name).trials)
    trials = values(told["asha_queue_trials"], experiment=name)
    assert {key: count for key, count in trials.items() if count} == {
        (state,): count for state, count in states.items()
    }
    losses = Counter(e["worker"] for e in entries if e["type"] == "lost")
    assert values(told["asha_queue_worker_losses"], "_total", experiment=name) == {
        (worker,): count for worker, count in losses.items()
    }
    [depth] = values(told["asha_queue_queued_segments"], experiment=name).values()
    assert depth == states["queued"]


def test_the_best_value_is_that_of_the_highest_rung(told: dict[str, Metric], store: Store) -> None:
    best = result(store, "sums").best
    assert best
    assert values(told["asha_queue_best_value"]) == {("sums", "loss"): best.metrics["loss"]}


def test_a_budget_has_what_is_used_of_it_beside_its_limit(
    told: dict[str, Metric], store: Store
) -> None:
    spent = result(store, "sums").resource_spent
    assert values(told["asha_queue_budget_used"]) == {("resource_budget", "sums"): spent}
    assert values(told["asha_queue_budget_limit"]) == {("resource_budget", "sums"): 5000}


def test_the_queue_depth_names_the_queue(told: dict[str, Metric]) -> None:
    assert values(told["asha_queue_queued_segments"]) == {
        ("sums", "asha"): 0,
        ("poor", "asha"): 0,
        ("open", "large"): 1,
    }


def test_wanted_slots_are_those_in_use_and_those_that_more_workers_would_get(
    told: dict[str, Metric],
) -> None:
    # both have 30 trials; of `poor` two have ended, of `open` one runs and one is queued
    assert values(told["asha_queue_wanted_slots"]) == {("asha",): 28, ("large",): 30}


def test_each_slot_is_counted_once(told: dict[str, Metric]) -> None:
    slots = {key: count for key, count in values(told["asha_queue_slots"]).items() if count}
    assert slots == {
        ("asha", "busy"): 1,  # cpu0@test
        ("asha", "free"): 2,  # cpu1@test and cpu2@test
        ("asha", "aside"): 1,
        ("asha", "draining"): 1,
        ("asha,large", "free"): 1,
    }
    assert ("asha,large", "busy") in values(told["asha_queue_slots"])


def test_stale_writes_are_counted(told: dict[str, Metric]) -> None:
    assert values(told["asha_queue_stale_writes"], "_total") == {
        ("sums",): 0,
        ("poor",): 0,
        ("open",): 1,
    }


@pytest.mark.parametrize(
    ("family", "which"),
    [("asha_queue_handoff_gap_seconds", "gaps"), ("asha_queue_coordinator_lag_seconds", "lags")],
)
def test_durations_are_histograms_in_seconds(
    told: dict[str, Metric], store: Store, family: str, which: str
) -> None:
    expected = getattr(result(store, "sums").tally, which)
    assert expected.count > 10
    classes = values(told[family], "_bucket", experiment="sums")
    assert [float(key[0]) for key in classes][:-1] == list(BOUNDS)
    assert list(classes.values()) == expected.cumulative
    assert values(told[family], "_count", experiment="sums") == {(): expected.count}
    [total] = values(told[family], "_sum", experiment="sums").values()
    assert total == pytest.approx(expected.sum)


def test_every_family_says_what_it_is(told: dict[str, Metric]) -> None:
    assert len(told) == 14
    for family in told.values():
        assert family.name.startswith("asha_queue_")
        assert len(family.documentation) > 10
        assert family.type in ("gauge", "counter", "histogram")


def test_a_client_may_ask_for_openmetrics_or_for_nonsense(address: str) -> None:
    answer = ask(f"{address}/experiments", Accept="application/openmetrics-text; version=1.0.0")
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics_parser.text_string_to_metric_families(  # type: ignore[no-untyped-call]
        answer.body.decode()
    )
    names = {family.name for family in families}
    assert "asha_queue_handoff_gap_seconds" in names
    assert ask(f"{address}/experiments", Accept="text/plain;version=abc").status == 200


def test_they_need_the_login_and_flowers_own_metrics_are_as_they_were(address: str) -> None:
    for login in ("", "ada:wrong"):
        refused = ask(f"{address}/experiments", login=login)
        assert refused.status == 401
        assert b"asha_queue" not in refused.body
    own = ask(address, login="")
    assert own.status == 200
    assert b"flower_" in own.body
    assert b"asha_queue_" not in own.body


def wanted_slots(store: Store) -> dict[tuple[str, ...], float]:
    families = {family.name: family for family in Experimental(Experiments(store)).collect()}
    return values(families["asha_queue_wanted_slots"])


def test_slots_are_wanted_without_any_worker_up_to_the_limit_and_none_for_what_is_paused() -> None:
    store = MemoryStore(lambda: 0.0)
    assert wanted_slots(store) == {("asha",): 0}
    few = SPECIFICATION.to_json() | {"name": "few", "queue": "large", "max_concurrent": 3}
    store.submit("few", "few", few)
    store.submit("sums", SPECIFICATION.name, SPECIFICATION.to_json())
    assert wanted_slots(store) == {("asha",): 30, ("large",): 3}
    segments = [ScheduledSegment(trial, 0, 0, 1, {"x": 0.5}) for trial in (0, 1)]
    store.schedule("sums", store.describe("sums").last, "r", segments)
    store.start("sums", 0, store.claim("sums", 0, 0, 1, "c", "w@test").token, 0)
    assert wanted_slots(store)[("asha",)] == 30
    store.pause("sums", "p", "me", "", now=False)
    assert wanted_slots(store) == {("asha",): 1, ("large",): 3}
    store.cancel("sums", "c", "me", "")
    store.beat("w@test", {"queues": ["other"]})
    assert wanted_slots(store) == {("asha",): 0, ("large",): 3, ("other",): 0}


def test_slots_are_wanted_of_the_machines_that_a_segment_goes_to() -> None:
    store = MemoryStore(lambda: 0.0)
    classes = SPECIFICATION.to_json() | {"queues": {"1": "small", "3": "large"}}
    store.submit("sums", SPECIFICATION.name, classes)
    assert wanted_slots(store) == {("asha",): 0, ("small",): 30, ("large",): 0}
    segments = [ScheduledSegment(trial, 0, 0, 1, {"x": 0.5}) for trial in range(3)]
    store.schedule("sums", store.describe("sums").last, "r", segments)
    tokens = [store.claim("sums", t, 0, 1, f"c{t}", f"w{t}@test").token for t in range(3)]
    for trial, token in enumerate(tokens):
        store.start("sums", trial, token, 0)
        assert store.complete("sums", trial, token, OUTCOME) == "ok"
    # one of three may be promoted
    assert wanted_slots(store) == {("asha",): 0, ("small",): 27, ("large",): 1}


def test_a_second_scrape_reads_only_what_came_since() -> None:
    class Counting(MemoryStore):
        reads = 0

        def read(self, uid, seen, count=1000):  # type: ignore[no-untyped-def]
            self.reads += 1
            return super().read(uid, seen, count)

    store = Counting(lambda: 0.0)
    uid = store.submit(uuid.uuid4().hex, SPECIFICATION.name, SPECIFICATION.to_json())
    collector = Experimental(Experiments(store))
    list(collector.collect())
    reads = store.reads
    families = {family.name: family for family in collector.collect()}
    assert store.reads == reads + 1
    assert values(families["asha_queue_trials"], experiment="sums", state="queued") == {(): 0}
    store.delete(uid)
    assert not [
        s for family in collector.collect() for s in family.samples if "experiment" in s.labels
    ]
