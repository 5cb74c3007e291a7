"""The coordinator's loop against the stores, with a worker that is a function in the test."""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asha_queue.coordinator import fold
from asha_queue.coordinator.fleet import Fleet
from asha_queue.coordinator.loop import Coordinator
from asha_queue.coordinator.slots import Want, divide, lead
from asha_queue.errors import ProgramError, SpecificationError
from asha_queue.running import submit
from asha_queue.samplers import Suggestions, ahead, suggestions
from asha_queue.samplers.history import History
from asha_queue.samplers.sampler import Random
from asha_queue.search.rules import check
from asha_queue.search.space import choice, randint, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import Outcome, QueuedSegment, Snapshot, Store
from asha_queue.store.journal import decides
from asha_queue.store.memory import MemoryStore
from tests.conftest import wait_until

SPECIFICATION = Specification(
    name="sums",
    train="sums.py:train",
    space={"x": uniform(0.0, 1.0)},
    metric="loss",
    mode="min",
    max_t=9,
    grace_period=1,
    reduction_factor=3,
    num_samples=30,
    seed=5,
    sampler="random",
)


INFO = {"queues": ["asha"]}


class Queue:
    """Stands in for broker and publisher: messages in order of priority, then of arrival."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, int, QueuedSegment]] = []
        self._count = 0

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> None:
        assert queue == "asha"
        for segment in segments:
            self._count += 1
            level = segment.rung + segment.bracket
            self.messages.append((-level, self._count, segment))
        self.messages.sort(key=lambda message: message[:2])

    def pop(self) -> QueuedSegment | None:
        return self.messages.pop(0)[2] if self.messages else None


def loss(config: dict, step: int) -> dict[str, float]:
    return {"loss": config["x"] + 1.0 / step}


def train(store: Store, uid: str, segment: QueuedSegment, worker: str) -> None:
    """What a worker does with a message, without training."""
    claim = store.claim(uid, segment.trial, segment.rung, segment.attempt, uuid.uuid4().hex, worker)
    if claim.outcome != "run":
        return
    assert store.start(uid, segment.trial, claim.token, claim.start) == "ok"
    metrics = loss(claim.config, claim.target)
    checkpoint = {
        "path": f"{segment.trial}-{claim.token}",
        "resource": claim.target,
        "metrics": metrics,
        "bytes": 1,
        "digest": "",
    }
    outcome = Outcome(metrics, claim.target, checkpoint, 0.1, [[claim.target, metrics]])
    assert store.complete(uid, segment.trial, claim.token, outcome) == "ok"


@pytest.fixture(params=["memory", "server"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore(time.time)
    else:
        store = connect(request.getfixturevalue("broker"))
        yield store
        store.close()


def drive(
    store: Store,
    uid: str,
    workers: int,
    between: Callable[[Coordinator], Coordinator] | None = None,
) -> Coordinator:
    """Runs coordinator and workers in turns until the experiment has ended."""
    queue = Queue()
    coordinator = Coordinator(store, queue, uid)
    names = [f"cpu{i}@test" for i in range(workers)]
    for name in names:
        store.beat(name, INFO)
    rng = random.Random(workers)
    for _ in range(5000):
        coordinator.step()
        if coordinator.ended:
            return coordinator
        if between:
            coordinator = between(coordinator)
        if segment := queue.pop():
            train(store, uid, segment, rng.choice(names))
    pytest.fail("the experiment does not end")


def submitted(store: Store, specification: Specification = SPECIFICATION) -> str:
    return store.submit(uuid.uuid4().hex, specification.name, specification.to_json())


def trials_in_order(journal: list[dict]) -> list[tuple[int, int]]:
    return [(e["trial"], e["rung"]) for e in journal if e["type"] == "started"]


def test_one_worker_trains_the_segments_that_the_simulator_trains_in_the_same_order(
    store: Store,
) -> None:
    uid = submitted(store)
    drive(store, uid, workers=1)
    journal = store.read(uid, "0-0", 10_000).entries
    simulated = simulate(SPECIFICATION, loss, lambda config, start, target: 1.0, workers=1)
    assert trials_in_order(journal) == trials_in_order(simulated.journal)
    assert check(journal) == []


class Clock:
    """The time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def budgeted(**fields: object) -> Specification:
    return Specification.from_json(SPECIFICATION.to_json() | fields)


@pytest.mark.parametrize(
    "fields", [{"resource_budget": 40}, {"stop_at": {"loss": 0.6}}], ids=["resource", "aim"]
)
def test_a_budget_ends_the_experiment_as_in_the_simulator_and_more_of_it_goes_on(
    store: Store, fields: dict[str, object]
) -> None:
    specification = budgeted(**fields)
    uid = submitted(store, specification)
    drive(store, uid, workers=1).leadership.resign()
    journal = store.read(uid, "0-0", 10_000).entries
    simulated = simulate(specification, loss, lambda config, start, target: 1.0, workers=1)
    assert trials_in_order(journal) == trials_in_order(simulated.journal)
    assert journal[-1]["reason"] == simulated.journal[-1]["reason"]
    assert journal[-1]["reason"].split()[0] in fields
    raised = {"resource_budget": 80} if "resource_budget" in fields else {"stop_at": {"loss": 0.3}}
    assert store.extend(uid, "more", "me", "", raised) == "ok"
    drive(store, uid, workers=3)
    journal = store.read(uid, "0-0", 10_000).entries
    assert [entry["type"] for entry in journal].count("finished") == 2
    assert check(journal) == []


def test_a_time_budget_is_measured_by_the_server_s_clock_and_survives_every_coordinator() -> None:
    clock, queue = Clock(), Queue()
    store = MemoryStore(clock)
    uid = submitted(store, budgeted(time_budget=60.0))
    store.beat("cpu0@test", INFO)

    def turn() -> Coordinator:
        coordinator = Coordinator(store, queue, uid)  # each time another: none has a memory
        coordinator.turn()
        coordinator.turn()
        coordinator.leadership.resign()
        return coordinator

    turn()
    segment = queue.pop()
    assert segment is not None
    claim = store.claim(uid, segment.trial, 0, 1, "c", "cpu0@test")
    assert store.start(uid, segment.trial, claim.token, 0) == "ok"
    clock.now += 20
    store.pause(uid, "p", "me", "lunch", now=False)
    clock.now += 1000
    store.resume(uid, "r", "me", "")
    clock.now += 39
    store.beat("cpu0@test", INFO)
    turn()
    assert store.renew(uid, segment.trial, claim.token) == "ok"
    clock.now += 1
    turn()
    assert store.renew(uid, segment.trial, claim.token) == "drain"
    assert store.describe(uid).state == "open", "it waits for what runs"
    assert store.suspend(uid, segment.trial, claim.token, Outcome({}, 0, None, 1.0, [])) == "ok"
    assert turn().ended
    journal = store.read(uid, "0-0").entries
    assert journal[-1]["reason"].startswith("time_budget of 60 s is used: 60.0 s")
    clock.now += 500
    assert store.extend(uid, "more", "me", "", {"time_budget": 70.0}) == "ok"
    assert not turn().ended, "the time for which it had ended does not count"
    assert segment.trial in [due.trial for due in store.due(uid)] or queue.messages
    clock.now += 10
    assert turn().ended
    assert check(store.read(uid, "0-0").entries) == []


@pytest.mark.parametrize("snapshots", ["with snapshots", "without"])
def test_a_coordinator_replaced_after_every_step_decides_as_one_that_lives(
    store: Store, snapshots: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if snapshots == "with snapshots":
        monkeypatch.setattr(fold, "SNAPSHOT_AFTER", 1)
        monkeypatch.setattr(fold, "SNAPSHOT_GROWTH", 0)
    uid = submitted(store)
    queue = Queue()

    def replaced(old: Coordinator) -> Coordinator:
        old.leadership.resign()
        return Coordinator(store, queue, uid)

    store.beat("cpu0@test", INFO)
    coordinator = Coordinator(store, queue, uid)
    for _ in range(5000):
        coordinator.step()
        if coordinator.ended:
            break
        coordinator = replaced(coordinator)
        coordinator.step()
        if segment := queue.pop():
            train(store, uid, segment, "cpu0@test")
    journal = store.read(uid, "0-0", 10_000).entries
    simulated = simulate(SPECIFICATION, loss, lambda config, start, target: 1.0, workers=1)
    assert trials_in_order(journal) == trials_in_order(simulated.journal)
    assert journal[-1]["type"] == "finished"
    assert check(journal) == []
    assert (store.snapshot(uid) is not None) == (snapshots == "with snapshots")


@pytest.mark.parametrize(
    ("variant", "brackets"),
    [
        ("promotion", 1),
        ("promotion", 3),
        ("delayed", 1),
        ("stopping", 1),
        ("stopping", 2),
        ("pasha", 1),
    ],
)
def test_coordinators_that_take_over_from_snapshots_keep_the_rules_of_every_variant(
    store: Store, variant: str, brackets: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fold, "SNAPSHOT_AFTER", 1)
    monkeypatch.setattr(fold, "SNAPSHOT_GROWTH", 0)
    hedge = (variant, brackets) == ("promotion", 1)
    fields = SPECIFICATION.to_json() | {"variant": variant, "brackets": brackets, "hedge": hedge}
    uid = submitted(store, Specification(**fields))
    coordinators = 0

    def replaced(old: Coordinator) -> Coordinator:
        nonlocal coordinators
        coordinators += 1
        old.fold.keep()
        old.leadership.resign()
        return Coordinator(store, old._publisher, uid)

    drive(store, uid, workers=3, between=replaced)
    journal = store.read(uid, "0-0", 10_000).entries
    assert check(journal) == []
    assert journal[-1]["type"] == "finished"
    assert {e["bracket"] for e in journal if e["type"] == "scheduled"} == {*range(brackets)}
    assert coordinators > 30
    snapshot = store.snapshot(uid)
    assert snapshot is not None
    assert ("pasha" in snapshot.state) == (variant == "pasha")


def test_a_fold_from_a_snapshot_is_the_fold_of_the_whole_journal(store: Store) -> None:
    uid = submitted(store)
    drive(store, uid, workers=2)
    journal = store.read(uid, "0-0", 10_000).entries
    whole = fold.Fold(store, uid)
    whole.catch_up()
    half = fold.Fold(store, uid)
    for entry in journal[: len(journal) // 2]:
        half.search.apply(entry)
        half.seen = entry["id"]
        half.last = entry["id"] if decides(entry) else half.last
    store.keep_snapshot(uid, Snapshot(half.seen, half.last, half.search.snapshot()))
    resumed = fold.Fold(store, uid)
    assert resumed.seen == half.seen
    resumed.catch_up()
    assert resumed.search.snapshot() == whole.search.snapshot()
    assert (resumed.seen, resumed.last) == (whole.seen, whole.last)


@pytest.mark.parametrize("snapshots", ["with snapshots", "without"])
@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize(
    "space",
    [{"x": uniform(0.0, 1.0), "n": randint(1, 9)}, {"x": choice([0.1, 0.2, 0.3]), "n": 1}],
    ids=["large", "small"],
)
def test_the_sampler_s_configurations_are_scheduled_also_by_coordinators_that_take_over(
    store: Store,
    space: dict,
    sampler: str,
    snapshots: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if snapshots == "with snapshots":
        monkeypatch.setattr(fold, "SNAPSHOT_AFTER", 1)
        monkeypatch.setattr(fold, "SNAPSHOT_GROWTH", 0)
    fields = {"space": space, "sampler": sampler, "initial_configs": [{"x": 0.3}], "num_samples": 8}
    made = Specification.from_json(SPECIFICATION.to_json() | fields)
    uid = store.submit(uuid.uuid4().hex, made.name, made.to_json())
    queue = Queue()
    store.beat("cpu0@test", INFO)
    coordinator = Coordinator(store, queue, uid)
    for _ in range(500):
        coordinator.step()
        if coordinator.ended:
            break
        if segment := queue.pop():
            train(store, uid, segment, "cpu0@test")
        else:
            coordinator.leadership.resign()
            coordinator = Coordinator(store, queue, uid)
    journal = store.read(uid, "0-0", 10_000).entries
    configs = [e["config"] for e in journal if e["type"] == "scheduled" and e["rung"] == 0]
    assert configs == Suggestions(made).suggest(0, 8)
    assert configs[0]["x"] == 0.3
    assert check(journal) == []
    assert (store.snapshot(uid) is not None) == (snapshots == "with snapshots")


TREES = Specification.from_json(
    SPECIFICATION.to_json()
    | {"sampler": "trees", "space": {"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}}}
)


@pytest.mark.parametrize("sampler", ["trees", "optuna-tpe", "optuna-cmaes"])
@pytest.mark.parametrize("snapshots", ["with snapshots", "without"])
def test_a_model_goes_on_learning_after_each_takeover_as_in_the_simulator(
    store: Store, snapshots: str, sampler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "FRESH_PATIENCE", 60.0)
    if snapshots == "with snapshots":
        monkeypatch.setattr(fold, "SNAPSHOT_AFTER", 1)
        monkeypatch.setattr(fold, "SNAPSHOT_GROWTH", 0)
    made = Specification.from_json(TREES.to_json() | {"sampler": sampler})
    uid = store.submit(uuid.uuid4().hex, made.name, made.to_json())
    queue = Queue()
    store.beat("cpu0@test", INFO)
    coordinator = Coordinator(store, queue, uid)
    for step in range(2000):
        coordinator.step()
        if coordinator.ended:
            break
        if segment := queue.pop():
            train(store, uid, segment, "cpu0@test")
            if step % 5 == 0:
                coordinator.leadership.resign()
                coordinator = Coordinator(store, queue, uid)
    journal = store.read(uid, "0-0", 10_000).entries
    simulated = simulate(made, loss, lambda config, start, target: 1.0, workers=1)
    configs = [e["config"] for e in journal if e["type"] == "scheduled" and e["rung"] == 0]
    assert configs == [trial.config for trial in simulated.trials]
    assert configs != Suggestions(SPECIFICATION).suggest(0, 30)
    assert (store.snapshot(uid) is not None) == (snapshots == "with snapshots")


def test_no_decision_waits_for_a_model(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that does not answer before the experiment has ended."""
    ended = threading.Event()

    class Stuck(Random):
        learns = True

        def suggest(self, history: History, first: int, n: int) -> list[dict]:
            assert ended.wait(120)
            return super().suggest(history, first, n)

    monkeypatch.setitem(suggestions.SAMPLERS, "trees", Stuck)
    uid = store.submit(uuid.uuid4().hex, TREES.name, TREES.to_json())
    try:
        drive(store, uid, workers=3)
    finally:
        ended.set()
    journal = store.read(uid, "0-0", 10_000).entries
    configs = [e["config"] for e in journal if e["type"] == "scheduled" and e["rung"] == 0]
    assert configs == [TREES.parameters.draw(5, trial) for trial in range(30)]
    assert check(journal) == []


def test_a_leader_that_has_waited_for_a_model_renews_its_lead_before_it_schedules(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = store.submit(uuid.uuid4().hex, TREES.name, TREES.to_json())
    store.beat("cpu0@test", INFO)
    coordinator = Coordinator(store, Queue(), uid)
    suggest, waits = coordinator.fold.suggestions.suggest, iter([True])

    def slow(first: int, n: int, fresh: bool = True) -> list[dict]:
        if next(waits, False):
            coordinator._next_tick = 0.0  # as if it had taken longer than that
        return suggest(first, n, fresh)

    monkeypatch.setattr(coordinator.fold.suggestions, "suggest", slow)
    assert coordinator.turn()
    assert [e["type"] for e in store.read(uid, "0-0").entries] == ["submitted"]
    assert coordinator.turn()
    assert "scheduled" in [e["type"] for e in store.read(uid, "0-0").entries]


def test_several_workers_train_what_trees_suggest(store: Store) -> None:
    uid = store.submit(uuid.uuid4().hex, TREES.name, TREES.to_json())

    def prepared(coordinator: Coordinator) -> Coordinator:
        made = coordinator.fold.suggestions._ahead
        assert made is not None
        wait_until(lambda: not made._working, "suggestions are made ahead")
        return coordinator

    drive(store, uid, workers=3, between=prepared)
    journal = store.read(uid, "0-0", 10_000).entries
    configs = [e["config"] for e in journal if e["type"] == "scheduled" and e["rung"] == 0]
    drawn = [TREES.parameters.draw(5, trial) for trial in range(30)]
    assert sum(one != other for one, other in zip(configs, drawn, strict=True)) > 10
    assert check(journal) == []


def test_a_snapshot_of_a_version_without_samplers_is_passed_over_where_one_needs_its_part(
    store: Store,
) -> None:
    for space, needed in (({"x": choice([0.1, 0.2])}, True), ({"x": uniform(0, 1)}, False)):
        made = Specification.from_json(
            SPECIFICATION.to_json() | {"name": f"sums-{needed}", "space": space}
        )
        uid = store.submit(uuid.uuid4().hex, made.name, made.to_json())
        first = fold.Fold(store, uid)
        first.catch_up()
        store.keep_snapshot(uid, Snapshot(first.seen, first.last, first.search.snapshot()))
        assert (fold.Fold(store, uid).seen == "0-0") == needed


class Lacking(Random):
    """A sampler whose package is not installed."""

    @staticmethod
    def missing() -> str:
        return "sampler='sobol': needs what is not installed here"


def test_a_sampler_that_is_not_installed_is_refused_before_anything_is_deleted_or_written(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(suggestions.SAMPLERS, "sobol", Lacking)
    uid = submitted(store)
    made = Specification.from_json(SPECIFICATION.to_json() | {"sampler": "sobol"})
    for fresh in (False, True):
        with pytest.raises(SpecificationError, match="needs what is not installed here"):
            submit(store, made, tmp_path / "sums", fresh)
    assert store.names() == {"sums": uid}


def test_several_workers_end_the_search_with_every_rule_kept(store: Store) -> None:
    uid = submitted(store)
    coordinator = drive(store, uid, workers=5)
    assert check(store.read(uid, "0-0", 10_000).entries) == []
    assert coordinator.fold.search.state == "finished"
    assert coordinator.fold.search.started == 30


def test_a_second_coordinator_follows_and_decides_nothing(store: Store) -> None:
    uid = submitted(store)
    store.beat("cpu0@test", INFO)
    first, second = Coordinator(store, Queue(), uid), Coordinator(store, Queue(), uid)
    first.step()
    second.step()
    second.step()
    assert first.leadership.leading
    assert not second.leadership.leading
    assert second.leadership.leader == first.leadership.who
    first.step()
    second.step()
    scheduled = [e for e in store.read(uid, "0-0").entries if e["type"] == "scheduled"]
    assert len(scheduled) == 1
    assert second.fold.search.outstanding == 1


def test_a_lost_message_is_published_again(store: Store) -> None:
    uid = submitted(store)
    store.beat("cpu0@test", INFO)
    lost, queue = Queue(), Queue()
    first = Coordinator(store, lost, uid)
    first.step()
    first.step()
    assert lost.pop()
    store.refuse(uid, 0, 0, 1, "cpu1@elsewhere", "no such file")  # clears the mark: due in 2 s
    first.leadership.resign()
    second = Coordinator(store, queue, uid)
    deadline = time.monotonic() + 20
    while not queue.messages and time.monotonic() < deadline:
        second.step()
    again = queue.pop()
    assert again
    assert (again.trial, again.rung, again.attempt) == (0, 0, 1)


def test_what_others_schedule_is_published_without_a_tick(store: Store) -> None:
    uid = submitted(store)
    store.beat("cpu0@test", INFO)
    queue = Queue()
    coordinator = Coordinator(store, queue, uid, Fleet(store, Clock()))
    while coordinator.turn():
        pass
    first = queue.pop()
    assert first
    claim = store.claim(uid, first.trial, first.rung, first.attempt, "c", "cpu0@test", True)
    assert store.fail(uid, first.trial, claim.token, "it broke", 0) == "retry"
    while coordinator.turn():  # the clock stands still: it does not tick
        pass
    again = queue.pop()
    assert again
    assert (again.trial, again.rung, again.attempt) == (first.trial, first.rung, 2)
    assert store.due(uid) == []  # it is marked, too
    assert queue.pop() is None


def test_what_is_scheduled_while_it_is_paused_is_not_published(store: Store) -> None:
    uid = submitted(store)
    store.beat("cpu0@test", INFO)
    queue = Queue()
    coordinator = Coordinator(store, queue, uid, Fleet(store, Clock()))
    while coordinator.turn():
        pass
    first = queue.pop()
    assert first
    claim = store.claim(uid, first.trial, first.rung, first.attempt, "c", "cpu0@test", True)
    store.pause(uid, "p", "me", "", True)
    assert store.fail(uid, first.trial, claim.token, "it broke", 0) == "retry"
    while coordinator.turn():
        pass
    assert queue.pop() is None


def test_a_new_leader_publishes_nothing_that_has_ended(store: Store) -> None:
    uid = submitted(store)
    before = drive(store, uid, workers=2)
    assert before.ended
    store.extend(uid, "more", "me", "", {"num_samples": 31})
    before.resign()
    queue = Queue()
    coordinator = Coordinator(store, queue, uid)
    while coordinator.turn():
        pass
    assert queue.messages
    assert len(queue.messages) == coordinator.fold.search.outstanding


def test_a_program_that_every_worker_refuses_ends_in_one_message(store: Store) -> None:
    uid = submitted(store)
    store.beat("cpu0@test", INFO)
    coordinator = Coordinator(store, Queue(), uid)
    coordinator.step()
    coordinator.step()
    store.refuse(uid, 0, 0, 1, "cpu0@test", "program sums.py differs")
    with pytest.raises(ProgramError, match=r"cpu0@test.*sums\.py differs"):  # noqa: PT012
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            coordinator.step()


@pytest.mark.parametrize(
    ("workers", "claims", "shares"),
    [
        (10, [("a", 100, 1), ("b", 100, 1)], [5, 5]),
        (10, [("a", 2, 1), ("b", 100, 1)], [2, 8]),
        (10, [("a", 0, 1), ("b", 3, 1)], [0, 3]),
        (1, [("a", 9, 1), ("b", 9, 1)], [1, 0]),
        (7, [("a", 9, 1), ("b", 9, 1), ("c", 9, 1)], [3, 2, 2]),
        (8, [("a", 9, 1), ("b", 9, 1), ("c", 9, 2)], [2, 2, 4]),
        (4, [("a", 9, 1), ("b", 1, 5), ("c", 9, 2)], [1, 1, 2]),
        (0, [("a", 9, 1)], [0]),
        (5, [], []),
    ],
)
def test_slots_are_divided_by_weight_and_what_one_leaves_goes_to_the_others(
    workers: int, claims: list[tuple[str, int, float]], shares: list[int]
) -> None:
    assert list(divide(workers, [Want(*claim) for claim in claims]).slots.values()) == shares


@given(
    workers=st.integers(0, 1000),
    claims=st.lists(st.tuples(st.integers(0, 300), st.floats(0.01, 100)), max_size=8),
)
def test_no_slot_is_wasted_and_each_share_is_within_one_of_its_weight(
    workers: int, claims: list[tuple[int, float]]
) -> None:
    wants = [Want(str(i), want, weight) for i, (want, weight) in enumerate(claims)]
    slots = divide(workers, wants).slots
    assert sum(slots.values()) == min(workers, sum(want.wants for want in wants))
    hungry = [want for want in wants if slots[want.uid] < want.wants]
    for one in hungry:
        for other in wants:
            assert (slots[one.uid] + 1) / one.weight >= (slots[other.uid] - 1) / other.weight - 1e-9


def test_one_slot_has_no_lead_so_that_runs_are_repeatable() -> None:
    assert lead(1, alone=True) == 0
    assert lead(2, alone=True) == 1


def test_beside_others_there_is_no_lead_that_takes_their_slots() -> None:
    assert lead(8, alone=False) == 0
