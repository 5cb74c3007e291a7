"""The files of a run: whole whoever leads, whatever the store has lost, and never in the way."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asha_queue.coordinator import exports
from asha_queue.coordinator.exports import Exports
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.store.contract import PIECE, Outcome, Read, ScheduledSegment, Store
from tests.server.sides import MemorySide

SPECIFICATION = Specification(
    name="sums",
    train="sums.py:train",
    space={"x": uniform(0.0, 1.0)},
    metric="loss",
    mode="min",
    max_t=9,
    reduction_factor=3,
    num_samples=30,
    seed=5,
)

Make = Callable[[], Exports]


@pytest.fixture
def side() -> MemorySide:
    return MemorySide()


@pytest.fixture
def store(side: MemorySide) -> Store:
    return side.store


@pytest.fixture
def uid(store: Store) -> str:
    return store.submit(uuid.uuid4().hex, "sums", SPECIFICATION.to_json())


@pytest.fixture
def make(store: Store, uid: str, tmp_path: Path) -> Iterator[Make]:
    """Makes exports into the test's folder, and closes them."""
    made: list[Exports] = []

    def one_more() -> Exports:
        made.append(Exports(store, uid, SPECIFICATION, tmp_path))
        return made[-1]

    yield one_more
    for one in made:
        one.close()


def train(store: Store, uid: str, trial: int, loss: float) -> None:
    segment = ScheduledSegment(trial, 0, 0, 1, {"x": loss})
    assert store.schedule(uid, store.describe(uid).last, f"r{trial}", [segment]) == "ok"
    token = store.claim(uid, trial, 0, 1, f"c{trial}", "w").token
    store.start(uid, trial, token, 0)
    store.complete(uid, trial, token, Outcome({"loss": loss}, 1, None, 1.0, []))


def follow(files: Exports, term: int | None) -> int:
    """Follows to the end; returns in how many pieces."""
    pieces = 0
    while files.follow(term):
        pieces += 1
    return pieces


def exported(folder: Path) -> list[str]:
    return [json.loads(line)["id"] for line in (folder / "journal.jsonl").read_text().splitlines()]


def journalled(store: Store, uid: str) -> list[str]:
    return [entry["id"] for entry in store.read(uid, "0-0", 10_000).entries]


def test_a_long_journal_is_followed_in_pieces_and_its_file_appears_when_it_is_whole(
    store: Store, uid: str, tmp_path: Path, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "PIECE", 4)
    for trial in range(5):
        train(store, uid, trial, 0.1)
    files = make()
    assert files.follow(1)
    assert not (tmp_path / "journal.jsonl").exists()
    assert follow(files, 1) == 3
    assert exported(tmp_path) == journalled(store, uid)
    train(store, uid, 5, 0.2)
    assert follow(files, 1) == 1
    assert exported(tmp_path) == journalled(store, uid)
    assert not list(tmp_path.glob("journal.jsonl.*"))


def test_whoever_does_not_lead_writes_nothing_and_knows_the_result(
    store: Store, uid: str, tmp_path: Path, make: Make
) -> None:
    train(store, uid, 0, 0.1)
    files = make()
    follow(files, None)
    files.write()
    assert list(tmp_path.iterdir()) == []
    assert [trial.state for trial in files.result.trials] == ["waiting"]


def test_a_deposed_leader_writes_into_a_file_that_nobody_reads(
    store: Store, uid: str, tmp_path: Path, make: Make
) -> None:
    frozen = make()
    follow(frozen, 1)
    present = make()
    follow(present, 2)
    for trial in range(3):
        train(store, uid, trial, 0.1)
        follow(frozen, 1)
        follow(present, 2)
        assert exported(tmp_path) == journalled(store, uid)


def test_a_folder_that_cannot_be_written_delays_nothing_and_is_filled_later(
    store: Store,
    uid: str,
    tmp_path: Path,
    make: Make,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    train(store, uid, 0, 0.1)
    files = make()
    blocked = tmp_path / f"journal.jsonl.{os.getpid()}"
    blocked.mkdir()  # in the place of the file that is written first
    follow(files, 1)
    files.write()
    assert [trial.state for trial in files.result.trials] == ["waiting"]
    assert "files cannot be written" in caplog.text
    assert str(blocked) in caplog.text
    blocked.rmdir()
    train(store, uid, 1, 0.2)
    follow(files, 1)
    assert list(tmp_path.iterdir()) == []  # not yet
    monkeypatch.setattr(files, "_again_at", 0.001)
    follow(files, 1)
    files.write()
    assert exported(tmp_path) == journalled(store, uid)
    assert "0.2" in (tmp_path / "trials.csv").read_text()


def test_a_store_that_was_rolled_back_is_exported_as_it_is_now(
    side: MemorySide, store: Store, uid: str, tmp_path: Path, make: Make
) -> None:
    files = make()
    train(store, uid, 0, 0.1)
    before = side.save()
    train(store, uid, 1, 0.2)
    follow(files, 1)
    side.roll_back(before)
    train(store, uid, 1, 0.3)
    follow(files, 1)
    files.write()
    assert exported(tmp_path) == journalled(store, uid)
    assert "0.3" in (tmp_path / "trials.csv").read_text()
    assert json.loads((tmp_path / "best.json").read_text())["trial"] == 0


def test_files_are_whole_although_every_look_finds_something_new(
    store: Store, uid: str, tmp_path: Path, make: Make
) -> None:
    files = make()
    for trial in range(3):
        train(store, uid, trial, 0.5)
        assert files.follow(1)
        assert not files.behind
        assert exported(tmp_path) == journalled(store, uid)


def test_what_the_coordinator_has_folded_is_not_read_again(
    make: Make, store: Store, uid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = make()
    seen, reads = "0-0", list[str]()

    def hear() -> None:
        nonlocal seen
        for entry in store.read(uid, seen).entries:
            files.hear(entry)
            seen = entry["id"]

    train(store, uid, 0, 0.5)
    hear()  # before it leads: read from the store when it does
    follow(files, 1)
    read = store.read

    def noted(uid: str, after: str, count: int = PIECE) -> Read:
        reads.append(after)
        return read(uid, after, count)

    monkeypatch.setattr(store, "read", noted)
    for trial in range(1, 5):
        train(store, uid, trial, trial / 10)
        hear()
        reads.clear()
        follow(files, 1)
        assert reads == []
    assert exported(tmp_path) == [entry["id"] for entry in read(uid, "0-0").entries]
    assert len(files.result.trials) == 5


def test_exports_that_are_ahead_of_what_they_hear_meet_it_again(
    make: Make, store: Store, uid: str, tmp_path: Path
) -> None:
    files = make()
    follow(files, 1)
    for trial in range(4):
        train(store, uid, trial, trial / 10)
    entries = store.read(uid, "0-0").entries
    files.hear(entries[0])
    follow(files, 1)  # heard only the first, so it reads them all
    for entry in entries[1:]:
        files.hear(entry)
    train(store, uid, 4, 0.4)
    for entry in store.read(uid, entries[-1]["id"]).entries:
        files.hear(entry)
    follow(files, 1)
    assert exported(tmp_path) == [entry["id"] for entry in store.read(uid, "0-0").entries]


def test_a_store_that_was_rolled_back_is_heard_from_its_start(
    make: Make, side: MemorySide, store: Store, uid: str, tmp_path: Path
) -> None:
    files = make()
    for entry in store.read(uid, "0-0").entries:
        files.hear(entry)
    train(store, uid, 0, 0.5)
    for entry in store.read(uid, "0-0").entries[1:]:
        files.hear(entry)
    follow(files, 1)
    del store.memory.experiments[uid].journal[2:]  # type: ignore[attr-defined]
    for entry in store.read(uid, "0-0").entries:
        files.hear(entry)
    follow(files, 1)
    assert exported(tmp_path) == [entry["id"] for entry in store.read(uid, "0-0").entries]


def test_a_long_table_is_made_in_pieces_between_which_decisions_are_taken(
    make: Make, store: Store, uid: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "ROWS", 2)
    files = make()
    for trial in range(7):
        train(store, uid, trial, trial / 10)
    follow(files, 1)
    pieces = 0
    while files.write_if_due():
        pieces += 1
        if pieces == 2:
            train(store, uid, 7, 0.7)  # is in the next table
            follow(files, 1)
    assert pieces > 4
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 1 + 7
    files.write()
    assert len((tmp_path / "trials.csv").read_text().splitlines()) == 1 + 8
