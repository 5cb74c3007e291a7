"""What every store does: one suite for the server and its memory twin."""

from dataclasses import replace
from typing import Any

import pytest

from asha_queue.errors import NewerFormat, ProtocolError, UnknownExperiment
from asha_queue.settings import (
    ASIDE,
    AVOID,
    CLOCK_STEP,
    FORMAT,
    IN_A_ROW,
    LEADER_LEASE,
    LEASE,
    POISON_LIMIT,
    PUBLISH_AGAIN,
    REFUSED_AGAIN,
    UNWITNESSED_LIMIT,
    WORKER_TIMEOUT,
)
from asha_queue.store.contract import (
    Claim,
    Eviction,
    Json,
    Lead,
    Outcome,
    ScheduledSegment,
    Snapshot,
    Store,
)
from tests.server.sides import MemorySide, ServerSide, Side

UID = "1f2e3d"
ODD = {"lr": 0.1 + 0.2, "big": 2**60 + 1, "tiny": 5e-324, "deep": {"list": [1.0, None, "é/\\"]}}


@pytest.fixture
def store(side: Side) -> Store:
    side.store.submit(UID, "digits", {"name": "digits", "retries": 1})
    return side.store


def last(store: Store) -> str:
    return store.describe(UID).last


def new(trial: int, config: Json | None = None) -> ScheduledSegment:
    return ScheduledSegment(trial, bracket=0, rung=0, target=1, config=config or {})


def promotion(trial: int, rung: int, target: int) -> ScheduledSegment:
    return ScheduledSegment(trial, bracket=0, rung=rung, target=target, config={})


def schedule(store: Store, *segments: ScheduledSegment) -> None:
    request = f"request {last(store)}"
    assert store.schedule(UID, last(store), request, segments) == "ok"


def claim(store: Store, trial: int, rung: int = 0, attempt: int = 1, worker: str = "a") -> Claim:
    claim = store.claim(UID, trial, rung, attempt, f"claim {trial} {rung} {attempt}", worker)
    assert claim.outcome == "run", claim.reason
    return claim


def run(store: Store, trial: int, rung: int = 0, attempt: int = 1, worker: str = "a") -> int:
    """Claims and starts; the token."""
    claimed = claim(store, trial, rung, attempt, worker)
    assert store.start(UID, trial, claimed.token, claimed.start) == "ok"
    return claimed.token


def saved(resource: int, path: str = "") -> Json:
    metrics = {"loss": 1 / 3 + resource}
    path = path or f"/runs/{resource}"
    return {"path": path, "resource": resource, "metrics": metrics, "bytes": 7, "digest": "d"}


def outcome(reached: int = 1, checkpoint: Json | None = None, **metrics: Any) -> Outcome:
    return Outcome(metrics or {"loss": 0.5}, reached, checkpoint, 1.25, [[reached, {"loss": 0.5}]])


def entries(store: Store) -> list[Json]:
    return store.read(UID, "").entries


def types(store: Store) -> list[str]:
    return [entry["type"] for entry in entries(store)]


def lose(side: Side, trial: int = 0) -> None:
    side.expire(UID, trial)
    assert side.store.reap(UID) == [trial]


# -- experiments -------------------------------------------------------------------------------


def test_a_name_keeps_the_uid_that_it_was_submitted_with(store: Store) -> None:
    assert store.submit(UID, "digits", {"retries": 1}) == UID
    assert store.submit("other", "digits", {"retries": 1}) == UID
    assert store.names() == {"digits": UID}
    assert store.uid("digits") == UID
    assert store.uid("letters") is None
    assert types(store) == ["submitted"]


def test_a_description_holds_the_specification_as_it_was_given(side: Side) -> None:
    side.store.submit(UID, "digits", {"retries": 1, **ODD})
    description = side.store.describe(UID)
    assert description.specification == {"retries": 1, **ODD}
    assert (description.name, description.state, description.leader) == ("digits", "open", "")
    assert description.last == entries(side.store)[-1]["id"]
    assert entries(side.store)[0]["experiment"] == {"retries": 1, **ODD}


def test_an_experiment_of_a_newer_version_is_refused(side: Side, store: Store) -> None:
    side.age_format(UID)
    with pytest.raises(NewerFormat, match="experiment digits was written by a newer version"):
        store.describe(UID)


def test_an_entry_of_a_newer_format_is_refused_and_those_before_it_are_read(
    side: Side, store: Store
) -> None:
    side.append(UID, FORMAT + 1, "forked")
    assert [entry["type"] for entry in store.read(UID, "", count=1).entries] == ["submitted"]
    with pytest.raises(NewerFormat, match="journal entry .* was written by a newer version"):
        store.read(UID, "")


def test_delete_frees_the_name_and_later_calls_find_nothing(store: Store) -> None:
    schedule(store, new(0), new(1))
    token = run(store, 0)
    store.delete(UID)
    store.delete(UID)
    assert store.names() == {}
    assert store.start(UID, 0, token, 0) == "unknown"
    assert store.renew(UID, 0, token) == "unknown"
    assert store.checkpoint(UID, 0, token, saved(1)) == "unknown"
    assert store.complete(UID, 0, token, outcome()) == "unknown"
    assert store.suspend(UID, 0, token, outcome()) == "unknown"
    assert store.fail(UID, 0, token, "no", 0) == "unknown"
    assert store.release(UID, 0, token, "dead", counts=True) == "unknown"
    assert store.schedule(UID, "1-0", "r", [new(0)]) == "unknown"
    assert store.finish(UID, "1-0", "r", "me", "done") == "unknown"
    assert "deleted" in store.claim(UID, 1, 0, 1, "c", "a").reason
    store.published(UID, [(0, 0, 1)])
    store.refuse(UID, 0, 0, 1, "a", "no")
    store.resign(UID, "me")
    store.report(UID, [{"step": 1}])
    assert store.release_worker("a", "dead") == []
    assert store.refusals(UID) == {}


@pytest.mark.parametrize("method", ["describe", "due", "reap", "running", "read", "live", "lead"])
def test_calls_that_return_data_raise_for_an_unknown_uid(side: Side, method: str) -> None:
    args = {"read": ("",), "live": ("",), "lead": ("me", 1)}.get(method, ())
    with pytest.raises(UnknownExperiment, match="1f2e3d"):
        getattr(side.store, method)(UID, *args)


def test_delete_leaves_no_key_of_the_experiment(broker: str) -> None:
    server = ServerSide(broker)
    store = server.store
    store.submit(UID, "digits", {"retries": 1})
    schedule(store, new(0), new(1))
    store.checkpoint(UID, 0, run(store, 0), saved(1))
    store.report(UID, [{"step": 1}])
    store.refuse(UID, 1, 0, 1, "a", "no GPU")
    mine = [key for key in server.all_keys() if key.startswith(f"asha:experiment:{UID}")]
    assert len(mine) == 9
    assert set(server.all_keys()) - set(mine) == {"asha:names"}
    store.delete(UID)
    assert server.all_keys() == ["asha:deleted"]
    server.close()


def test_finish_is_a_decision_and_ends_the_experiment(store: Store) -> None:
    first = last(store)
    schedule(store, new(0))
    with pytest.raises(ProtocolError, match="1 open segment"):
        store.finish(UID, last(store), "r", "me", "nothing left")
    store.complete(UID, 0, run(store, 0), outcome())
    assert store.finish(UID, first, "r", "me", "nothing left") == "stale"
    present = last(store)
    assert store.finish(UID, present, "r", "me", "nothing left") == "ok"
    assert store.finish(UID, present, "r", "me", "nothing left") == "ok"
    assert store.finish(UID, last(store), "r2", "me", "again") == "finished"
    assert store.schedule(UID, last(store), "r3", [new(1)]) == "finished"
    assert store.describe(UID).state == "finished"
    assert entries(store)[-1]["reason"] == "nothing left"
    assert store.claim(UID, 0, 0, 1, "late", "a").reason == "the experiment is finished"


def test_an_early_finish_has_what_runs_handed_back_and_keeps_what_is_queued(
    side: Side, store: Store
) -> None:
    schedule(store, new(0), new(1))
    store.published(UID, [(0, 0, 1), (1, 0, 1)])
    token = run(store, 0)
    early = ("r", "me", "the time is used", True)
    assert store.finish(UID, "0-1", *early) == "stale"
    assert store.renew(UID, 0, token) == "ok", "a refused call has changed nothing"
    assert store.finish(UID, last(store), *early) == "running"
    assert types(store)[-1] == "started"
    assert store.renew(UID, 0, token) == "drain"
    assert store.due(UID) == []
    refused = store.claim(UID, 1, 0, 1, "c", "b")
    assert (refused.outcome, refused.reason) == ("refused", "the experiment is ending")
    assert store.suspend(UID, 0, token, outcome(0)) == "ok"
    assert store.due(UID) == []
    present = last(store)
    assert store.finish(UID, present, *early) == "ok"
    assert store.finish(UID, present, *early) == "ok"
    assert store.describe(UID).state == "finished"
    assert store.due(UID) == []
    assert store.claim(UID, 1, 0, 1, "c", "b").reason == "the experiment is finished"


def test_a_segment_that_ends_well_while_the_experiment_is_ending_counts(store: Store) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    assert store.finish(UID, last(store), "r", "me", "enough", True) == "running"
    assert store.complete(UID, 0, token, outcome()) == "ok"
    assert store.finish(UID, last(store), "r", "me", "enough", True) == "ok"
    assert types(store)[-2:] == ["completed", "finished"]


def test_the_leader_is_told_the_time_of_the_server(side: Side, store: Store) -> None:
    before = store.lead(UID, "me", 1).now
    side.advance(5)
    store.beat("a", {})
    assert before <= store.lead(UID, "other", 1).now <= store.workers()[0].seen_at + 5


# -- the journal -------------------------------------------------------------------------------


def test_the_journal_is_read_in_pieces_from_where_one_was(store: Store) -> None:
    schedule(store, *(new(trial) for trial in range(5)))
    whole = entries(store)
    assert [entry["v"] for entry in whole] == [1] * 6
    first = store.read(UID, "0-0", count=2).entries
    rest = store.read(UID, first[-1]["id"]).entries
    assert first + rest == whole
    assert store.read(UID, whole[-1]["id"]).entries == []
    assert not store.read(UID, whole[-1]["id"]).gone


def test_a_reader_of_a_store_that_was_rolled_back_hears_that_its_entry_is_gone(
    side: Side, store: Store
) -> None:
    copy = side.save()
    schedule(store, new(0))
    seen = last(store)
    side.roll_back(copy)
    read = store.read(UID, seen)
    assert read.gone
    assert read.entries == []
    schedule(store, new(0))
    assert store.read(UID, seen).gone
    assert types(store) == ["submitted", "scheduled"]


def test_live_points_are_read_from_where_one_was(store: Store) -> None:
    points = [{"trial": 0, "step": step, "metrics": {"loss": 1 / 3}} for step in range(3)]
    store.report(UID, points[:2])
    first, seen = store.live(UID, "")
    assert first == points[:2]
    assert store.live(UID, seen) == ([], seen)
    store.report(UID, [*points[2:], {"metrics": {"loss": float("nan")}}])
    assert store.live(UID, seen)[0] == [points[2], {"metrics": {"loss": "NaN"}}]


# -- decisions and publication -----------------------------------------------------------------


def test_a_decision_on_a_stale_fold_is_refused(store: Store) -> None:
    first = last(store)
    assert store.schedule(UID, first, "mine", [new(0), new(1)]) == "ok"
    assert store.schedule(UID, first, "theirs", [new(0)]) == "stale"
    assert store.schedule(UID, first, "mine", [new(0), new(1)]) == "ok"
    assert types(store) == ["submitted", "scheduled", "scheduled"]


@pytest.mark.parametrize("event", ["complete", "fail", "lose", "suspend"])
def test_what_can_change_a_decision_makes_earlier_ones_stale(
    side: Side, store: Store, event: str
) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    folded = last(store)
    if event == "complete":
        store.complete(UID, 0, token, outcome())
    elif event == "fail":
        store.fail(UID, 0, token, "no", 0)
    elif event == "suspend":
        store.suspend(UID, 0, token, outcome(0))
    else:
        lose(side)
    assert store.schedule(UID, folded, "r", [new(1)]) == "stale"


def test_what_decides_nothing_leaves_a_decision_valid(store: Store) -> None:
    schedule(store, new(0))
    folded = last(store)
    token = run(store, 0)
    store.checkpoint(UID, 0, token, saved(1))
    store.renew(UID, 0, token)
    assert store.schedule(UID, folded, "r", [new(1)]) == "ok"


@pytest.mark.parametrize(
    "segments",
    [
        [new(1)],
        [new(2), new(2)],
        [new(2), new(4)],
        [new(2), promotion(0, 2, 16)],
        [new(2), promotion(0, 1, 1)],
        [promotion(0, 1, 4), promotion(0, 1, 4)],
        [promotion(1, 1, 4)],
        [promotion(9, 1, 4)],
        [new(2), ScheduledSegment(0, bracket=1, rung=1, target=4, config={})],
    ],
    ids=str,
)
def test_an_illegal_decision_writes_nothing(
    side: Side, store: Store, segments: list[ScheduledSegment]
) -> None:
    schedule(store, new(0), new(1))
    store.complete(UID, 0, run(store, 0), outcome())
    before = entries(store), side.records(UID), last(store)
    with pytest.raises(ProtocolError, match="trial"):
        store.schedule(UID, last(store), "r", segments)
    assert (entries(store), side.records(UID), last(store)) == before


def test_a_promotion_keeps_the_config_of_its_trial(store: Store) -> None:
    schedule(store, new(0, ODD))
    store.complete(UID, 0, run(store, 0), outcome())
    schedule(store, promotion(0, 1, 4))
    assert entries(store)[-1]["config"] == ODD
    assert store.due(UID)[0].config == ODD
    assert claim(store, 0, rung=1).config == ODD


def test_a_decision_and_the_entries_that_it_makes_come_in_one_answer(store: Store) -> None:
    seen, before = store.read(UID, "0-0").entries[-1]["id"], last(store)
    told = [new(0), new(1, ODD)]
    answer, read = store.schedule_and_read(UID, before, "first", told, seen)
    assert (answer, read.gone) == ("ok", False)
    assert [(e["type"], e["trial"]) for e in read.entries] == [("scheduled", 0), ("scheduled", 1)]
    assert read.entries[-1]["config"] == ODD
    assert read == store.read(UID, seen)
    answer, late = store.schedule_and_read(UID, before, "second", [new(2)], seen)
    assert (answer, late) == ("stale", read)


def test_whoever_waits_for_entries_gets_them_at_once_if_there_are_some(store: Store) -> None:
    seen = store.read(UID, "0-0").entries[-1]["id"]
    assert store.await_entries(UID, seen, 0.01) == store.read(UID, seen)
    schedule(store, new(0))
    read = store.await_entries(UID, seen, 60.0)
    assert [entry["type"] for entry in read.entries] == ["scheduled"]
    assert store.await_entries(UID, "9999999999999-0", 0.01).gone
    with pytest.raises(UnknownExperiment):
        store.await_entries("none", "0-0", 0.01)


def test_what_was_published_is_due_again_after_longer_and_longer(side: Side, store: Store) -> None:
    schedule(store, new(0), new(1))
    assert [segment.trial for segment in store.due(UID)] == [0, 1]
    assert len(store.due(UID, limit=1)) == 1
    for delay in (PUBLISH_AGAIN, 2 * PUBLISH_AGAIN, 4 * PUBLISH_AGAIN):
        store.published(UID, [(0, 0, 1)])
        store.published(UID, [(0, 0, 1)])
        side.advance(delay - 1)
        assert 0 not in [segment.trial for segment in store.due(UID)]
        side.advance(2)
        assert 0 in [segment.trial for segment in store.due(UID)]


def test_a_mark_for_another_attempt_is_ignored_and_a_claimed_segment_is_not_due(
    store: Store,
) -> None:
    schedule(store, new(0), new(1))
    store.published(UID, [(0, 0, 2), (1, 1, 1), (7, 0, 1)])
    assert [segment.trial for segment in store.due(UID)] == [0, 1]
    claim(store, 0)
    assert [segment.trial for segment in store.due(UID)] == [1]


# -- claims ------------------------------------------------------------------------------------


def test_the_same_claim_gets_the_same_answer(store: Store) -> None:
    schedule(store, new(0, ODD))
    claimed = claim(store, 0)
    assert claimed == claim(store, 0)
    assert (claimed.target, claimed.start, claimed.config) == (1, 0, ODD)
    assert [segment.token for segment in store.running(UID)] == [claimed.token]


def test_a_claim_with_nothing_to_verify_is_started_if_it_is_ready(store: Store) -> None:
    schedule(store, new(0), new(1), new(2))
    claimed = store.claim(UID, 0, 0, 1, "c0", "a", ready=True)
    assert claimed.begun
    assert claimed == store.claim(UID, 0, 0, 1, "c0", "a", ready=True)
    [started] = [entry for entry in entries(store) if entry["type"] == "started"]
    about = {"trial": 0, "rung": 0, "attempt": 1, "worker": "a", "start": 0}
    assert started.items() >= {**about, "token": claimed.token}.items()
    assert store.start(UID, 0, claimed.token, 0) == "ok"
    assert store.complete(UID, 0, claimed.token, outcome(checkpoint=saved(1))) == "ok"
    schedule(store, promotion(0, 1, 4))
    verifying = store.claim(UID, 0, 1, 1, "c1", "a", ready=True)
    assert (verifying.start, verifying.begun) == (1, False)
    assert not store.claim(UID, 1, 0, 1, "c2", "a").begun
    assert [entry["type"] for entry in entries(store)].count("started") == 1


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ((7, 0, 1), "trial 7 was never scheduled"),
        ((0, 0, 2), "message is for rung 0 attempt 2"),
        ((0, 1, 1), "message is for rung 1 attempt 1"),
        ((0, 0, 1), "trial 0 rung 0 attempt 1 was claimed by a"),
        ((1, 0, 1), "trial 1 rung 0 attempt 1 is completed"),
        ((2, 0, 2), "trial 2 rung 0 attempt 2 has failed for good"),
    ],
)
def test_a_claim_is_refused_with_the_reason(
    store: Store, message: tuple[int, int, int], reason: str
) -> None:
    schedule(store, new(0), new(1), new(2))
    run(store, 0)
    store.complete(UID, 1, run(store, 1), outcome())
    store.fail(UID, 2, run(store, 2), "no", 0)
    assert store.fail(UID, 2, run(store, 2, attempt=2), "no", 0) == "final"
    before = entries(store)
    refused = store.claim(UID, *message, "fresh", "b")
    assert refused.outcome == "refused"
    assert reason in refused.reason
    assert entries(store) == before


def test_a_token_is_larger_than_the_one_before_even_after_a_roll_back(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    copy = side.save()
    lost = claim(store, 0).token
    side.roll_back(copy)
    assert store.renew(UID, 0, lost) == "stale"
    again = claim(store, 0).token
    assert again > lost
    assert store.start(UID, 0, lost, 0) == "stale"
    assert store.start(UID, 0, again, 0) == "ok"


def test_a_checkpoint_at_the_target_completes_at_the_claim(side: Side, store: Store) -> None:
    schedule(store, new(0))
    writer = run(store, 0)
    store.checkpoint(UID, 0, writer, saved(1))
    lose(side)
    for _ in range(2):
        assert store.claim(UID, 0, 0, 2, "second", "b") == Claim("completed")
    completed = entries(store)[-1]
    expected = {"trial": 0, "rung": 0, "attempt": 2, "token": writer, "worker": "b"}
    expected |= {"metrics": saved(1)["metrics"], "reached": 1, "checkpoint": saved(1)}
    expected |= {"seconds": 0, "curve": [[1, saved(1)["metrics"]]]}
    assert {key: completed[key] for key in expected} == expected
    assert types(store).count("completed") == 1
    assert store.complete(UID, 0, writer, outcome()) == "stale"
    schedule(store, promotion(0, 1, 4))
    assert claim(store, 0, rung=1).start == 1


def test_a_claim_brings_all_checkpoints_newest_last(store: Store) -> None:
    schedule(store, new(0))
    store.complete(UID, 0, run(store, 0), outcome(1, saved(1)))
    schedule(store, promotion(0, 1, 4))
    token = run(store, 0, rung=1)
    for resource in (2, 3):
        assert store.checkpoint(UID, 0, token, saved(resource)) == "ok"
        assert store.checkpoint(UID, 0, token, saved(resource)) == "ok"
    assert store.checkpoint(UID, 0, token, saved(2)) == "ok"
    store.suspend(UID, 0, token, outcome(3))
    claimed = claim(store, 0, rung=1, attempt=2)
    assert claimed.checkpoints == [saved(1), saved(2), saved(3)]
    assert claimed.start == 3


def test_start_is_journalled_once_with_a_warning_for_what_was_dropped(store: Store) -> None:
    schedule(store, new(0))
    store.complete(UID, 0, run(store, 0), outcome(1, saved(1)))
    schedule(store, promotion(0, 1, 4))
    token = run(store, 0, rung=1)
    store.suspend(UID, 0, token, outcome(2, saved(2, "/runs/corrupt")))
    token = claim(store, 0, rung=1, attempt=2).token
    before = len(entries(store))
    for _ in range(2):
        assert store.start(UID, 0, token, 1, ["/runs/corrupt"]) == "ok"
    warning, started = entries(store)[before:]
    assert (warning["type"], started["type"], started["start"]) == ("warning", "started", 1)
    assert "/runs/corrupt" in warning["what"]
    store.suspend(UID, 0, token, outcome(1))
    assert claim(store, 0, rung=1, attempt=3).checkpoints == [saved(1)]


def test_a_start_elsewhere_than_at_the_newest_checkpoint_is_illegal(store: Store) -> None:
    schedule(store, new(0))
    token = claim(store, 0).token
    with pytest.raises(ProtocolError, match="starts at 1"):
        store.start(UID, 0, token, 1)
    assert types(store) == ["submitted", "scheduled"]


@pytest.mark.parametrize("method", ["checkpoint", "complete", "suspend", "fail"])
def test_a_claim_whose_start_the_store_does_not_know_is_stale(store: Store, method: str) -> None:
    schedule(store, new(0))
    token = claim(store, 0).token
    args = {"checkpoint": (saved(1),), "fail": ("no", 0)}.get(method, (outcome(),))
    assert getattr(store, method)(UID, 0, token, *args) == "stale"
    assert store.describe(UID).stale == 1
    assert types(store) == ["submitted", "scheduled"]


@pytest.mark.parametrize("method", ["checkpoint", "complete", "suspend", "fail"])
def test_nothing_goes_beyond_the_target(store: Store, method: str) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    args = {"checkpoint": (saved(2),), "fail": ("no", 2)}.get(method, (outcome(2),))
    with pytest.raises(ProtocolError, match="beyond its target 1"):
        getattr(store, method)(UID, 0, token, *args)
    assert types(store) == ["submitted", "scheduled", "started"]


# -- ends --------------------------------------------------------------------------------------


def test_a_completion_is_journalled_once_with_every_digit(store: Store) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    ended = Outcome({**ODD, "nan": float("nan")}, 1, saved(1), 0.1 + 0.2, [[1, {"nan": -1e400}]])
    for _ in range(2):
        assert store.complete(UID, 0, token, ended) == "ok"
    completed = entries(store)[-1]
    assert completed["metrics"] == {**ODD, "nan": "NaN"}
    assert completed["curve"] == [[1, {"nan": "-Infinity"}]]
    assert completed["seconds"] == 0.1 + 0.2
    assert completed["checkpoint"] == saved(1)
    assert (completed["token"], completed["worker"], completed["reached"]) == (token, "a", 1)
    assert types(store).count("completed") == 1
    assert store.running(UID) == []
    assert store.describe(UID).stale == 0


def test_a_suspended_segment_goes_on_as_the_next_attempt_at_no_cost(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    store.published(UID, [(0, 0, 1)])
    for attempt in range(1, 12):
        token = run(store, 0, attempt=attempt)
        for _ in range(2):
            assert store.suspend(UID, 0, token, outcome(0)) == "ok"
        assert [segment.attempt for segment in store.due(UID)] == [attempt + 1]
    assert types(store)[-2:] == ["suspended", "scheduled"]
    record = side.records(UID)[0]
    assert (record["failures"], record["losses"], record["unwitnessed"]) == (0, 0, 0)


def test_a_failure_is_tried_again_as_often_as_retries_say(store: Store) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    for _ in range(2):
        assert store.fail(UID, 0, token, "Traceback …", 0) == "retry"
    assert types(store)[-2:] == ["failed", "scheduled"]
    token = run(store, 0, attempt=2)
    for _ in range(2):
        assert store.fail(UID, 0, token, "again", 1, saved(1)) == "final"
    failed = entries(store)[-1]
    assert (failed["final"], failed["error"], failed["checkpoint"]) == (True, "again", saved(1))
    assert failed["id"] == last(store)
    assert store.running(UID) == []
    assert store.due(UID) == []


def test_a_retry_avoids_the_worker_it_failed_on_while_another_lives(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    store.beat("a", {})
    store.beat("b", {})
    store.fail(UID, 0, run(store, 0), "no", 0)
    refused = store.claim(UID, 0, 0, 2, "c", "a")
    assert (refused.outcome, "avoids a" in refused.reason) == ("refused", True)
    assert store.due(UID) == []
    side.advance(REFUSED_AGAIN + 0.5)
    assert [segment.trial for segment in store.due(UID)] == [0]
    store.leave("b")
    assert store.claim(UID, 0, 0, 2, "c", "a").outcome == "run"


def test_another_worker_takes_the_retry_at_once_and_the_same_one_later(
    side: Side, store: Store
) -> None:
    schedule(store, new(0), new(1))
    store.beat("b", {})
    for trial in (0, 1):
        store.fail(UID, trial, run(store, trial), "no", 0)
    assert store.claim(UID, 0, 0, 2, "c", "b").outcome == "run"
    side.advance(AVOID + 1)
    store.beat("b", {})
    assert store.claim(UID, 1, 0, 2, "d", "a").outcome == "run"


def test_an_old_token_writes_nothing_and_is_counted(side: Side, store: Store) -> None:
    schedule(store, new(0))
    old = run(store, 0)
    lose(side)
    run(store, 0, attempt=2)
    before = entries(store), side.records(UID)
    assert store.start(UID, 0, old, 0) == "stale"
    assert store.checkpoint(UID, 0, old, saved(1)) == "stale"
    assert store.complete(UID, 0, old, outcome()) == "stale"
    assert store.suspend(UID, 0, old, outcome()) == "stale"
    assert store.fail(UID, 0, old, "no", 0) == "stale"
    assert store.describe(UID).stale == 5
    assert store.renew(UID, 0, old) == "stale"
    assert store.renew(UID, 5, old) == "stale"
    assert store.release(UID, 5, old, "dead", counts=True) == "stale"
    assert (entries(store), side.records(UID)) == before


def test_one_end_of_a_claim_makes_every_other_end_stale(store: Store) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    store.complete(UID, 0, token, outcome())
    assert store.fail(UID, 0, token, "no", 0) == "stale"
    assert store.suspend(UID, 0, token, outcome()) == "stale"
    assert store.release(UID, 0, token, "dead", counts=True) == "stale"
    assert types(store)[-1] == "completed"


# -- losses ------------------------------------------------------------------------------------


def test_a_lease_that_is_not_renewed_ends_after_its_time(side: Side, store: Store) -> None:
    schedule(store, new(0), new(1))
    run(store, 0)
    kept = run(store, 1)
    for _ in range(int(LEASE / CLOCK_STEP) - 1):
        side.advance(CLOCK_STEP)
        assert store.reap(UID) == []
    assert store.renew(UID, 1, kept) == "ok"
    side.advance(CLOCK_STEP)
    assert store.reap(UID) == [0]
    assert store.reap(UID) == []
    lost, scheduled = entries(store)[-2:]
    assert (lost["type"], lost["reached"], lost["checkpoint"]) == ("lost", 0, None)
    assert (scheduled["type"], scheduled["attempt"]) == ("scheduled", 2)
    assert [segment.trial for segment in store.running(UID)] == [1]


def test_a_server_that_was_down_for_a_day_expires_nobody(side: Side, store: Store) -> None:
    schedule(store, new(0))
    token = run(store, 0)
    side.advance(86_400)
    assert store.reap(UID) == []
    assert store.renew(UID, 0, token) == "ok"


@pytest.mark.parametrize("named_by", ["claim", "token"])
def test_a_release_names_the_claim_or_its_token(store: Store, named_by: str) -> None:
    schedule(store, new(0))
    claimed = claim(store, 0)
    name: str | int = claimed.token if named_by == "token" else "claim 0 0 1"
    assert store.release(UID, 0, "another", "dead", counts=True) == "stale"
    for _ in range(2):
        assert store.release(UID, 0, name, "its process died", counts=True) == "ok"
    lost, scheduled = entries(store)[-2:]
    assert (lost["reason"], lost["token"]) == ("its process died", claimed.token)
    assert (scheduled["attempt"], types(store).count("lost")) == (2, 1)


def test_a_trial_whose_process_keeps_dying_without_progress_fails_for_good(store: Store) -> None:
    schedule(store, new(0))
    for attempt in range(1, POISON_LIMIT + 1):
        token = run(store, 0, attempt=attempt)
        assert store.release(UID, 0, token, "signal 9", counts=True) == "ok"
    failed = entries(store)[-1]
    assert (failed["type"], failed["final"], failed["attempt"]) == ("failed", True, POISON_LIMIT)
    assert failed["error"] == "its process died 3 times without progress, last: signal 9"
    assert types(store).count("lost") == POISON_LIMIT - 1
    assert failed["id"] == last(store)


def test_progress_between_deaths_starts_the_count_anew(store: Store) -> None:
    schedule(store, new(0))
    store.complete(UID, 0, run(store, 0), outcome())
    schedule(store, promotion(0, 1, 16))
    for attempt in range(1, 10):
        token = run(store, 0, rung=1, attempt=attempt)
        store.checkpoint(UID, 0, token, saved(attempt))
        store.release(UID, 0, token, "signal 9", counts=True)
    assert "failed" not in types(store)
    assert entries(store)[-2]["reached"] == 9


def test_what_was_asked_for_costs_nothing_and_what_nobody_saw_has_its_own_limit(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    for attempt in range(1, 2 * POISON_LIMIT):
        store.release(UID, 0, run(store, 0, attempt=attempt), "drained", counts=False)
    for attempt in range(2 * POISON_LIMIT, 2 * POISON_LIMIT + UNWITNESSED_LIMIT):
        assert "failed" not in types(store)
        run(store, 0, attempt=attempt)
        lose(side)
    assert entries(store)[-1]["error"].startswith("it was lost 10 times without progress")


def test_a_dead_worker_releases_what_it_held_in_all_experiments(store: Store) -> None:
    store.submit("other", "letters", {"retries": 1})
    schedule(store, new(0), new(1))
    store.schedule("other", store.describe("other").last, "r", [new(0)])
    run(store, 0, worker="a")
    run(store, 1, worker="b")
    store.claim("other", 0, 0, 1, "c", "a")
    assert sorted(store.release_worker("a", "killed")) == [(UID, 0), ("other", 0)]
    assert store.release_worker("a", "killed") == []
    assert [segment.worker for segment in store.running(UID)] == ["b"]


def test_what_a_dead_worker_may_have_taken_and_never_claimed_is_due_again(store: Store) -> None:
    schedule(store, new(0), new(1), new(2))
    run(store, 2, worker="b")
    store.published(UID, [(0, 0, 1), (1, 0, 1)])
    assert store.due(UID) == []
    for _ in range(2):
        assert store.release_worker("a", "killed") == []
        assert [segment.trial for segment in store.due(UID)] == [0, 1]
    assert [segment.trial for segment in store.running(UID)] == [2]


def test_what_a_process_died_about_to_claim_is_due_again(side: Side, store: Store) -> None:
    schedule(store, new(0), new(1), new(2))
    store.published(UID, [(0, 0, 1), (1, 0, 1), (2, 0, 1)])
    run(store, 1)
    for _ in range(2):
        assert store.release(UID, 0, "never arrived", "its process died", counts=True) == "stale"
        assert [segment.trial for segment in store.due(UID)] == [0]
    side.advance(1.0)
    store.release(UID, 0, "never arrived", "its process died", counts=True)
    assert [segment.trial for segment in store.due(UID)] == [0]
    assert "lost" not in types(store)
    # a claim that ended well is named by habit: its next attempt has a message of its own
    token = run(store, 2)
    store.suspend(UID, 2, token, outcome(1))
    store.published(UID, [(2, 0, 2)])
    assert store.release(UID, 2, token, "its process ended", counts=False) == "stale"
    assert [segment.trial for segment in store.due(UID)] == [0]


def test_a_refused_segment_goes_to_another_node_soon(side: Side, store: Store) -> None:
    schedule(store, new(0))
    store.published(UID, [(0, 0, 1)])
    store.refuse(UID, 0, 0, 1, "a", "digits.py differs")
    assert store.refusals(UID) == {"a": "digits.py differs"}
    store.published(UID, [(0, 0, 1)])  # the mark of the message that was refused may come late
    side.advance(REFUSED_AGAIN + 0.5)
    assert [segment.attempt for segment in store.due(UID)] == [1]
    run(store, 0, worker="a")
    assert store.refusals(UID) == {}


def test_a_message_that_is_lost_after_many_refusals_is_published_again_soon(
    side: Side, store: Store
) -> None:
    schedule(store, new(0))
    store.beat("a", {})
    store.set_aside("a", "its storage is full")
    for turn in range(8):
        store.published(UID, [(0, 0, 1)])
        if turn % 2:
            store.refuse(UID, 0, 0, 1, "b", "digits.py differs")
        else:
            assert store.claim(UID, 0, 0, 1, f"c{turn}", "a").outcome == "aside"
        side.advance(REFUSED_AGAIN + 0.1)
    store.published(UID, [(0, 0, 1)])
    assert store.due(UID) == []
    side.advance(PUBLISH_AGAIN + 1)
    assert [segment.trial for segment in store.due(UID)] == [0]


def test_a_worker_gives_back_what_it_claimed_and_cannot_start(side: Side, store: Store) -> None:
    schedule(store, new(0))
    token = claim(store, 0).token
    store.refuse(UID, 0, 0, 1, "b", "not mine to give back")
    assert len(store.running(UID)) == 1
    for _ in range(2):
        store.refuse(UID, 0, 0, 1, "a", "storage is not mounted")
    assert store.running(UID) == []
    assert types(store) == ["submitted", "scheduled"]
    assert store.start(UID, 0, token, 0) == "stale"
    assert store.claim(UID, 0, 0, 1, "other", "b").token > token
    started = store.running(UID)[0].token
    store.start(UID, 0, started, 0)
    store.refuse(UID, 0, 0, 1, "b", "too late")
    assert len(store.running(UID)) == 1


# -- workers that are set aside ----------------------------------------------------------------


def fail_on(store: Store, trial: int, worker: str) -> None:
    """Starts a new trial that fails on this worker."""
    schedule(store, new(trial))
    assert store.fail(UID, trial, run(store, trial, worker=worker), "CUDA error", 0) == "retry"


def complete_elsewhere(store: Store, trial: int, worker: str) -> None:
    store.complete(UID, trial, run(store, trial, attempt=2, worker=worker), outcome())


def aside(store: Store) -> dict[str, str]:
    return {worker.name: worker.aside for worker in store.workers() if worker.aside}


@pytest.fixture
def fleet(store: Store) -> Store:
    for worker in ("gpu0@bad", "gpu0@good"):
        store.beat(worker, {})
    return store


def test_a_worker_that_fails_what_others_train_is_set_aside(side: Side, fleet: Store) -> None:
    for trial in range(IN_A_ROW):
        fail_on(fleet, trial, "gpu0@bad")
    assert aside(fleet) == {}  # it may be the trials
    complete_elsewhere(fleet, 0, "gpu0@good")
    [reason] = aside(fleet).values()
    assert "3 trials in a row" in reason
    assert "trial 0 of digits" in reason
    schedule(fleet, new(3))
    fleet.published(UID, [(3, 0, 1)])
    answer = fleet.claim(UID, 3, 0, 1, "c", "gpu0@bad")
    assert (answer.outcome, answer.reason) == ("aside", reason)
    assert 0 < answer.aside_for <= ASIDE
    fleet.published(UID, [(3, 0, 1)])
    side.advance(REFUSED_AGAIN + 0.5)
    assert 3 in [segment.trial for segment in fleet.due(UID)]  # for others
    assert fleet.claim(UID, 3, 0, 1, "c2", "gpu0@good").outcome == "run"


def test_each_time_it_is_set_aside_for_longer_until_it_completes_a_segment(
    side: Side, fleet: Store
) -> None:
    for trial in range(IN_A_ROW):
        fail_on(fleet, trial, "gpu0@bad")
    complete_elsewhere(fleet, 0, "gpu0@good")
    side.advance(ASIDE + 1)
    fleet.beat("gpu0@bad", {})
    fleet.beat("gpu0@good", {})
    assert aside(fleet) == {}
    fail_on(fleet, 3, "gpu0@bad")
    assert fleet.claim(UID, 3, 0, 2, "c", "gpu0@bad").aside_for > 1.5 * ASIDE
    side.advance(2 * ASIDE + 1)
    fleet.beat("gpu0@bad", {})
    schedule(fleet, new(4))
    fleet.complete(UID, 4, run(fleet, 4, worker="gpu0@bad"), outcome())
    fail_on(fleet, 5, "gpu0@bad")
    assert aside(fleet) == {}


def test_trials_that_fail_everywhere_set_nobody_aside(side: Side, fleet: Store) -> None:
    for trial in range(IN_A_ROW + 1):
        fail_on(fleet, trial, "gpu0@bad")
        assert fleet.fail(UID, trial, run(fleet, trial, 0, 2, "gpu0@good"), "no", 0) == "final"
    assert aside(fleet) == {}


def test_one_trial_that_fails_again_and_again_is_no_row_of_trials(store: Store) -> None:
    store.submit("more", "patient", {"name": "patient", "retries": 9})
    store.schedule("more", store.describe("more").last, "r", [new(0)])
    store.beat("a", {})
    for attempt in range(1, IN_A_ROW + 2):
        token = store.claim("more", 0, 0, attempt, f"c{attempt}", "a").token
        store.start("more", 0, token, 0)
        store.fail("more", 0, token, "no", 0)
    token = store.claim("more", 0, 0, IN_A_ROW + 2, "c", "b").token
    store.start("more", 0, token, 0)
    store.complete("more", 0, token, outcome())
    assert aside(store) == {}


def test_a_worker_that_cannot_save_is_set_aside_and_forgotten_when_it_leaves(
    side: Side, fleet: Store
) -> None:
    fleet.set_aside("gpu0@bad", "its storage is full")
    assert aside(fleet) == {"gpu0@bad": "its storage is full"}
    fleet.set_aside("gpu0@bad", "a repeated call")
    schedule(fleet, new(0))
    answer = fleet.claim(UID, 0, 0, 1, "c", "gpu0@bad")
    assert (answer.outcome, answer.reason) == ("aside", "its storage is full")
    assert answer.aside_for <= ASIDE
    fleet.leave("gpu0@bad")
    fleet.beat("gpu0@bad", {})
    assert aside(fleet) == {}
    fleet.set_aside("gpu0@bad", "its storage is full")
    side.advance(WORKER_TIMEOUT + 1)
    fleet.beat("gpu0@good", {})  # forgets those that are silent
    assert fleet.claim(UID, 0, 0, 1, "c", "gpu0@bad").outcome == "run"


def test_a_checkpoint_ends_the_troubles_of_a_worker_that_could_not_save(
    side: Side, fleet: Store
) -> None:
    schedule(fleet, new(0), new(1), new(2))
    for trial in range(2):
        token = run(fleet, trial, worker="gpu0@bad")
        fleet.set_aside("gpu0@bad", "its storage is full")
        fleet.checkpoint(UID, trial, token, saved(1))
        assert aside(fleet) == {}
    fleet.set_aside("gpu0@bad", "its storage is full")
    assert fleet.claim(UID, 2, 0, 1, "c", "gpu0@bad").aside_for <= ASIDE  # for the first time again


def test_a_checkpoint_ends_no_row_of_failures(side: Side, fleet: Store) -> None:
    for trial in range(IN_A_ROW):
        fail_on(fleet, trial, "gpu0@bad")
    schedule(fleet, new(IN_A_ROW))
    fleet.checkpoint(UID, IN_A_ROW, run(fleet, IN_A_ROW, worker="gpu0@bad"), saved(1))
    complete_elsewhere(fleet, 0, "gpu0@good")
    assert list(aside(fleet)) == ["gpu0@bad"]


def test_a_retry_avoids_the_whole_host_while_another_lives(store: Store) -> None:
    for worker in ("gpu0@bad", "gpu1@bad", "gpu0@good"):
        store.beat(worker, {})
    fail_on(store, 0, "gpu0@bad")
    for worker in ("gpu0@bad", "gpu1@bad"):
        assert "avoids gpu0@bad" in store.claim(UID, 0, 0, 2, "c", worker).reason
    store.leave("gpu0@good")
    assert "avoids gpu0@bad" in store.claim(UID, 0, 0, 2, "c", "gpu0@bad").reason
    assert store.claim(UID, 0, 0, 2, "c", "gpu1@bad").outcome == "run"


# -- snapshots ---------------------------------------------------------------------------------


def test_the_last_snapshot_is_kept_with_every_number_as_it_was(store: Store) -> None:
    assert store.snapshot(UID) is None
    states: list[Json] = [{"open": []}, {"rungs": [[0, 0.1 + 0.2], [1, "NaN"]]}]
    for state in states:
        snapshot = Snapshot(last(store), last(store), state)
        store.keep_snapshot(UID, snapshot)
        assert store.snapshot(UID) == snapshot
    store.delete(UID)
    assert store.snapshot(UID) is None


def test_a_snapshot_of_entries_that_the_journal_does_not_have_is_not_kept(
    side: Side, store: Store
) -> None:
    before = side.save()
    schedule(store, new(0))
    later = Snapshot(last(store), last(store), {})
    side.roll_back(before)
    store.keep_snapshot(UID, later)
    store.keep_snapshot("nobody", later)
    assert store.snapshot(UID) is None
    assert store.snapshot("nobody") is None


# -- the fleet ---------------------------------------------------------------------------------


def test_leadership_passes_on_when_it_is_not_renewed(side: Side, store: Store) -> None:
    assert store.lead(UID, "me", 3).leading
    answer = store.lead(UID, "you", 4)
    assert (answer.leading, answer.leader, answer.term) == (False, "me", 1)
    assert store.describe(UID).leader == "me"
    assert [(one.uid, one.wants) for one in store.claimants()] == [(UID, 3)]
    side.advance(LEADER_LEASE - 1)
    assert store.lead(UID, "me", 5).term == 1
    side.advance(LEADER_LEASE + 1)
    assert store.describe(UID).leader == ""
    assert store.claimants() == []
    assert store.lead(UID, "you", 4).term == 2
    assert not store.lead(UID, "me", 5).leading
    store.resign(UID, "me")
    assert store.describe(UID).leader == "you"
    store.resign(UID, "you")
    assert store.describe(UID).leader == ""
    assert store.lead(UID, "me", 5).term == 3


def test_claims_are_those_of_the_present_leader_and_the_next_one_hears_them(
    side: Side, store: Store
) -> None:
    first, second = {"cpu": {"wants": 3, "owed": -2.5}}, {"gpu": {"wants": 1, "owed": 0.0}}
    assert store.lead(UID, "me", 3, first).claims == {}
    assert replace(store.lead(UID, "me", 3, first), now=0.0) == Lead(1, "me", True, first)
    assert [one.claims for one in store.claimants()] == [first]
    assert store.lead(UID, "me", 3).claims == first, "nothing new is claimed"
    assert store.lead(UID, "you", 4, second).claims == first
    assert [one.claims for one in store.claimants()] == [first], "who does not lead claims nothing"
    side.advance(LEADER_LEASE + 1)
    assert replace(store.lead(UID, "you", 4), now=0.0) == Lead(2, "you", True, first)
    assert [(one.wants, one.claims) for one in store.claimants()] == [(4, {})]
    store.lead(UID, "you", 4, second)
    assert [one.claims for one in store.claimants()] == [second]


def test_claimants_come_in_the_order_of_their_submission(side: Side, store: Store) -> None:
    side.advance(1)
    for uid in ("z", "b"):
        store.submit(uid, f"name-{uid}", {"retries": 1})
    for uid in ("b", "z", UID):
        store.lead(uid, "me", 1)
    store.finish("b", store.describe("b").last, "r", "me", "done")
    store.submit("quiet", "without-a-leader", {"retries": 1})
    assert {one.uid for one in store.claimants()} == {UID, "z"}
    order = [one.submitted_at for one in store.claimants()]
    assert order == sorted(order)


def test_workers_live_as_long_as_they_are_heard(side: Side, store: Store) -> None:
    store.beat("b", {"device": "cpu"})
    side.advance(WORKER_TIMEOUT - 5)
    store.beat("a", {"device": "gpu0"})
    assert [(w.name, w.info) for w in store.workers()] == [
        ("a", {"device": "gpu0"}),
        ("b", {"device": "cpu"}),
    ]
    side.advance(10)
    assert [worker.name for worker in store.workers()] == ["a"]
    store.beat("c", {})
    store.leave("a")
    assert [worker.name for worker in store.workers()] == ["c"]


def test_both_sides_agree_on_what_a_test_may_see(broker: str) -> None:
    server, memory = ServerSide(broker), MemorySide()
    for one in (server, memory):
        one.store.submit(UID, "digits", {"retries": 1})
        schedule(one.store, new(0), new(1))
        one.store.complete(UID, 0, run(one.store, 0), outcome(1, saved(1)))
    assert server.records(UID) == memory.records(UID)
    server.close()


# -- checkpoints that are not needed any more ---------------------------------------------------


def rest(store: Store, *resources: int) -> int:
    """Lets trial 0 complete its first rung with these checkpoints; the leader's term."""
    schedule(store, new(0))
    token = run(store, 0)
    for resource in resources[:-1]:
        store.checkpoint(UID, 0, token, saved(resource, f"/runs/{resource}"))
    assert store.complete(UID, 0, token, outcome(1, saved(resources[-1]))) == "ok"
    return store.lead(UID, "me", 1).term


def test_an_evicted_checkpoint_leaves_the_record_and_the_next_start_says_so(store: Store) -> None:
    term = rest(store, 1)
    assert store.evict(UID, term, [Eviction(0, 0, 0)]) == "ok"
    assert store.evict(UID, term, [Eviction(0, 0, 0)]) == "ok"
    evicted = [entry for entry in entries(store) if entry["type"] == "evicted"]
    assert [(e["trial"], e["rung"], e["checkpoints"], e["left"]) for e in evicted] == [
        (0, 0, ["/runs/1"], 0)
    ]
    schedule(store, promotion(0, 1, 4))
    claimed = claim(store, 0, 1)
    assert (claimed.start, claimed.checkpoints) == (0, [])
    assert store.start(UID, 0, claimed.token, 0) == "ok"
    assert entries(store)[-2]["what"] == "its checkpoint at 1 was evicted, it trains again from 0"
    assert types(store)[-2:] == ["warning", "started"]


def test_an_eviction_decides_nothing(store: Store) -> None:
    term = rest(store, 1)
    before = last(store)
    assert store.evict(UID, term, [Eviction(0, 0, 0)]) == "ok"
    assert last(store) == before


def test_the_newest_and_those_that_are_named_stay(store: Store) -> None:
    term = rest(store, 0, 0, 1)
    assert store.evict(UID, term, [Eviction(0, 0, 2)]) == "ok"
    assert "evicted" not in types(store), "there are no more than two"
    assert store.evict(UID, term, [Eviction(0, 0, 0, ("/runs/1",))]) == "ok"
    assert entries(store)[-1]["checkpoints"] == ["/runs/0"]
    assert entries(store)[-1]["left"] == 1


def test_nothing_is_evicted_of_an_open_trial_or_in_another_rung(store: Store) -> None:
    term = rest(store, 1)
    assert store.evict(UID, term, [Eviction(0, 1, 0), Eviction(7, 0, 0)]) == "ok"
    schedule(store, promotion(0, 1, 4))
    for rung in (0, 1):
        assert store.evict(UID, term, [Eviction(0, rung, 0)]) == "ok"
    claimed = claim(store, 0, 1)
    assert store.evict(UID, term, [Eviction(0, 1, 0)]) == "ok"
    assert claimed.start == 1
    assert store.start(UID, 0, claimed.token, 1) == "ok"
    assert "evicted" not in types(store)


def test_a_deposed_leader_evicts_nothing(side: Side, store: Store) -> None:
    term = rest(store, 1)
    side.advance(LEADER_LEASE + 1)
    assert store.lead(UID, "another", 1).term == term + 1
    assert store.evict(UID, term, [Eviction(0, 0, 0)]) == "stale"
    assert "evicted" not in types(store)
    assert store.evict("other", term, []) == "unknown"


def test_files_are_removed_some_time_after_the_entry(side: Side, store: Store) -> None:
    term = rest(store, 1)
    assert store.removable(UID, 0, 10) == []
    store.evict(UID, term, [Eviction(0, 0, 0)])
    assert store.removable(UID, 60, 10) == []
    side.advance(61)
    assert store.removable(UID, 60, 0) == []
    assert store.removable(UID, 60, 10) == ["/runs/1"]
    store.removed(UID, ["/runs/1"])
    store.removed(UID, ["/runs/1"])
    assert store.removable(UID, 0, 10) == []


def test_what_was_evicted_is_not_restored(side: Side, store: Store) -> None:
    term = rest(store, 1)
    store.evict(UID, term, [Eviction(0, 0, 0)])
    told = entries(store)
    side.wipe()
    assert side.store.restore(told) == UID
    schedule(side.store, promotion(0, 1, 4))
    claimed = claim(side.store, 0, 1)
    assert claimed.start == 0
    assert side.store.start(UID, 0, claimed.token, 0) == "ok"
    assert "evicted" in entries(side.store)[-2]["what"]
