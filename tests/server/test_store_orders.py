"""Orders to whole experiments and workers, for the server and its memory twin."""

from collections.abc import Callable
from typing import Any

import pytest

from asha_queue.errors import ProtocolError, UnknownExperiment
from asha_queue.settings import (
    CLOCK_STEP,
    LEASE,
    POISON_LIMIT,
    PUBLISH_AGAIN,
    UNWITNESSED_LIMIT,
    WORKER_TIMEOUT,
)
from asha_queue.store import keys
from asha_queue.store.contract import Json, Store
from tests.server.sides import ServerSide, Side
from tests.server.test_store_contract import (
    UID,
    claim,
    entries,
    last,
    lose,
    new,
    outcome,
    promotion,
    run,
    saved,
    schedule,
    types,
)

SPECIFICATION = {"name": "digits", "retries": 0, "num_samples": 8, "max_t": 4}


@pytest.fixture
def store(side: Side) -> Store:
    side.store.submit(UID, "digits", SPECIFICATION)
    return side.store


def pause(store: Store, request: str = "pause", now: bool = False) -> str:
    return store.pause(UID, request, "me", "lunch", now)


def resume(store: Store, request: str = "resume") -> str:
    return store.resume(UID, request, "me", "after lunch")


def cancel(store: Store, request: str = "cancel") -> str:
    return store.cancel(UID, request, "me", "wrong data")


def extend(store: Store, request: str = "extend", **changed: int) -> str:
    return store.extend(UID, request, "me", "more", changed)


def retry(store: Store, request: str = "retry", trials: list[int] | None = None) -> list[int]:
    return store.retry(UID, request, "me", trials)


def finish(store: Store) -> None:
    assert store.finish(UID, last(store), f"finish {last(store)}", "me", "nothing left") == "ok"


def fail(store: Store, trial: int, attempt: int = 1) -> None:
    assert store.fail(UID, trial, run(store, trial, attempt=attempt), "no", 0) == "final"


def complete(store: Store, trial: int, rung: int = 0, **checkpoint: Any) -> None:
    claimed = claim(store, trial, rung)
    assert store.start(UID, trial, claimed.token, claimed.start) == "ok"
    ended = outcome(claimed.target, saved(claimed.target))
    assert store.complete(UID, trial, claimed.token, ended) == "ok"


# -- what all orders have in common ------------------------------------------------------------

ORDERS: dict[str, Callable[..., Any]] = {
    "paused": pause,
    "resumed": resume,
    "cancelled": cancel,
    "extended": lambda store, request: extend(store, request, num_samples=9),
    "retried": retry,
}


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_is_obeyed_once_however_often_it_is_repeated_and_whatever_came_after(
    store: Store, kind: str
) -> None:
    schedule(store, new(0))
    fail(store, 0)
    if kind == "resumed":
        pause(store, "before")
    answer = ORDERS[kind](store, "order")
    assert answer == ([0] if kind == "retried" else "ok")
    resume(store, "undone")
    pause(store, "undone too")
    extend(store, "more still", num_samples=10)
    before = entries(store), store.describe(UID)
    for _ in range(2):
        assert ORDERS[kind](store, "order") == answer
    assert (entries(store), store.describe(UID)) == before


@pytest.mark.parametrize("kind", ORDERS)
def test_an_order_makes_earlier_decisions_stale_or_forbids_them(store: Store, kind: str) -> None:
    schedule(store, new(0))
    fail(store, 0)
    if kind == "resumed":
        pause(store, "before")
    folded = last(store)
    ORDERS[kind](store, "order")
    assert last(store) != folded
    expected = {"paused": "paused", "cancelled": "cancelled"}.get(kind, "stale")
    assert store.schedule(UID, folded, "r", [new(1)]) == expected


@pytest.mark.parametrize(
    ("state", "kind", "answer"),
    [
        ("open", "resumed", "unchanged"),
        ("paused", "paused", "unchanged"),
        ("finished", "paused", "finished"),
        ("finished", "resumed", "finished"),
        ("finished", "cancelled", "finished"),
        ("cancelled", "paused", "cancelled"),
        ("cancelled", "resumed", "cancelled"),
        ("cancelled", "cancelled", "unchanged"),
        ("cancelled", "extended", "cancelled"),
        ("cancelled", "retried", []),
    ],
)
def test_an_order_that_changes_nothing_says_why(
    store: Store, state: str, kind: str, answer: object
) -> None:
    schedule(store, new(0))
    fail(store, 0)
    ways: dict[str, Callable[[Store], object]] = {
        "open": last,
        "paused": pause,
        "finished": finish,
        "cancelled": cancel,
    }
    ways[state](store)
    before = entries(store), store.describe(UID)
    assert ORDERS[kind](store, "order") == answer
    assert (entries(store), store.describe(UID)) == before


def test_orders_to_a_deleted_experiment_find_nothing(store: Store) -> None:
    store.delete(UID)
    for kind in ("paused", "resumed", "cancelled", "extended"):
        assert ORDERS[kind](store, "order") == "unknown"
    with pytest.raises(UnknownExperiment):
        retry(store)
    assert store.names() == {}


def test_who_gave_an_order_and_why_is_in_the_journal(store: Store) -> None:
    pause(store, now=True)
    resume(store)
    extend(store, num_samples=9, max_t=4)
    cancel(store)
    told = [{key: e[key] for key in e.keys() - {"v", "id", "at"}} for e in entries(store)[1:]]
    assert told == [
        {"type": "paused", "by": "me", "reason": "lunch", "now": True},
        {"type": "resumed", "by": "me", "reason": "after lunch"},
        {"type": "extended", "by": "me", "reason": "more"}
        | {"changed": {"num_samples": 9, "max_t": 4}},
        {"type": "cancelled", "by": "me", "reason": "wrong data"},
    ]


def test_delete_leaves_no_order(broker: str) -> None:
    server = ServerSide(broker)
    server.store.submit(UID, "digits", SPECIFICATION)
    pause(server.store)
    assert f"{keys.experiment(UID)}:orders" in server.all_keys()
    server.store.delete(UID)
    assert server.all_keys() == ["asha:deleted"]
    server.close()


# -- pause and resume --------------------------------------------------------------------------


def test_while_paused_nothing_is_scheduled_due_claimed_or_finished(store: Store) -> None:
    schedule(store, new(0))
    assert pause(store) == "ok"
    assert store.describe(UID).state == "paused"
    assert store.schedule(UID, last(store), "r", [new(1)]) == "paused"
    assert store.finish(UID, last(store), "r", "me", "done") == "paused"
    assert store.due(UID) == []
    refused = store.claim(UID, 0, 0, 1, "c", "a")
    assert (refused.outcome, refused.reason) == ("refused", "the experiment is paused")


def test_a_paused_experiment_is_no_claimant(store: Store) -> None:
    store.lead(UID, "me", 3)
    pause(store)
    assert store.claimants() == []
    resume(store)
    assert len(store.claimants()) == 1


def test_after_a_pause_everything_queued_is_due_at_once(side: Side, store: Store) -> None:
    schedule(store, new(0), new(1))
    store.published(UID, [(0, 0, 1)])
    pause(store)
    side.advance(1)
    assert resume(store) == "ok"
    assert [segment.trial for segment in store.due(UID)] == [0, 1]
    store.published(UID, [(0, 0, 1), (1, 0, 1)])
    side.advance(PUBLISH_AGAIN + 1)
    assert len(store.due(UID)) == 2  # the delay has begun anew, too
    assert claim(store, 0).outcome == "run"


def test_what_runs_goes_on_and_counts_while_paused(store: Store) -> None:
    schedule(store, new(0), new(1))
    token = run(store, 0)
    suspended = run(store, 1)
    pause(store)
    assert store.renew(UID, 0, token) == "ok"
    assert store.checkpoint(UID, 0, token, saved(1)) == "ok"
    assert store.complete(UID, 0, token, outcome(1, saved(1))) == "ok"
    assert store.suspend(UID, 1, suspended, outcome(0)) == "ok"
    assert store.due(UID) == []
    resume(store)
    assert [segment.attempt for segment in store.due(UID)] == [2]
    schedule(store, promotion(0, 1, 4))


def test_a_claim_made_before_the_pause_keeps_its_answer(store: Store) -> None:
    schedule(store, new(0))
    claimed = claim(store, 0)
    pause(store)
    assert claim(store, 0) == claimed
    assert store.start(UID, 0, claimed.token, 0) == "ok"


def test_a_lease_that_runs_out_while_paused_is_queued_again_and_stays_so(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    run(store, 0)
    pause(store)
    for _ in range(int(LEASE / CLOCK_STEP) - 1):
        side.advance(CLOCK_STEP)
        assert store.reap(UID) == []
    side.advance(CLOCK_STEP)
    assert store.reap(UID) == [0]
    assert types(store)[-2:] == ["lost", "scheduled"]
    assert store.due(UID) == []
    assert store.claim(UID, 0, 0, 2, "c", "a").reason == "the experiment is paused"
    resume(store)
    claim(store, 0, attempt=2)


def test_a_pause_now_asks_what_runs_to_drain(side: Side, store: Store) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    pause(store, "first")
    assert store.renew(UID, 0, token) == "ok"
    assert pause(store, "second", now=True) == "ok"
    assert pause(store, "third", now=True) == pause(store, "fourth") == "unchanged"
    for _ in range(2 * int(LEASE / CLOCK_STEP)):
        assert store.renew(UID, 0, token) == "drain"  # which extends the lease, too
        side.advance(CLOCK_STEP)
        assert store.reap(UID) == []
    resume(store)
    assert store.renew(UID, 0, token) == "ok"
    pause(store, "fifth")
    assert store.renew(UID, 0, token) == "ok"


def test_a_store_copied_while_paused_is_paused_when_it_is_put_back(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    pause(store)
    copy = side.save()
    resume(store)
    run(store, 0)
    side.roll_back(copy)
    assert store.describe(UID).state == "paused"
    assert pause(store) == "ok"
    assert store.claim(UID, 0, 0, 1, "c", "a").outcome == "refused"
    assert resume(store) == "ok"
    run(store, 0)


# -- cancel ------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", ["open", "paused"])
def test_cancel_closes_what_is_queued_and_what_runs(side: Side, store: Store, before: str) -> None:
    schedule(store, new(0), new(1), new(2))
    complete(store, 0)
    token = run(store, 1)
    if before == "paused":
        pause(store, now=True)
    assert cancel(store) == "ok"
    assert store.describe(UID).state == "cancelled"
    assert (store.running(UID), store.due(UID), store.reap(UID)) == ([], [], [])
    assert [r["state"] for r in side.records(UID).values()] == ["IDLE", "CANCELLED", "CANCELLED"]
    assert store.claim(UID, 2, 0, 1, "c", "a").reason == "the experiment is cancelled"
    assert store.renew(UID, 1, token) == "cancel"
    assert types(store)[-1] == "cancelled"


def test_the_zombies_of_a_cancelled_segment_write_nothing(side: Side, store: Store) -> None:
    schedule(store, new(0), new(1))
    older = run(store, 0)
    lose(side)
    token = run(store, 0, attempt=2)
    claimed = claim(store, 1).token
    cancel(store)
    before = entries(store), side.records(UID)
    assert store.checkpoint(UID, 0, token, saved(1)) == "stale"
    assert store.complete(UID, 0, token, outcome()) == "stale"
    assert store.suspend(UID, 0, token, outcome()) == "stale"
    assert store.fail(UID, 0, token, "no", 0) == "stale"
    assert store.start(UID, 1, claimed, 0) == "stale"
    assert store.release(UID, 0, token, "swept", counts=False) == "stale"
    assert store.release_worker("a", "killed") == []
    store.refuse(UID, 1, 0, 1, "a", "too late")
    assert store.renew(UID, 0, older) == "stale"
    assert store.renew(UID, 0, token) == store.renew(UID, 1, claimed) == "cancel"
    assert (entries(store), side.records(UID)) == before


# -- extend ------------------------------------------------------------------------------------


def test_an_extension_leaves_the_specification_and_tells_the_present_values(store: Store) -> None:
    assert store.describe(UID).extended == {}
    assert extend(store, "first", num_samples=10) == "ok"
    assert store.describe(UID).extended == {"num_samples": 10}
    assert extend(store, "second", num_samples=10, max_t=16) == "ok"
    assert store.describe(UID).extended == {"num_samples": 10, "max_t": 16}
    assert store.describe(UID).specification == SPECIFICATION
    assert extend(store, "third", num_samples=10) == "unchanged"


BUDGETS = {
    "name": "other",
    "metric": ["accuracy", "latency"],
    "mode": ["max", "min"],
    "num_samples": 8,
    "max_t": 4,
    "time_budget": 7.5,
    "resource_budget": 100,
    "stop_at": {"accuracy": 0.9, "latency": 20.0},
}


def extend_budgets(store: Store, request: str, **changed: Any) -> str:
    return store.extend("budgets", request, "me", "more", changed)


def test_budgets_can_be_raised_and_stop_at_in_the_direction_of_each_metric(store: Store) -> None:
    store.submit("budgets", "other", BUDGETS)
    harder = {"accuracy": 0.95, "latency": 20.0}
    raised = {"time_budget": 7200.25, "resource_budget": 2**53, "stop_at": harder}
    assert extend_budgets(store, "a", **raised) == "ok"
    assert store.describe("budgets").extended == raised
    assert extend_budgets(store, "b", **raised) == "unchanged"
    assert extend_budgets(store, "c", stop_at={"accuracy": 0.95, "latency": 19.5}) == "ok"
    assert store.read("budgets", "").entries[1]["changed"] == raised


@pytest.mark.parametrize(
    "changed",
    [
        {"time_budget": 7.25},
        {"resource_budget": 99},
        {"stop_at": {"accuracy": 0.89, "latency": 20.0}},
        {"stop_at": {"accuracy": 0.99, "latency": 20.5}},
        {"stop_at": {"accuracy": 0.99}},
        {"stop_at": {"accuracy": 0.99, "latency": 20.0, "size": 1.0}},
    ],
)
def test_no_budget_shrinks(store: Store, changed: Json) -> None:
    store.submit("budgets", "other", BUDGETS)
    with pytest.raises(ProtocolError, match="cannot shrink to"):
        extend_budgets(store, "a", max_t=16, **changed)
    assert store.describe("budgets").extended == {}


@pytest.mark.parametrize("changed", [{"time_budget": 9.0}, {"stop_at": {"accuracy": 1.0}}])
@pytest.mark.parametrize("absent", [{"time_budget": None, "stop_at": None}, {}])
def test_a_budget_that_there_is_none_of_cannot_be_raised(
    store: Store, changed: Json, absent: Json
) -> None:
    plain = {"name": "other", "num_samples": 8, "max_t": 4}
    store.submit("budgets", "other", plain | {"metric": "accuracy", "mode": "max"} | absent)
    with pytest.raises(ProtocolError, match="that could be raised"):
        extend_budgets(store, "a", **changed)


@pytest.mark.parametrize("order", ["extend", "retry", "resume"])
def test_what_an_early_finish_left_queued_is_due_once_it_goes_on(
    side: Side, store: Store, order: str
) -> None:
    schedule(store, new(0), new(1))
    fail(store, 1)
    store.published(UID, [(0, 0, 1)])
    if order == "resume":  # of one that was about to finish, and is paused
        token = run(store, 0)
        assert store.finish(UID, last(store), "r", "me", "enough", True) == "running"
        pause(store)
        store.suspend(UID, 0, token, outcome(0))
        resume(store)
        assert store.due(UID) == [], "it is ending still"
        assert extend(store, num_samples=9) == "ok"
    else:
        assert store.finish(UID, last(store), "r", "me", "enough", True) == "ok"
        side.advance(1)
        if order == "extend":
            assert extend(store, num_samples=9) == "ok"
        else:
            assert retry(store) == [1]
    assert 0 in [segment.trial for segment in store.due(UID)]
    assert claim(store, 0, attempt=2 if order == "resume" else 1).outcome == "run"


@pytest.mark.parametrize(
    "changed", [{"num_samples": 7}, {"max_t": 3}, {"num_samples": 9, "max_t": 3}]
)
def test_nothing_shrinks(store: Store, changed: Json) -> None:
    with pytest.raises(ProtocolError, match="cannot shrink to"):
        extend(store, **changed)
    extend(store, "first", num_samples=20)
    with pytest.raises(ProtocolError, match="num_samples is 20 and cannot shrink to 19"):
        extend(store, "second", num_samples=19)
    assert types(store) == ["submitted", "extended"]


def test_a_finished_experiment_that_is_extended_promotes_out_of_its_old_top(store: Store) -> None:
    schedule(store, new(0))
    complete(store, 0)
    schedule(store, promotion(0, 1, 4))
    complete(store, 0, rung=1)
    finish(store)
    assert extend(store, max_t=16) == "ok"
    assert store.describe(UID).state == "open"
    schedule(store, promotion(0, 2, 16))
    claimed = claim(store, 0, rung=2)
    assert (claimed.start, claimed.target) == (4, 16)


def test_a_finished_experiment_stays_so_when_it_has_the_values_already(store: Store) -> None:
    finish(store)
    assert extend(store, num_samples=8, max_t=4) == "unchanged"
    assert store.describe(UID).state == "finished"


def test_a_paused_experiment_that_is_extended_stays_paused(store: Store) -> None:
    pause(store)
    assert extend(store, num_samples=9) == "ok"
    assert store.describe(UID).state == "paused"


# -- retry -------------------------------------------------------------------------------------


def test_failed_trials_are_scheduled_again_with_their_counts_at_zero(
    side: Side, store: Store
) -> None:
    schedule(store, *(new(trial) for trial in range(4)))
    for trial in (2, 0):
        fail(store, trial)
    complete(store, 1)
    finished = len(entries(store))
    assert retry(store) == [0, 2]
    told = [(e["type"], e["trial"], e.get("attempt")) for e in entries(store)[finished:]]
    assert told == [
        ("retried", 0, None),
        ("scheduled", 0, 2),
        ("retried", 2, None),
        ("scheduled", 2, 2),
    ]
    assert [side.records(UID)[trial]["failures"] for trial in (0, 2)] == [0, 0]
    assert sorted(segment.trial for segment in store.due(UID)) == [0, 2, 3]
    fail(store, 0, attempt=2)
    assert retry(store, "later") == [0]
    assert retry(store) == [0, 2]


def test_only_the_failed_ones_among_those_named_are_retried(store: Store) -> None:
    schedule(store, new(0), new(1), new(2))
    fail(store, 0)
    fail(store, 1)
    assert retry(store, trials=[2, 1, 1, 77]) == [1]
    assert retry(store, "again", trials=[2, 1]) == []


def test_a_retry_opens_a_finished_experiment_and_leaves_a_paused_one_paused(store: Store) -> None:
    schedule(store, new(0))
    fail(store, 0)
    finish(store)
    assert retry(store, "none of these", [5]) == []
    assert store.describe(UID).state == "finished"
    assert retry(store) == [0]
    assert store.describe(UID).state == "open"
    fail(store, 0, attempt=2)
    pause(store)
    assert retry(store, "paused") == [0]
    assert (store.describe(UID).state, store.due(UID)) == ("paused", [])
    resume(store)
    run(store, 0, attempt=3)


def test_a_trial_that_kept_dying_is_retried_with_as_many_lives_as_before(store: Store) -> None:
    schedule(store, new(0))
    for attempt in range(1, POISON_LIMIT + 1):
        store.release(UID, 0, run(store, 0, attempt=attempt), "signal 9", counts=True)
    assert retry(store) == [0]
    for attempt in range(POISON_LIMIT + 1, 2 * POISON_LIMIT):
        store.release(UID, 0, run(store, 0, attempt=attempt), "signal 9", counts=True)
        assert types(store)[-2:] == ["lost", "scheduled"]
    store.release(UID, 0, run(store, 0, attempt=2 * POISON_LIMIT), "signal 9", counts=True)
    assert retry(store, "again") == [0]


def test_a_trial_that_kept_getting_lost_is_retried(side: Side, store: Store) -> None:
    schedule(store, new(0))
    for attempt in range(1, UNWITNESSED_LIMIT + 1):
        run(store, 0, attempt=attempt)
        lose(side)
    assert types(store)[-1] == "failed"
    assert retry(store) == [0]
    assert side.records(UID)[0]["unwitnessed"] == 0


def test_a_retried_segment_whose_checkpoint_is_at_the_target_completes_at_the_claim(
    store: Store,
) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    assert store.fail(UID, 0, token, "after the last step", 1, saved(1)) == "final"
    retry(store)
    assert store.claim(UID, 0, 0, 2, "c", "b").outcome == "completed"
    assert entries(store)[-1]["token"] == token


# -- weights, workers and coordinators ---------------------------------------------------------


def test_claimants_have_the_weight_and_queue_that_were_submitted(store: Store) -> None:
    store.submit("other", "letters", {"retries": 1, "weight": 0.1 + 0.2, "queue": "big-gpus"})
    for uid in (UID, "other"):
        store.lead(uid, "me", 1)
    found = {one.uid: (one.weight, one.queue) for one in store.claimants()}
    assert found == {UID: (1.0, "asha"), "other": (0.1 + 0.2, "big-gpus")}


def test_the_queue_of_an_experiment_with_classes_is_that_of_the_first(store: Store) -> None:
    store.submit("other", "letters", {"retries": 1, "queues": {"1": "cpu", "4": "gpu"}})
    store.lead("other", "me", 1)
    assert [one.queue for one in store.claimants()] == ["cpu"]


def test_what_the_first_version_submitted_has_the_defaults(broker: str) -> None:
    server = ServerSide(broker)
    server.store.submit(UID, "digits", SPECIFICATION)
    server.forget(UID, "weight", "queue")
    server.store.lead(UID, "me", 1)
    assert [(one.weight, one.queue) for one in server.store.claimants()] == [(1.0, "asha")]
    assert server.store.describe(UID).extended == {}
    schedule(server.store, new(0))
    assert server.store.renew(UID, 0, run(server.store, 0)) == "ok"
    server.close()


def test_a_worker_to_be_drained_hears_it_with_its_beat_and_its_lease(
    side: Side, store: Store
) -> None:
    schedule(store, new(0), new(1))
    mine, other = run(store, 0, worker="a"), run(store, 1, worker="b")
    assert store.beat("a", {}) is False
    for _ in range(2):
        store.drain(["a", "not here yet"], "me")
    assert store.drained() == {"a": "me", "not here yet": "me"}
    assert store.beat("a", {}) is True
    assert store.beat("b", {}) is False
    assert (store.renew(UID, 0, mine), store.renew(UID, 1, other)) == ("drain", "ok")
    store.leave("a")
    side.advance(WORKER_TIMEOUT + 1)
    assert store.beat("a", {}) is True
    for _ in range(2):
        store.undrain("a")
    assert store.beat("a", {}) is False
    assert store.renew(UID, 0, mine) == "ok"
    store.drain([], "me")
    assert store.drained() == {"not here yet": "me"}


def test_coordinators_live_as_long_as_they_are_heard(side: Side, store: Store) -> None:
    store.attend("b", {"experiments": 1})
    side.advance(WORKER_TIMEOUT - 5)
    store.attend("a", {"experiments": 0})
    assert [(one.who, one.info) for one in store.attendants()] == [
        ("a", {"experiments": 0}),
        ("b", {"experiments": 1}),
    ]
    assert store.workers() == []
    side.advance(10)
    assert [one.who for one in store.attendants()] == ["a"]
    store.attend("c", {})
    store.absent("a")
    assert [one.who for one in store.attendants()] == ["c"]
