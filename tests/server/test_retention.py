"""Retention on a real server and a real disk: the entry first, the files later."""

import gc
from pathlib import Path
from typing import Any

import pytest

from asha_queue.checkpoints import Checkpoints
from asha_queue.coordinator import retention
from asha_queue.coordinator.drive import Drive
from asha_queue.coordinator.retention import Retention
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.settings import REMOVE_AFTER
from asha_queue.specification import Specification
from asha_queue.store.contract import Outcome, QueuedSegment, ScheduledSegment, Store
from tests.conftest import wait_until
from tests.server.sides import ServerSide
from tests.server.test_coordinator import INFO, Queue

UID = "1f2e3d"
SPECIFICATION = Specification(
    name="digits",
    train="digits.py:train",
    space={"lr": {"uniform": [0.0, 1.0]}},
    metric="loss",
    mode="min",
    max_t=4,
    num_samples=40,
    hedge=False,
    sampler="random",
    seed=0,
)


def train(store: Store, folder: Path, trials: int) -> None:
    """Completes the first rung of so many trials, the first of which is the best."""
    store.submit(UID, "digits", SPECIFICATION.to_json())
    checkpoints = Checkpoints(folder.parent, "digits", UID)
    for trial in range(trials):
        segment = ScheduledSegment(trial, bracket=0, rung=0, target=1, config={"lr": 0.5})
        last = store.describe(UID).last
        assert store.schedule(UID, last, f"request {trial}", [segment]) == "ok"
        claim = store.claim(UID, trial, 0, 1, f"claim {trial:08d}", "a")
        assert store.start(UID, trial, claim.token, 0) == "ok"
        metrics = {"loss": float(trial)}
        with checkpoints.writer(trial, claim.token, f"{trial:08d}", 1, metrics) as draft:
            (draft.folder / "model").write_text("weights")
        outcome = Outcome(metrics, 1, draft.record, 1.0, [])
        assert store.complete(UID, trial, claim.token, outcome) == "ok"


def work(store: Store, folder: Path, segment: QueuedSegment) -> int:
    """Trains a segment, whose checkpoint is written; from which step."""
    trial, name = segment.trial, f"claim {segment.trial:08d} {segment.rung}"
    claim = store.claim(UID, trial, segment.rung, segment.attempt, name, "a")
    checkpoints = Checkpoints(folder.parent, "digits", UID)
    assert checkpoints.restore(claim.checkpoints).resource == claim.start, "it is on the disk"
    assert store.start(UID, trial, claim.token, claim.start) == "ok"
    metrics = {"loss": float(trial * 7 % 40)}
    with checkpoints.writer(trial, claim.token, name, claim.target, metrics) as draft:
        (draft.folder / "model").write_text("weights")
    outcome = Outcome(metrics, claim.target, draft.record, 1.0, [])
    assert store.complete(UID, trial, claim.token, outcome) == "ok"
    return claim.start


def follow(store: Store, folder: Path) -> tuple[Retention, Asha, Result]:
    kept = Retention(store, UID, SPECIFICATION, folder)
    search, result = Asha(SPECIFICATION.plan), Result(SPECIFICATION)
    for entry in store.read(UID, "", 10_000).entries:
        for one in (kept, search, result):
            one.apply(entry)
    return kept, search, result


def folders(folder: Path) -> int:
    return len([*folder.glob(f"checkpoints/{UID}/*/*/manifest.json")])


def test_what_is_not_needed_goes_from_the_record_then_from_the_disk(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side, folder = ServerSide(broker), tmp_path / "digits"
    store = side.store
    try:
        train(store, folder, 16)
        term = store.lead(UID, "me", 1).term
        kept, search, result = follow(store, folder)
        kept.tend(search, result, term)
        evicted = [e for e in store.read(UID, "", 10_000).entries if e["type"] == "evicted"]
        assert {entry["trial"] for entry in evicted} == set(range(9, 16)), "16/4 and a margin of 5"
        assert folders(folder) == 16, "nothing is removed at once"
        monkeypatch.setattr(retention, "TICK", 0.0)
        side.advance(REMOVE_AFTER + 1)
        successor, search, result = follow(store, folder)

        def tended() -> bool:
            successor.tend(search, result, term)
            return folders(folder) == 9 and store.removable(UID, 0, 10) == []

        wait_until(tended, "the files are removed by the next leader, and forgotten")
    finally:
        side.wipe()
        side.close()


def test_a_coordinator_that_does_not_see_the_storage_says_so_once_and_evicts_nothing(
    broker: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    side = ServerSide(broker)
    monkeypatch.setattr(retention, "TICK", 0.0)
    try:
        train(side.store, tmp_path / "digits", 16)
        term = side.store.lead(UID, "me", 1).term
        kept, search, result = follow(side.store, tmp_path / "elsewhere" / "digits")
        for _ in range(3):
            kept.tend(search, result, term)
        told: list[Any] = [r for r in caplog.records if "does not exist here" in r.getMessage()]
        assert len(told) == 1
        types = {entry["type"] for entry in side.store.read(UID, "", 10_000).entries}
        assert "evicted" not in types
    finally:
        side.wipe()
        side.close()


def test_nothing_that_was_evicted_is_left_on_the_disk_when_an_experiment_has_ended(
    broker: str, tmp_path: Path
) -> None:
    side, folder, queue = ServerSide(broker), tmp_path / "digits", Queue()
    store = side.store
    store.submit(UID, "digits", SPECIFICATION.to_json())
    store.beat("a", INFO)
    drive = Drive(store, queue, UID, folder)

    def ended() -> bool:
        drive.turn()
        while segment := queue.pop():
            work(store, folder, segment)
        return drive.coordinator.ended and drive.settled

    try:
        wait_until(ended, "the experiment has finished, and the disk is tidy")
        result = drive.result()
        entries = store.read(UID, "", 10_000).entries
        assert entries[-1]["type"] == "finished"
        gone = {path for e in entries if e["type"] == "evicted" for path in e["checkpoints"]}
        saved = {e["checkpoint"]["path"] for e in entries if e["type"] == "completed"}
        there = {
            str(one.parent.relative_to(tmp_path))
            for one in folder.glob("checkpoints/**/manifest.json")
        }
        assert there == saved - gone
        assert len(there) <= len(saved) / 2
        assert store.removable(UID, 0.0, 100) == []
        assert result.best
        assert result.best.checkpoint
        assert result.best.checkpoint["path"] in there
        assert store.extend(UID, "more", "me", "", {"max_t": 16}) == "ok"
        starts: list[int] = []

        def extended() -> bool:
            drive.turn()
            while segment := queue.pop():
                starts.append(work(store, folder, segment))
            return bool(starts) and drive.coordinator.ended and drive.settled

        wait_until(extended, "it goes on to 16")
        assert set(starts) == {4}, "the best of what was the top rung are where they were"
    finally:
        drive.close()
        side.wipe()
        side.close()


def test_what_a_journal_adds_up_to_is_no_matter_of_collections_until_its_coordinator_ends(
    broker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asha_queue.coordinator.drive.SET_ASIDE_AFTER", 1)
    side, queue = ServerSide(broker), Queue()
    side.store.submit(UID, "digits", SPECIFICATION.to_json())
    side.store.beat("a", INFO)
    drive = Drive(side.store, queue, UID, tmp_path / "digits")
    try:

        def set_aside() -> bool:
            drive.turn()
            return gc.get_freeze_count() > 0

        wait_until(set_aside, "what there is was set aside")
        assert gc.isenabled()
        drive.close()
        assert gc.get_freeze_count() == 0
    finally:
        gc.unfreeze()
        side.wipe()
        side.close()
