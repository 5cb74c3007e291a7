"""Checkpoints and files in a bucket, on a real S3 server: whole, fetched once, whatever fails."""

import os
import shutil
from typing import Any

import pytest

from asha_queue.checkpoints import Checkpoints
from asha_queue.checkpoints.probe import look
from asha_queue.errors import (
    CheckpointCorrupt,
    CheckpointUnreachable,
    CheckpointUnwritable,
    StorageError,
)
from asha_queue.logs import Logs
from asha_queue.storage import Remote, opened, required
from asha_queue.storage.cache import CHECKPOINTS, Cache, cache_folder
from tests.buckets import Bucket

pytest.importorskip("s3fs")
CLAIM = "0123456789abcdef"
FILES = 5


def write(root: Remote, resource: int = 4, token: int = 7) -> dict[str, Any]:
    checkpoints = Checkpoints(root, "digits", "u1")
    with checkpoints.writer(17, token, CLAIM, resource, {"score": 0.5}) as draft:
        for number in range(FILES):
            path = draft.folder / f"part{number}" / "weights"
            path.parent.mkdir()
            path.write_bytes(bytes([resource]) * 10_000)
    checkpoints.release()
    return draft.record


def elsewhere() -> None:
    """From here on this is another machine: its cache is empty."""
    shutil.rmtree(cache_folder())


def restored(root: Remote, *records: dict[str, Any]) -> Any:
    checkpoints = Checkpoints(root, "digits", "u1")
    found = checkpoints.restore(records)
    checkpoints.release()
    return found


def test_the_manifest_is_stored_last_and_another_machine_restores_all(
    root: Remote, s3: Bucket
) -> None:
    record = write(root)
    puts = [path for method, path in s3.calls if method == "PUT"]
    assert len(puts) == FILES + 1
    assert "manifest.json" in puts[-1]
    elsewhere()
    folder = restored(root, record).folder
    assert (folder / "part3" / "weights").read_bytes() == b"\x04" * 10_000
    assert s3.times("GET", "weights") == FILES


def test_a_removed_checkpoint_loses_its_manifest_first_and_is_gone_everywhere(
    root: Remote, s3: Bucket
) -> None:
    old, new = write(root), write(root, resource=16, token=8)
    s3.reset()
    checkpoints = Checkpoints(root, "digits", "u1")
    checkpoints.remove(old["path"])
    looked = [path for method, path in s3.calls if method in ("HEAD", "POST")]
    assert [path.rpartition("/")[2] for path in looked] == ["manifest.json", *["runs?delete"] * 2]
    assert root.names(old["path"]) == []
    assert restored(root, old, new).resource == 16
    assert restored(root, old).folder is None
    checkpoints.remove(old["path"])  # again, by the next leader
    with pytest.raises(CheckpointCorrupt, match="not a checkpoint of its experiment"):
        checkpoints.remove("other/checkpoints/u1/17/x")


def test_a_trial_that_goes_on_where_it_was_downloads_nothing(root: Remote, s3: Bucket) -> None:
    record = write(root)
    s3.reset()
    assert restored(root, record).resource == 4
    assert s3.calls == []


def test_a_copy_in_the_cache_that_was_written_to_is_fetched_again(root: Remote, s3: Bucket) -> None:
    record = write(root)
    (root.local / record["path"] / "part0" / "weights").write_text("scribbled")
    assert restored(root, record).dropped == []
    assert s3.times("GET", "weights") == FILES


@pytest.mark.parametrize(
    "fault",
    ["503", "cut", pytest.param("silent", marks=pytest.mark.slow)],  # 15 s of silence
)
def test_an_upload_that_fails_twice_is_repeated(
    root: Remote, s3: Bucket, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [fault] * (1 if fault == "silent" else 3)
    s3.fault = lambda method, path: left.pop() if method == "PUT" and left else ""
    record = write(Remote(str(root), patience=60.0))
    assert not left
    s3.reset()
    elsewhere()
    assert restored(root, record).resource == 4


@pytest.mark.parametrize("fault", ["503", "half"])
def test_a_download_that_fails_is_repeated(root: Remote, s3: Bucket, fault: str) -> None:
    record = write(root)
    elsewhere()
    left = [fault] * 3
    s3.fault = lambda method, path: left.pop() if "weights" in path and left else ""
    assert restored(root, record).dropped == []
    assert not left


def test_a_store_that_stays_away_ends_the_save_as_a_full_disk_does(
    root: Remote, s3: Bucket
) -> None:
    s3.fault = lambda method, path: "503" if method == "PUT" else ""
    with pytest.raises(CheckpointUnwritable, match=f"no checkpoint can be written: {root}"):
        write(Remote(str(root), patience=0.5))
    assert not list(root.local.rglob("weights"))


def test_what_is_missing_or_damaged_falls_back_to_the_one_before(root: Remote) -> None:
    older, newer = write(root, 2), write(root, 4)
    root.write(f"{newer['path']}/part1/weights", b"x" * 10_000)
    elsewhere()
    found = restored(root, older, newer)
    assert (found.resource, found.dropped) == (2, [newer["path"]])
    root.remove(older["path"])
    elsewhere()
    with pytest.raises(CheckpointCorrupt, match="manifest.json is missing"):
        Checkpoints(root, "digits", "u1").verify(older)


def test_files_without_a_manifest_are_removed_by_the_next_holder(root: Remote) -> None:
    record = write(root, token=5)
    parent = record["path"].rpartition("/")[0]
    for token in (6, 9):
        root.write(f"{parent}/{token}-01234567-4/model", b"half")
    Checkpoints(root, "digits", "u1").remove_unfinished(17, token=8)
    assert root.names(parent) == ["5-01234567-4", "9-01234567-4"]


def test_a_wrong_bucket_is_told_from_a_lost_checkpoint(root: Remote) -> None:
    record = write(root)
    wrong = Remote("s3://rums/here", patience=1.0)
    with pytest.raises(CheckpointUnreachable, match="there is no bucket 'rums'"):
        restored(wrong, record)
    with pytest.raises(StorageError, match="s3://rums: there is no bucket 'rums'. Correct the URL"):
        required("s3://rums/here")
    with pytest.raises(CheckpointUnreachable, match="s3://runs/empty/digits does not exist"):
        restored(Remote("s3://runs/empty", patience=1.0), record)


def test_no_credential_is_told(root: Remote, monkeypatch: pytest.MonkeyPatch, s3: Bucket) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"value-of-{name}")
    s3.fault = lambda method, path: "503"
    with pytest.raises(OSError, match="s3") as raised:
        Remote(str(root), patience=0.1).names()
    assert "value-of" not in str(raised.value)


def test_the_cache_keeps_within_its_limit_and_spares_what_is_in_use(root: Remote) -> None:
    records = [write(root, resource) for resource in (1, 2, 3)]
    for age, record in enumerate(records):
        os.utime(root.local / record["path"], (age, age))
    user = Checkpoints(root, "digits", "u1")
    used = user.verify(records[0])
    os.utime(used, (0, 0))
    Cache(cache_folder(), limit=FILES * 10_000 + 5_000).make_room()
    assert list(cache_folder().glob(CHECKPOINTS)) == [used]
    user.release()
    Cache(cache_folder(), limit=1).make_room()
    assert list(cache_folder().glob(CHECKPOINTS)) == []


def test_a_log_is_read_here_while_it_is_written_and_from_the_bucket_afterwards(
    root: Remote,
) -> None:
    logs = Logs(root.below("digits"))
    path = logs.path(3, 1, 2)
    assert "is stored when the attempt has ended" in logs.tail(3, 1, 2).why
    path.parent.mkdir(parents=True)
    path.write_text("hello\n")
    assert logs.tail(3, 1, 2).text == "hello\n"
    root.put(path.relative_to(root.local).as_posix())
    elsewhere()
    assert logs.tail(3, 1, 2).text == "hello\n"


def test_nodes_find_each_other_s_probes_in_a_bucket(root: Remote) -> None:
    first, second = look(str(root), "a"), look(str(root), "b")
    assert (first["error"], second["error"]) == ("", "")
    assert first["id"] in second["seen"]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://me:hush@runs/x", "may hold no credentials"),
        ("s3://runs/x?secret=hush", "may hold no credentials"),
        ("memory://runs", "is seen by one process alone"),
        ("ftp://host/runs", "ftp:// is not supported"),
        ("gs://runs/x", "pip install 'asha-queue\\[gcs\\]'"),
        ("az://runs/x", "pip install 'asha-queue\\[azure\\]'"),
        ("s3://", "must be s3://BUCKET"),
    ],
)
def test_a_url_that_is_no_storage_is_refused_in_a_sentence(url: str, message: str) -> None:
    with pytest.raises(StorageError, match=message) as raised:
        opened(url)
    assert "hush" not in str(raised.value)
