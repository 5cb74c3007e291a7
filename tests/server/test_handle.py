"""Orders through a handle: what they need, and what they say instead of taking effect."""

import uuid
from collections.abc import Mapping

import pytest

from asha_queue.errors import ExperimentEnded, OrderError, UnknownExperiment, UnknownWorker
from asha_queue.handle import Handle, drain, me
from asha_queue.settings import LARGEST
from asha_queue.store.contract import Changed, Read
from asha_queue.store.memory import MemoryStore
from asha_queue.views import journal
from tests.server.test_coordinator import SPECIFICATION


class Counting(MemoryStore):
    """Counts how often a journal was read."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.reads = 0

    def read(self, uid: str, seen: str, count: int = 1000) -> Read:
        self.reads += 1
        return super().read(uid, seen, count)


@pytest.fixture
def store() -> Counting:
    return Counting()


def submitted(store: Counting) -> str:
    return store.submit(uuid.uuid4().hex, SPECIFICATION.name, SPECIFICATION.to_json())


def test_orders_read_no_journal_and_say_who_gave_them(store: Counting) -> None:
    handle = Handle(store, submitted(store), by="ada@flower")
    handle.pause()
    handle.resume()
    handle.extend(num_samples=40, max_t=27)
    handle.retry()
    handle.cancel()
    assert store.reads == 0
    by = [entry["by"] for entry in journal(store, handle.uid) if "by" in entry]
    assert by == ["ada@flower"] * 4


def test_without_a_name_an_order_is_by_this_user_on_this_host(store: Counting) -> None:
    handle = Handle(store, submitted(store))
    handle.pause()
    assert [e["by"] for e in journal(store, handle.uid) if "by" in e] == [me()]


def test_what_has_ended_takes_no_orders(store: Counting) -> None:
    handle = Handle(store, submitted(store))
    handle.cancel()
    for order in (handle.pause, handle.resume, handle.retry, lambda: handle.extend(max_t=27)):
        with pytest.raises(ExperimentEnded, match="it is cancelled"):
            order()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_samples": 29}, "num_samples=29: experiment sums has 30"),
        ({"max_t": LARGEST + 1}, "must be at most"),
        ({}, "nothing to extend"),
        ({"resource_budget": 9}, "resource_budget=9: experiment sums has none that could be"),
        ({"time_budget": "2h"}, "time_budget=7200.0: experiment sums has none that could be"),
        ({"stop_at": 0.1}, "experiment sums has none that could be raised"),
        ({"time_budget": "soon"}, "time_budget='soon': must be a number above 0, or a text"),
        ({"stop_at": {"speed": 1}}, "trials are not ranked by that, but by loss"),
    ],
)
def test_an_extension_that_cannot_be_is_refused(
    store: Counting, changed: dict[str, int], message: str
) -> None:
    with pytest.raises(OrderError, match=message):
        Handle(store, submitted(store)).extend(**changed)  # type: ignore[arg-type]


class Overtaken(Counting):
    """Another extends the experiment just before."""

    def extend(
        self, uid: str, request: str, by: str, reason: str, changed: Mapping[str, int]
    ) -> Changed:
        super().extend(uid, "theirs", "bob", "", {"num_samples": 99})
        return super().extend(uid, request, by, reason, changed)


def test_an_extension_that_was_overtaken_is_a_refusal_too() -> None:
    store = Overtaken()
    with pytest.raises(OrderError, match="experiment sums: .*99"):
        Handle(store, submitted(store)).extend(num_samples=50)


def test_an_order_to_a_deleted_experiment_says_so(store: Counting) -> None:
    handle = Handle(store, submitted(store))
    store.delete(handle.uid)
    for order in (handle.pause, handle.retry, lambda: handle.extend(max_t=27)):
        with pytest.raises(UnknownExperiment):
            order()


def test_workers_are_drained_by_name_or_host_all_of_them_or_none(store: Counting) -> None:
    for worker in ("gpu0@a", "gpu1@a", "gpu0@b"):
        store.beat(worker, {"queues": ["asha"]})
    with pytest.raises(UnknownWorker, match="'c'; alive are: gpu0@a, gpu0@b, gpu1@a"):
        drain(store, ["a", "c"], "ada")
    assert store.drained() == {}
    assert drain(store, ["gpu0@a", "a"], "ada") == ["gpu0@a", "gpu1@a"]
    assert store.drained() == {"gpu0@a": "ada", "gpu1@a": "ada"}
