"""Restoring an experiment from its journal: in both stores, and what a killed restore leaves."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from asha_queue.errors import (
    JournalError,
    LostExperiment,
    NewerFormat,
    StoreError,
    StoreUnavailable,
    UnknownExperiment,
)
from asha_queue.settings import AVOID, FORMAT, LEASE, POISON_LIMIT
from asha_queue.store.contract import Json, Outcome, ScheduledSegment, Store
from asha_queue.store.restores import BATCH
from tests.server.sides import MemorySide, ServerSide, Side

UID = "1f2e3d"
ODD = {"lr": 0.1 + 0.2, "big": 2**60 + 1, "deep": {"list": [1.0, None, "é/\\", "NaN"]}}


def schedule(store: Store, *segments: tuple[int, int, int], config: Json | None = None) -> None:
    last = store.describe(UID).last
    wanted = [
        ScheduledSegment(trial, 0, rung, target, config or {}) for trial, rung, target in segments
    ]
    assert store.schedule(UID, last, f"after {last}", wanted) == "ok"


def run(store: Store, trial: int, rung: int = 0, attempt: int = 1, worker: str = "a") -> int:
    claim = store.claim(UID, trial, rung, attempt, f"{trial}/{rung}/{attempt}", worker)
    assert store.start(UID, trial, claim.token, claim.start) == "ok", claim.reason
    return claim.token


def saved(resource: int) -> Json:
    return {"path": f"/{resource}", "resource": resource, "metrics": {"loss": 1 / 3}, "digest": "d"}


def outcome(reached: int, checkpoint: Json | None = None) -> Outcome:
    return Outcome({"loss": 1 / 7, "nan": float("nan")}, reached, checkpoint, 1.0, [])


@pytest.fixture
def store(side: Side) -> Store:
    side.store.submit(UID, "digits", {"name": "digits", "retries": 1, "weight": 2, **ODD})
    return side.store


@pytest.mark.parametrize("change", [{"v": FORMAT + 1}, {"type": "forked"}])
def test_a_journal_of_a_newer_version_is_refused_whole(side: Side, change: Json) -> None:
    side.store.submit(UID, "digits", {"name": "digits", "retries": 1})
    side.append(UID, 1, "warning")
    entries = lose(side)
    entries[-1] |= change
    with pytest.raises(NewerFormat, match="journal entry .* was written by a newer version"):
        side.store.restore(entries)
    assert side.store.names() == {}


def lose(side: Side) -> list[Json]:
    """Everything is gone; returns the journal."""
    entries = side.store.read(UID, "", 100_000).entries
    side.wipe()
    return entries


def lose_and_restore(side: Side) -> list[Json]:
    entries = lose(side)
    assert side.store.restore(copy.deepcopy(entries)) == UID
    return entries


def test_budgets_that_were_raised_and_what_an_early_end_left_queued_are_restored(
    side: Side,
) -> None:
    store = side.store
    fields = {"metric": "loss", "mode": "min", "num_samples": 4, "max_t": 4}
    budgets = {"time_budget": 9.5, "resource_budget": 9, "stop_at": {"loss": 0.5}}
    store.submit(UID, "digits", {"name": "digits", "retries": 1, **fields, **budgets})
    schedule(store, (0, 0, 1), (1, 0, 1))
    raised = {"time_budget": 60.25, "resource_budget": 20, "stop_at": {"loss": 0.25}}
    assert store.extend(UID, "r", "me", "more", raised) == "ok"
    assert store.finish(UID, store.describe(UID).last, "f", "me", "enough", drain=True) == "ok"
    description = store.describe(UID)
    lose_and_restore(side)
    assert store.describe(UID) == description
    assert store.describe(UID).extended == raised
    assert store.due(UID) == []
    assert store.extend(UID, "s", "me", "more", {"resource_budget": 21}) == "ok"
    assert [segment.trial for segment in store.due(UID)] == [0, 1]


def test_a_restored_experiment_is_described_and_read_as_before(side: Side, store: Store) -> None:
    schedule(store, (0, 0, 1), (1, 0, 1), config=ODD)
    store.complete(UID, 0, run(store, 0), outcome(1, saved(1)))
    store.extend(UID, "r", "me", "more", {"big": 2**60 + 2})
    store.pause(UID, "p", "me", "", now=True)
    description = store.describe(UID)
    entries = lose_and_restore(side)
    assert store.describe(UID) == description
    assert store.read(UID, "").entries == entries
    assert store.read(UID, entries[2]["id"]).entries == entries[3:]
    assert store.names() == {"digits": UID}
    store.resume(UID, "r2", "me", "")
    assert [segment.config for segment in store.due(UID)] == [ODD]


def test_a_worker_that_survived_ends_its_segment_after_the_restore(
    side: Side, store: Store
) -> None:
    schedule(store, (0, 0, 1), (1, 0, 1))
    token = run(store, 0)
    running = store.running(UID)
    lose_and_restore(side)
    assert store.running(UID) == running
    assert store.renew(UID, 0, token) == "ok"
    assert store.complete(UID, 0, token, outcome(1, saved(1))) == "ok"
    assert store.complete(UID, 0, token, outcome(1, saved(1))) == "ok"
    schedule(store, (0, 1, 4))
    claim = store.claim(UID, 0, 1, 1, "next", "b")
    assert (claim.start, claim.checkpoints) == (1, [saved(1)])


def test_a_worker_that_died_with_the_store_loses_its_lease(side: Side, store: Store) -> None:
    schedule(store, (0, 0, 1))
    token = run(store, 0)
    lose_and_restore(side)
    store.reap(UID)
    for _ in range(int(LEASE)):
        side.advance(1.0)
        store.reap(UID)
    side.advance(1.0)
    store.reap(UID)
    assert store.running(UID) == []
    assert store.renew(UID, 0, token) == "stale"
    assert run(store, 0, attempt=2) > token


def test_a_claim_that_had_not_started_is_queued_again(side: Side, store: Store) -> None:
    schedule(store, (0, 0, 1))
    token = store.claim(UID, 0, 0, 1, "claim", "a").token
    lose_and_restore(side)
    assert [segment.trial for segment in store.due(UID)] == [0]
    assert store.start(UID, 0, token, 0) == "stale"
    assert run(store, 0) > token


def test_counts_of_failures_and_deaths_go_on_where_they_were(side: Side, store: Store) -> None:
    schedule(store, (0, 0, 1), (1, 0, 1))
    assert store.fail(UID, 0, run(store, 0), "no", 0) == "retry"
    store.beat("a", {})
    store.beat("b", {})
    for attempt in range(1, POISON_LIMIT):
        token = run(store, 1, attempt=attempt)
        store.release(UID, 1, token, "it died", counts=True)
    lose_and_restore(side)
    store.beat("a", {})
    store.beat("b", {})
    assert "avoids a" in store.claim(UID, 0, 0, 2, "again", "a").reason
    side.advance(AVOID + 1)
    assert store.fail(UID, 0, run(store, 0, attempt=2), "no", 0) == "final"
    token = run(store, 1, attempt=POISON_LIMIT)
    store.release(UID, 1, token, "it died", counts=True)
    assert store.read(UID, "").entries[-1]["type"] == "failed"
    assert store.retry(UID, "again", "me", None) == [0, 1]


def test_a_restore_that_was_made_changes_nothing_when_it_is_repeated(
    side: Side, store: Store
) -> None:
    schedule(store, (0, 0, 1))
    entries = lose_and_restore(side)
    store.complete(UID, 0, run(store, 0), outcome(1))
    present = store.read(UID, "").entries
    assert store.restore(entries) == UID
    assert store.read(UID, "").entries == present


def test_a_name_that_is_taken_is_not_restored_over(side: Side, store: Store) -> None:
    entries = lose(side)
    store.submit("other", "digits", {"name": "digits"})
    assert store.restore(entries) == "other"
    assert store.names() == {"digits": "other"}
    with pytest.raises(LostExperiment):
        store.describe(UID)


def test_what_was_deleted_is_told_from_what_was_lost(side: Side, store: Store) -> None:
    entries = store.read(UID, "").entries
    store.delete(UID)
    with pytest.raises(UnknownExperiment) as deleted:
        store.read(UID, "")
    assert not isinstance(deleted.value, LostExperiment)
    store.restore(entries)
    lose(side)
    with pytest.raises(LostExperiment):
        store.read(UID, "")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda entries: entries[1:], "does not begin with `submitted`"),
        (lambda entries: [], "does not begin with `submitted`"),
        (lambda entries: [entries[0], entries[2], entries[1]], "malformed|does not come after"),
        (lambda entries: [*entries, {**entries[1], "id": "x"}], "malformed"),
        (lambda entries: [{**entries[0], "uid": "a:b"}], "names 'a:b'"),
        (lambda entries: [*entries[:2], {**entries[2], "trial": 7}], "malformed"),
    ],
)
def test_a_journal_that_is_none_is_refused_and_nothing_is_written(
    side: Side, store: Store, change: Any, says: str
) -> None:
    schedule(store, (0, 0, 1))
    run(store, 0)
    entries = lose(side)
    with pytest.raises(JournalError, match=says):
        store.restore(change(entries))
    assert store.names() == {}
    if isinstance(side, ServerSide):
        assert side.all_keys() == []
    else:
        assert isinstance(side, MemorySide)
        assert side.memory.memory.experiments == {}


# -- the server's batches -----------------------------------------------------------------------


def large(server: ServerSide) -> list[Json]:
    """The journal of an experiment of several batches."""
    store = server.store
    store.submit(UID, "digits", {"name": "digits"})
    trials = 2 * BATCH + 1
    schedule(store, *((trial, 0, 1) for trial in range(trials)))
    for trial in range(0, trials, 3):
        store.complete(UID, trial, run(store, trial), outcome(1, saved(1)))
    return lose(server)


def test_a_restore_that_is_killed_on_its_way_shows_nothing_and_is_repeated(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ServerSide(broker)
    store: Any = server.store
    entries = large(server)
    run_script = store._connection.run
    calls: list[str] = []

    def dying_at(number: int) -> Callable[..., Any]:
        def run_or_die(name: str, *args: Any) -> Any:
            calls.append(name)
            if len(calls) == number:
                raise StoreUnavailable("killed")
            return run_script(name, *args)

        return run_or_die

    total = 2 + -(-len(entries) // BATCH) + 3
    for number in range(2, total + 1):
        calls.clear()
        monkeypatch.setattr(store._connection, "run", dying_at(number))
        with pytest.raises(StoreUnavailable):
            store.restore(entries)
        monkeypatch.undo()
        assert store.names() == {}
        assert store.claim(UID, 0, 0, 1, "c", "a").outcome == "refused"
        assert store.renew(UID, 0, 1) == "unknown"
        with pytest.raises(LostExperiment):
            store.read(UID, "")
    assert calls[-1] == "restore_end"
    # the next one has fewer trials: nothing of the larger one may stay
    short = [entry for entry in entries if entry.get("trial", 0) < 5]
    assert store.restore(short) == UID
    assert store.read(UID, "", 10_000).entries == short
    assert len([key for key in server.all_keys() if ":trial:" in key]) == 5
    assert not [key for key in server.all_keys() if key.endswith(":restoring")]
    store.delete(UID)
    assert server.all_keys() == ["asha:deleted"]
    server.close()


def test_of_two_restores_at_once_the_later_one_counts(
    broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, other = ServerSide(broker), ServerSide(broker)
    store: Any = server.store
    entries = large(server)
    run_script = store._connection.run
    begun: list[str] = []

    def overtaken(name: str, *args: Any) -> Any:
        if name == "restore_trials" and not begun:
            begun.append(other.store.restore(entries))
        return run_script(name, *args)

    monkeypatch.setattr(store._connection, "run", overtaken)
    with pytest.raises(StoreError, match="another restore"):
        store.restore(entries)
    assert begun == [UID]
    assert store.read(UID, "", 10_000).entries == entries
    server.close()
    other.close()
