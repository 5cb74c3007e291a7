"""An experiment on several queues: its coordinator against the stores, with workers that are
functions in the test."""

import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

import pytest

from asha_queue.coordinator.loop import Coordinator
from asha_queue.errors import ProgramError
from asha_queue.search.rules import check
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import Claim, Outcome, QueuedSegment, Store
from asha_queue.store.memory import MemoryStore
from tests.server.test_coordinator import SPECIFICATION

CLASSES = {"1": "cpu", "3": "gpu", "9": "gpu4"}


class Queues:
    """Stands in for broker and publisher: the messages of each queue."""

    def __init__(self) -> None:
        self.messages: dict[str, list[QueuedSegment]] = defaultdict(list)

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> None:
        self.messages[queue] += segments
        self.messages[queue].sort(key=lambda segment: -segment.rung)

    def pop(self, queue: str) -> QueuedSegment | None:
        return self.messages[queue].pop(0) if self.messages[queue] else None

    @property
    def waiting(self) -> dict[str, set[int]]:
        """The levels of what is in each queue."""
        return {queue: {one.target for one in found} for queue, found in self.messages.items()}


@pytest.fixture(params=["memory", "server"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(time.time)
    else:
        store = connect(request.getfixturevalue("broker"))
        yield store
        store.close()


def submitted(store: Store, **fields: object) -> str:
    made = Specification(**(SPECIFICATION.to_json() | {"queues": CLASSES, "hedge": False} | fields))
    return store.submit(uuid.uuid4().hex, made.name, made.to_json())


def beat(store: Store, **workers: int) -> None:
    for queue, number in workers.items():
        for i in range(number):
            store.beat(f"{queue}-{i}@test", {"queues": [queue]})


def claim(store: Store, uid: str, segment: QueuedSegment, worker: str) -> Claim:
    taken = store.claim(uid, segment.trial, segment.rung, segment.attempt, uuid.uuid4().hex, worker)
    assert taken.outcome == "run", taken
    assert store.start(uid, segment.trial, taken.token, taken.start) == "ok"
    return taken


def train(store: Store, uid: str, segment: QueuedSegment, worker: str) -> None:
    taken = claim(store, uid, segment, worker)
    metrics = {"loss": taken.config["x"] + 1.0 / taken.target}
    outcome = Outcome(metrics, taken.target, None, 0.1, [])
    assert store.complete(uid, segment.trial, taken.token, outcome) == "ok"


def turns(coordinator: Coordinator, number: int = 3) -> None:
    for _ in range(number):
        coordinator._next_tick = 0.0
        coordinator.turn()


def test_each_level_is_trained_on_its_class_and_every_rule_is_kept(store: Store) -> None:
    uid = submitted(store)
    beat(store, cpu=3, gpu=2, gpu4=1)
    queues = Queues()
    coordinator = Coordinator(store, queues, uid)
    for _ in range(2000):
        coordinator.step()
        if coordinator.ended:
            break
        for queue in ("cpu", "gpu", "gpu4"):
            if segment := queues.pop(queue):
                train(store, uid, segment, f"{queue}-0@test")
    entries = store.read(uid, "0-0", 10_000).entries
    assert entries[-1]["type"] == "finished"
    assert check(entries) == []
    trained = Counter(
        (e["worker"].partition("-")[0], e["reached"]) for e in entries if "reached" in e
    )
    assert set(trained) == {("cpu", 1), ("gpu", 3), ("gpu4", 9)}


def test_promotions_into_a_busy_class_wait_while_new_trials_fill_the_other(store: Store) -> None:
    uid = submitted(store)
    beat(store, cpu=2, gpu=1)
    queues = Queues()
    coordinator = Coordinator(store, queues, uid)
    turns(coordinator)
    for _ in range(24):
        segment = queues.pop("cpu")
        assert segment
        train(store, uid, segment, "cpu-0@test")
        turns(coordinator, 1)
    assert queues.waiting["gpu"] == {3}
    assert len(queues.messages["gpu"]) == 1, "one slot, and no lead with one slot"
    [told] = store.claimants()
    assert [told.claims["gpu"][name] for name in ("holds", "open", "first")] == [0, 1, 1]
    assert told.claims["gpu"]["wants"] == 2, "at most one more than there are workers"
    assert told.claims["cpu"]["wants"] >= 2
    assert told.claims["gpu4"]["wants"] == 0
    assert check(store.read(uid, "0-0", 10_000).entries) == []


def test_max_concurrent_counts_all_classes(store: Store) -> None:
    uid = submitted(store, max_concurrent=3)
    beat(store, cpu=8, gpu=8, gpu4=8)
    queues = Queues()
    coordinator = Coordinator(store, queues, uid)
    for step in range(60):
        turns(coordinator, 1)
        assert coordinator.fold.search.outstanding <= 3
        for queue in ("gpu4", "gpu", "cpu")[step % 3 :]:
            if segment := queues.pop(queue):
                train(store, uid, segment, f"{queue}-0@test")
                break
    assert {e["reached"] for e in store.read(uid, "0-0", 10_000).entries if "reached" in e} == {
        1,
        3,
        9,
    }


def to_the_gpu(store: Store, queues: Queues, **fields: object) -> tuple[str, QueuedSegment]:
    """An experiment with a trial that is promoted to the class of GPUs; and its segment there."""
    uid = submitted(store, **fields)
    beat(store, cpu=2, gpu=1)
    coordinator = Coordinator(store, queues, uid)
    for _ in range(12):
        turns(coordinator)
        if queues.messages["gpu"]:
            coordinator.resign()
            segment = queues.pop("gpu")
            assert segment
            return uid, segment
        waiting = queues.pop("cpu")
        assert waiting
        train(store, uid, waiting, "cpu-0@test")
    pytest.fail("nothing is promoted")


@pytest.mark.parametrize("how", ["lost", "failed", "suspended", "retried", "restored"])
def test_what_is_scheduled_again_goes_to_the_queue_of_its_level(store: Store, how: str) -> None:
    queues = Queues()
    uid, segment = to_the_gpu(store, queues, retries=1 if how == "failed" else 0)
    taken = claim(store, uid, segment, "gpu-0@test")
    outcome = Outcome({"loss": 1.0}, 2, None, 1.0, [])
    if how == "lost":
        assert store.release(uid, segment.trial, taken.token, "died", counts=True) == "ok"
    elif how == "failed":
        assert store.fail(uid, segment.trial, taken.token, "no memory", 2) == "retry"
    elif how == "suspended":
        assert store.suspend(uid, segment.trial, taken.token, outcome) == "ok"
    elif how == "retried":
        assert store.fail(uid, segment.trial, taken.token, "no memory", 2) == "final"
        assert store.retry(uid, "r", "me", None) == [segment.trial]
    else:
        assert store.release(uid, segment.trial, taken.token, "died", counts=True) == "ok"
        entries = store.read(uid, "0-0", 10_000).entries
        store.delete(uid)
        assert store.restore(entries) == uid
    fresh = Queues()
    turns(Coordinator(store, fresh, uid))
    again = [one for one in fresh.messages["gpu"] if one.trial == segment.trial]
    assert [(one.rung, one.attempt, one.target) for one in again] == [(1, 2, 3)]
    assert fresh.waiting.get("cpu", {1}) == {1}


def test_rungs_that_are_added_go_to_the_last_class(store: Store) -> None:
    uid = submitted(store, max_t=3, queues={"1": "cpu", "3": "gpu"}, num_samples=9)
    beat(store, cpu=1, gpu=1)
    queues = Queues()
    coordinator = Coordinator(store, queues, uid)
    assert store.extend(uid, "r", "me", "", {"max_t": 27}) == "ok"
    seen = set()
    for _ in range(300):
        turns(coordinator, 1)
        if coordinator.ended:
            break
        for queue in ("gpu", "cpu"):
            if segment := queues.pop(queue):
                seen.add((queue, segment.target))
                train(store, uid, segment, f"{queue}-0@test")
    assert seen == {("cpu", 1), ("gpu", 3), ("gpu", 9)}
    assert coordinator.fold.search.levels == (1, 3, 9, 27)


def test_a_class_whose_workers_all_refuse_the_program_ends_in_one_message(store: Store) -> None:
    queues = Queues()
    uid, segment = to_the_gpu(store, queues)
    where = (segment.trial, segment.rung, segment.attempt)
    store.refuse(uid, *where, "gpu-0@test", "program sums.py differs")
    with pytest.raises(ProgramError, match=r"\(gpu-0@test\): program sums\.py differs"):
        turns(Coordinator(store, queues, uid))


def test_a_coordinator_that_takes_over_knows_what_is_owed(store: Store) -> None:
    uid = submitted(store)
    beat(store, cpu=2)
    first = Coordinator(store, Queues(), uid)
    turns(first)
    first._accounts["cpu"].owed = -7.5
    turns(first)
    owed = first._accounts["cpu"].owed
    assert owed < -7  # it wants slots, and none is taken
    first.leadership.resign()
    second = Coordinator(store, Queues(), uid)
    turns(second)
    assert second._accounts["cpu"].owed == pytest.approx(owed, abs=1.0)
