"""What was once read with another error than a refusal, or worse; each found by `test_fuzz.py`, or
in looking for it."""

import copy
import hashlib
import json
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest

from asha_queue.checkpoints import Checkpoints
from asha_queue.checkpoints.manifest import NAME, listed
from asha_queue.coordinator.fold import Fold
from asha_queue.dashboard.orders import Pause, _read
from asha_queue.errors import (
    AshaQueueError,
    CheckpointCorrupt,
    CommandError,
    JournalError,
    MessageError,
    OrderError,
    ReportError,
    SpecificationError,
    StorageError,
    UnknownExperiment,
)
from asha_queue.handle import uid_of
from asha_queue.result import Result
from asha_queue.search.rules import check
from asha_queue.search.space import Space
from asha_queue.specification import Specification
from asha_queue.store.contract import Snapshot
from asha_queue.store.introductions import introduced
from asha_queue.store.journal import dump, load, load_file
from asha_queue.store.memory import MemoryStore
from asha_queue.training import patterns
from asha_queue.training.messages import read_message
from asha_queue.training.progress import Progress
from asha_queue.where import storage_root
from tests.pure.test_rules import CORRECT, EXPERIMENT

MESSAGE = {"uid": "1f2e3d", "trial": 17, "rung": 2, "attempt": 1, "v": 1}
NO_NUMBERS: list[Any] = [None, "1", True, -1, 1.0, 10**400, [1]]
NO_UIDS: list[Any] = [None, 7, "", "../x", "a:b", "a\n", "x" * 65]
EMPTY = hashlib.sha256().hexdigest()


@pytest.mark.parametrize(
    ("name", "odd"),
    [
        *[("trial", odd) for odd in NO_NUMBERS],
        *[("uid", odd) for odd in NO_UIDS],
        *[("v", odd) for odd in NO_NUMBERS[:4]],
    ],
)
def test_a_message_that_names_no_segment_is_refused(name: str, odd: object) -> None:
    with pytest.raises(MessageError, match="the message has"):
        read_message(MESSAGE | {name: odd}, "task")


def test_a_message_is_read_whatever_else_a_later_version_says() -> None:
    assert read_message(MESSAGE | {"more": [1]}, "t").trial == 17
    assert read_message(MESSAGE | {"v": 9}, "t").v == 9


@pytest.mark.parametrize(
    "line",
    [
        "[" * 100_000,
        '{"v":1,"id":"1-1","type":"paused","at":1,"x":' + "[" * 100_000,
        '{"v":' + "9" * 100_000 + ',"id":"1-1","type":"paused","at":1}',
        '{"v":1,"id":"1-1","type":"paused","at":NaN}',
    ],
)
def test_a_line_that_python_cannot_read_is_no_entry(line: str) -> None:
    with pytest.raises(JournalError, match="not a line of a journal"):
        load(line)


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (0, {"uid": "../x"}),
        (0, {"experiment": []}),
        (1, {"trial": "0"}),
        (1, {"trial": -1}),
        (1, {"type": []}),
        (1, {"id": "x"}),
        (1, {"id": "٥-1"}),
        (1, {"at": 1e300}),
        (1, {"config": None}),
        (2, {"token": 2**64}),
        (1, {"config": {"a": json.loads("[" * 80 + "]" * 80)}}),
        (1, {"worker": 7}),
    ],
)
def test_an_entry_of_another_shape_is_refused_with_its_line(
    place: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    entries = [CORRECT[i] | (changes if i == place else {}) for i in range(5)]
    file = tmp_path / "journal.jsonl"
    file.write_text("".join(map(dump, entries)))
    with pytest.raises(JournalError, match=rf"journal.jsonl, line {place + 1}: not an entry"):
        load_file(file)


def test_a_report_of_a_made_up_journal_makes_no_trial_that_was_never_started() -> None:
    last = next(e for e in CORRECT if e["type"] == "completed") | {"trial": 10**9}
    with pytest.raises(JournalError, match="trials come before it"):
        Result.from_journal([*CORRECT[:9], last])
    with pytest.raises(JournalError, match="its start is missing"):
        Result.from_journal([])


def test_a_journal_of_no_experiment_is_told_and_no_error() -> None:
    for experiment in ({}, {"space": 1}, EXPERIMENT.to_json() | {"max_t": "x"}):
        [said] = check([CORRECT[0] | {"experiment": experiment}])
        assert "describes no experiment" in said


def test_a_snapshot_of_a_billion_trials_is_none() -> None:
    store = MemoryStore(lambda: 1e9)
    uid = store.restore(copy.deepcopy(CORRECT))
    fold = Fold(store, uid)
    fold.catch_up()
    kept = fold.search.snapshot()
    state = kept | {"started": 10**9, "trials": 10**9, "sampler": fold.suggestions.snapshot()}
    store.keep_snapshot(uid, Snapshot(fold.seen, fold.last, state))
    another = Fold(store, uid)
    assert another.seen == "0-0"
    another.catch_up()
    assert another.search.snapshot() == kept


@pytest.mark.parametrize(
    "name", ["../../x", "/etc/passwd", "", ".", "a/../../x", "a//b", "a\0b", "./a", NAME]
)
def test_a_manifest_names_nothing_outside_of_its_folder(name: str) -> None:
    text = json.dumps({"files": {name: {"size": 0, "sha256": EMPTY}}}).encode()
    with pytest.raises(CheckpointCorrupt, match="no file in it"):
        listed(text, "there")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"files": 1}',
        b'{"files": {"a": {"size": -1, "sha256": "x"}}}',
        b'{"files": {"a": {"size": 1e99, "sha256": "' + EMPTY.encode() + b'"}}}',
    ],
)
def test_a_manifest_that_is_none_is_a_corrupt_checkpoint(text: bytes) -> None:
    with pytest.raises(CheckpointCorrupt, match="there has a manifest that is none"):
        listed(text, "there")


def test_a_file_whose_name_is_no_unicode_is_still_restored(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "test", "u1")
    with checkpoints.writer(0, 1, "claim", 1, {}) as draft:
        (draft.folder / os.fsdecode(b"caf\xe9")).write_text("x")
    assert checkpoints.verify(draft.record)


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "test", "u1")
    with checkpoints.writer(0, 1, "claim", 1, {}) as draft:
        (draft.folder / "model").touch()
    file = tmp_path / draft.record["path"] / "model"
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(CheckpointCorrupt):
        checkpoints.verify(draft.record)


@pytest.mark.parametrize(
    "record", [None, {}, {"path": "a\0b", "resource": 1, "digest": ""}, {"path": 3}, "x"]
)
def test_a_record_that_is_none_is_dropped_and_the_one_before_restored(
    record: Any, tmp_path: Path
) -> None:
    checkpoints = Checkpoints(tmp_path, "test", "u1")
    with checkpoints.writer(0, 1, "claim", 1, {}) as draft:
        (draft.folder / "model").touch()
    restored = checkpoints.restore([draft.record, record])
    assert restored.resource == 1
    assert "a checkpoint's record is none" in restored.reasons[0]


def test_not_all_checkpoints_of_an_experiment_are_removed_as_one(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "test", "u1")
    with checkpoints.writer(0, 1, "claim", 1, {}) as draft:
        (draft.folder / "model").touch()
    for path in ("test/checkpoints/u1", "test/checkpoints/u1/0", "test/checkpoints", "."):
        with pytest.raises(CheckpointCorrupt, match="is not a checkpoint of its experiment"):
            checkpoints.remove(path)
    assert checkpoints.verify(draft.record)
    checkpoints.remove(draft.record["path"])


@pytest.mark.parametrize("name", ["reached", "seconds"])
def test_a_journal_that_no_coordinator_could_fold_is_not_restored(name: str) -> None:
    entries = copy.deepcopy(CORRECT)
    del next(entry for entry in entries if entry["type"] == "completed")[name]
    store = MemoryStore(lambda: 1e9)
    with pytest.raises(JournalError, match=rf"is malformed: KeyError\('{name}'\)"):
        store.restore(entries)
    assert not store.names()


@pytest.mark.parametrize(
    ("storage", "says"),
    [
        ("~nobody-of-this-name/x", "there is no such home"),
        ("~\0", "holds a character"),
        ("\ud800", "holds a character"),
        ("s3://a\0", "h"),
    ],
)
def test_a_storage_that_no_system_takes_is_refused(storage: str, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        storage_root(storage)


@pytest.mark.parametrize("text", ["a = " + "9" * 5000, "a = " + "[" * 100_000, "a = \ud800"])
def test_a_toml_that_python_cannot_read_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "exp.toml"
    file.write_text(text, errors="surrogatepass")
    with pytest.raises(SpecificationError, match=r"exp\.toml: not valid TOML"):
        Specification.from_toml(file)


def test_fields_with_odd_names_are_refused_as_any_other() -> None:
    for name in ("self", "\ud800", "", "__class__"):
        with pytest.raises(SpecificationError, match="no such field"):
            Specification(**EXPERIMENT.to_json() | {name: 1})


@pytest.mark.parametrize(
    "domain",
    [
        {"uniform": [0, 10**400]},
        {"uniform": [-1e308, 1e308]},
        {"quniform": [0.0, 1.0, 5e-324]},
        {"randint": [1, 2**64]},
        {"normal": [0, 1e308]},
    ],
)
def test_a_domain_that_nothing_can_be_drawn_from_is_refused(domain: dict[str, Any]) -> None:
    with pytest.raises(SpecificationError, match=r"space\.x"):
        Space({"x": domain})


def test_an_integer_that_no_float_can_hold_is_no_metric() -> None:
    with pytest.raises(ReportError, match="metric score is an integer of 1329 bits: too large"):
        Progress(0, 3, "score").report(1, {"score": 10**400})


def test_a_worker_that_says_nonsense_of_itself_has_said_less() -> None:
    sound = {"host": "n", "pid": 1, "queues": ["a"], "later": {"x": 1}}
    nonsense = {"device": 3, "gpus": [None], "storage": {"root": "a"}, "programs": "x"}
    assert introduced(sound | nonsense) == sound
    assert introduced([sound]) == {}
    assert introduced(sound | {"queues": "asha"}) == {k: sound[k] for k in sound if k != "queues"}


@pytest.mark.parametrize("body", [b"\xff", b"[" * 100_000, b"[]", b"1", b'{"now": "\\ud800"}'])
def test_a_body_that_is_no_order_is_refused(body: bytes) -> None:
    with pytest.raises(OrderError):
        _read(body, Pause, "pause")


def test_a_name_that_leads_out_of_the_storage_is_not_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "journal.jsonl").touch()
    monkeypatch.setenv("ASHA_QUEUE_STORAGE", str(tmp_path / "runs"))
    for name in ("../other", str(tmp_path / "other"), "x" * 5000, "a\0"):
        with pytest.raises(UnknownExperiment, match="no experiment is called") as raised:
            uid_of(MemoryStore(lambda: 1.0), name)
        assert type(raised.value) is UnknownExperiment


def test_a_pattern_that_takes_for_ever_is_ended_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LONGEST", 0.2)
    pattern = re.compile(r"score=(?P<score>(a+)+b)")
    assert patterns.search(pattern, "score=aab")
    begun = time.monotonic()
    with pytest.raises(CommandError, match=r"\(a\+\)\+.* took more than 0\.2 s for the line"):
        patterns.search(pattern, "score=" + "a" * 60)
    assert time.monotonic() - begun < 10
    assert issubclass(CommandError, AshaQueueError)
