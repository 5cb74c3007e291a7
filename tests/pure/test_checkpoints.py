"""Checkpoints: written whole or not at all, verified, and never mistaken for another."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asha_queue.checkpoints import Checkpoints, manifest
from asha_queue.checkpoints.trouble import full
from asha_queue.errors import (
    CheckpointCorrupt,
    CheckpointError,
    CheckpointUnreachable,
    CheckpointUnwritable,
    NewerFormat,
)
from asha_queue.settings import FORMAT

CLAIM = "0123456789abcdef"


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "storage", "digits", "u1")


def write(checkpoints: Checkpoints, resource: int = 4, token: int = 7) -> dict[str, Any]:
    with checkpoints.writer(17, token, CLAIM, resource, {"score": 0.5}, "c0ffee") as draft:
        (draft.folder / "model").write_bytes(b"weights" * resource)
        (draft.folder / "parts").mkdir()
        (draft.folder / "parts" / "one").write_text("1")
    return draft.record


def test_a_written_checkpoint_is_found_whole(checkpoints: Checkpoints, tmp_path: Path) -> None:
    record = write(checkpoints)
    folder = checkpoints.verify(record)
    assert folder == tmp_path / "storage/digits/checkpoints/u1/17/7-01234567-4"
    assert (folder / "model").read_bytes() == b"weights" * 4
    assert record["path"] == "digits/checkpoints/u1/17/7-01234567-4"
    assert record["bytes"] == len(b"weights" * 4) + 1


def test_the_manifest_says_what_the_checkpoint_is(checkpoints: Checkpoints) -> None:
    folder = checkpoints.verify(write(checkpoints))
    manifest = json.loads((folder / "manifest.json").read_text())
    assert sorted(manifest.pop("files")) == ["model", "parts/one"]
    assert manifest == {
        "v": 1,
        "uid": "u1",
        "trial": 17,
        "token": 7,
        "claim": CLAIM,
        "resource": 4,
        "metrics": {"score": 0.5},
        "config_digest": "c0ffee",
    }


def test_metrics_that_json_cannot_hold_are_written_as_text(checkpoints: Checkpoints) -> None:
    with checkpoints.writer(0, 1, CLAIM, 1, {"loss": float("nan")}) as draft:
        pass
    text = (checkpoints.verify(draft.record) / "manifest.json").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["metrics"] == {"loss": "NaN"}


def test_an_exception_while_writing_leaves_nothing(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    def fail() -> None:
        with checkpoints.writer(17, 7, CLAIM, 4, {}) as draft:
            (draft.folder / "model").write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_not_finished_is_not_under_the_final_name(checkpoints: Checkpoints) -> None:
    with checkpoints.writer(17, 7, CLAIM, 4, {}) as draft:
        assert not (draft.folder.parent / f"7-{CLAIM[:8]}-4").exists()
        assert draft.folder.name.startswith(".")


def test_the_same_step_can_be_saved_again(checkpoints: Checkpoints) -> None:
    first, second = write(checkpoints), write(checkpoints)
    assert first["path"] != second["path"]
    assert checkpoints.verify(first) != checkpoints.verify(second)


def test_a_file_with_the_name_of_the_manifest_is_refused(checkpoints: Checkpoints) -> None:
    with (
        pytest.raises(CheckpointError, match="manifest.json"),
        checkpoints.writer(17, 7, CLAIM, 4, {}) as draft,
    ):
        (draft.folder / "manifest.json").write_text("{}")


def truncate(folder: Path) -> None:
    (folder / "model").write_bytes(b"weights")


def flip(folder: Path) -> None:
    (folder / "model").write_bytes(b"WEIGHTS" * 4)


def lose_a_file(folder: Path) -> None:
    (folder / "parts" / "one").unlink()


def lose_the_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def edit_the_manifest(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"resource":4', '"resource":9'))


def replace_a_folder(folder: Path) -> None:
    shutil.rmtree(folder / "parts")
    (folder / "parts").write_text("a file now")


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        flip,
        lose_a_file,
        lose_the_manifest,
        edit_the_manifest,
        replace_a_folder,
        shutil.rmtree,
    ],
)
def test_damage_is_seen_and_the_one_before_is_restored(
    checkpoints: Checkpoints, damage: Callable[[Path], None]
) -> None:
    older, newer = write(checkpoints, resource=2), write(checkpoints, resource=4)
    damage(checkpoints.verify(newer))
    with pytest.raises(CheckpointCorrupt):
        checkpoints.verify(newer)
    restored = checkpoints.restore([older, newer])
    assert restored.folder == checkpoints.verify(older)
    assert (restored.resource, restored.dropped) == (2, [newer["path"]])
    assert len(restored.reasons) == 1


def test_one_of_a_newer_version_is_refused_and_not_taken_for_damaged(
    checkpoints: Checkpoints,
) -> None:
    older, newest = write(checkpoints, 4), write(checkpoints, 16)
    path = checkpoints.verify(newest) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"v": FORMAT + 1}))
    newest["digest"] = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(NewerFormat, match="checkpoint .* was written by a newer version of asha"):
        checkpoints.restore([older, newest])


def test_the_newest_good_one_is_restored(checkpoints: Checkpoints) -> None:
    older, newer = write(checkpoints, resource=2), write(checkpoints, resource=4)
    restored = checkpoints.restore([older, newer])
    assert restored.folder == checkpoints.verify(newer)
    assert (restored.resource, restored.dropped, restored.reasons) == (4, [], [])


def test_without_a_good_one_training_starts_from_nothing(checkpoints: Checkpoints) -> None:
    record = write(checkpoints)
    truncate(checkpoints.verify(record))
    restored = checkpoints.restore([record])
    assert (restored.folder, restored.resource, restored.dropped) == (None, 0, [record["path"]])
    assert checkpoints.restore([]).folder is None


@pytest.mark.parametrize("missing", ["storage", "storage/digits"])
def test_a_storage_that_this_node_does_not_see_is_told_from_damage(
    checkpoints: Checkpoints, tmp_path: Path, missing: str
) -> None:
    record = write(checkpoints)
    shutil.rmtree(tmp_path / missing)
    with pytest.raises(CheckpointUnreachable, match=missing):
        checkpoints.restore([record])


def test_a_path_that_leaves_the_experiment_is_refused(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    record = write(checkpoints)
    other = write(Checkpoints(tmp_path / "storage", "other", "u2"))
    with pytest.raises(CheckpointCorrupt, match="not a folder of its experiment"):
        checkpoints.verify(record | {"path": f"digits/../{other['path']}"})


def test_what_a_killed_writer_left_is_removed_by_the_next_holder_alone(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    kept = checkpoints.verify(write(checkpoints, token=5))
    for token in (5, 7, 9):
        (kept.parent / f".{token}-01234567-4.partial" / "parts").mkdir(parents=True)
    checkpoints.remove_unfinished(17, token=7)
    checkpoints.remove_unfinished(18, token=7)  # has none at all
    assert sorted(path.name for path in kept.parent.iterdir()) == [
        ".7-01234567-4.partial",
        ".9-01234567-4.partial",
        kept.name,
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_an_error_of_the_storage_is_told_from_the_program_s(
    checkpoints: Checkpoints, number: int
) -> None:
    def fail(error: Exception) -> None:
        with checkpoints.writer(17, 7, CLAIM, 4, {}):
            try:
                raise error
            except Exception as cause:
                raise RuntimeError("writing failed") from cause

    with pytest.raises(CheckpointUnwritable, match=os.strerror(number)):
        fail(OSError(number, os.strerror(number), "/runs/model"))
    with pytest.raises(RuntimeError, match="writing failed"):
        fail(OSError(errno.ENOENT, "no such file", "/elsewhere"))


def test_a_draft_that_the_program_has_removed_is_its_own_fault(checkpoints: Checkpoints) -> None:
    def fail() -> None:
        with checkpoints.writer(17, 7, CLAIM, 4, {}) as draft:
            shutil.rmtree(draft.folder)
            raise RuntimeError("my own")

    with pytest.raises(RuntimeError, match="my own"):
        fail()


def test_a_folder_that_cannot_be_made_is_named(checkpoints: Checkpoints, tmp_path: Path) -> None:
    (tmp_path / "storage").write_text("a file, and no folder")
    with pytest.raises(CheckpointUnwritable, match="storage"):
        write(checkpoints)


def test_no_space_is_found_behind_whatever_hides_it() -> None:
    def fail() -> None:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "/tmp/cache")
        except OSError:
            raise ValueError("the cache is broken") from None

    with pytest.raises(ValueError, match="broken") as raised:
        fail()
    assert full(raised.value) == "/tmp/cache: No space left on device"
    assert full(ValueError("a bug")) == ""


def test_a_removed_checkpoint_is_gone_and_may_be_removed_again(checkpoints: Checkpoints) -> None:
    first, second = write(checkpoints), write(checkpoints, 8)
    checkpoints.remove(first["path"])
    checkpoints.remove(first["path"])
    with pytest.raises(CheckpointCorrupt, match="is missing"):
        checkpoints.verify(first)
    assert checkpoints.verify(second).is_dir()
    assert checkpoints.restore([second, first]).resource == 8


def test_nothing_is_removed_where_the_checkpoints_are_not_seen(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    record = write(checkpoints)
    elsewhere = Checkpoints(tmp_path / "another", "digits", "u1")
    with pytest.raises(CheckpointUnreachable, match="does not exist here"):
        elsewhere.remove(record["path"])
    assert checkpoints.verify(record).is_dir()


def test_what_lies_outside_of_its_experiment_is_not_removed(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    record = write(checkpoints)
    (tmp_path / "storage" / "precious").mkdir()
    for path in ("precious", "digits/checkpoints/u1/../../../precious", "/tmp"):
        with pytest.raises(CheckpointCorrupt, match="not a checkpoint of its experiment"):
            checkpoints.remove(path)
    assert (tmp_path / "storage" / "precious").is_dir()
    assert checkpoints.verify(record).is_dir()


@pytest.mark.parametrize("large", [0, manifest.LARGE])
def test_everything_is_synced_before_a_checkpoint_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(manifest, "LARGE", large)
    happened: list[str] = []
    sync, rename = os.fsync, Path.rename

    def synced(descriptor: int) -> None:
        happened.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        sync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        happened.append("renamed")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "rename", renamed)
    with Checkpoints(tmp_path, "test", "u1").writer(7, 1, "claim", 3, {}) as draft:
        (draft.folder / "part").mkdir()
        for name in ("a", "b", "part/c"):
            (draft.folder / name).write_text(name)
    before = happened[: happened.index("renamed")]
    assert set(before) == {"a", "b", "c", "part", manifest.NAME, draft.folder.name}
    assert max(map(before.index, "abc")) < before.index(manifest.NAME)
    assert happened[len(before) + 1 :] == ["7"]


@pytest.mark.parametrize("large", [0, manifest.LARGE])
def test_a_file_that_cannot_be_synced_makes_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr(manifest, "LARGE", large)

    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    def save() -> None:
        with Checkpoints(tmp_path, "test", "u1").writer(7, 1, "claim", 3, {}) as draft:
            (draft.folder / "a").write_text("a")
            monkeypatch.setattr(os, "fsync", broken)

    with pytest.raises(CheckpointUnwritable):
        save()
    assert not list(tmp_path.rglob(manifest.NAME))
