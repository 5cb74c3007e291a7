"""Commands on an experiment whose storage is a bucket, on a real S3 server and a real broker."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from asha_queue.checkpoints import Checkpoints, probe
from asha_queue.cli import root as command
from asha_queue.coordinator.exports import Exports
from asha_queue.errors import JournalError, StorageError
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.storage import Remote
from asha_queue.storage.cache import cache_folder
from asha_queue.store import connect
from asha_queue.store.contract import Outcome, ScheduledSegment, Store
from asha_queue.training.output import log_file, redirected, send_logs
from tests.buckets import Bucket

pytest.importorskip("s3fs")
#: What everybody says of a bucket that there is not, and then what to do.
WRONG = (
    "storage s3://rums/here cannot be used from here: s3://rums: there is no bucket 'rums'. "
    "Correct the URL, create the bucket, or give this machine credentials"
)


@pytest.fixture
def store(broker: str) -> Iterator[Store]:
    store = connect(broker)
    yield store
    store.close()


@pytest.fixture
def experiment(store: Store, root: Remote) -> dict[str, Any]:
    """An experiment of one trial that was trained, saved, printed something and was exported."""
    specification = Specification(
        name="sums",
        train="sums.py:train",
        space={"x": uniform(0.0, 1.0)},
        metric="loss",
        mode="min",
        max_t=9,
        num_samples=1,
        seed=5,
        storage=str(root),
    )
    uid = store.submit(uuid.uuid4().hex, "sums", specification.to_json())
    segment = ScheduledSegment(0, 0, 0, 1, {"x": 0.5})
    assert store.schedule(uid, store.describe(uid).last, "r0", [segment]) == "ok"
    store.attend("head:1", {})
    store.lead(uid, "head:1", 1)
    token = store.claim(uid, 0, 0, 1, "c0123456", "w@a").token
    store.start(uid, 0, token, 0)
    checkpoints = Checkpoints(root, "sums", uid)
    with redirected(log_file(root.local / "sums", 0, 0, 1), mirrored=True):
        with checkpoints.writer(0, token, "c0123456", 1, {"loss": 0.5}) as draft:
            (draft.folder / "weights").write_bytes(b"w" * 1000)
        os.write(1, b"hello from the trial\n")
    send_logs(root)
    checkpoints.release()
    store.complete(uid, 0, token, Outcome({"loss": 0.5}, 1, draft.record, 1.0, []))
    exports = Exports(store, uid, specification, root.below("sums"))
    while exports.follow(1):
        pass
    exports.write()
    exports.close()
    return {"uid": uid, "record": draft.record}


def call(broker: str, *arguments: str) -> Result:
    return CliRunner().invoke(command, [*arguments, "--broker", broker])


def elsewhere() -> None:
    """From here on this is another machine: its cache is empty."""
    shutil.rmtree(cache_folder())


def test_the_best_model_is_taken_out_on_any_machine(
    experiment: dict[str, Any], broker: str, tmp_path: Path
) -> None:
    elsewhere()
    said = call(broker, "best", "sums", str(tmp_path / "model"))
    assert said.exit_code == 0, said.output
    assert (tmp_path / "model/checkpoint/weights").read_bytes() == b"w" * 1000
    assert json.loads((tmp_path / "model/trial.json").read_text())["config"] == {"x": 0.5}
    again = call(broker, "best", "sums", str(tmp_path / "other"), "--storage", "s3://rums/here")
    assert "s3://rums" in str(again.exception)
    assert not (tmp_path / "other").exists()


def test_the_log_of_an_ended_attempt_is_read_on_any_machine(
    experiment: dict[str, Any], root: Remote, broker: str
) -> None:
    elsewhere()
    done = call(broker, "logs", "sums", "0")
    assert (done.exit_code, "hello from the trial" in done.output) == (0, True), done.output
    [attempt] = json.loads(call(broker, "logs", "sums", "0", "--json").output)
    assert attempt["log"] == root.at("sums/logs/trial-00000/rung0-attempt1.log")


def test_delete_removes_everything_below_the_experiment_and_nothing_beside_it(
    experiment: dict[str, Any], root: Remote, broker: str, store: Store
) -> None:
    root.write("sums2/journal.jsonl", b"another's")
    assert {"checkpoints", "journal.jsonl", "logs"} <= set(root.names("sums"))
    done = call(broker, "delete", "sums", "--yes")
    assert done.output.strip() == f"deleted sums and {root}/sums"
    assert root.names() == ["sums2"]
    assert not (root.local / "sums").exists()
    assert store.uid("sums") is None


def test_delete_with_a_wrong_bucket_says_so_and_deletes_nothing(
    experiment: dict[str, Any], root: Remote, broker: str, store: Store
) -> None:
    done = call(broker, "delete", "sums", "--yes", "--storage", "s3://rums/here")
    assert isinstance(done.exception, StorageError)
    assert str(done.exception).startswith(WRONG)
    assert store.uid("sums") == experiment["uid"]
    assert root.exists(f"{experiment['record']['path']}/manifest.json")


def test_restore_reads_the_journal_from_its_url(
    experiment: dict[str, Any], root: Remote, broker: str, store: Store
) -> None:
    store.delete(experiment["uid"])
    elsewhere()
    done = call(broker, "restore", root.at("sums/journal.jsonl"))
    assert "restored sums (open): 1 trials, 1 results" in done.output
    assert store.uid("sums") == experiment["uid"]


def test_restore_says_which_url_has_no_journal(root: Remote, broker: str) -> None:
    done = call(broker, "restore", root.at("none/journal.jsonl"))
    assert isinstance(done.exception, JournalError)
    assert f"no such file: {root}/none/journal.jsonl" in str(done.exception)


def test_the_doctor_finds_the_nodes_of_a_bucket_and_the_one_that_cannot_use_it(
    root: Remote, broker: str, store: Store, s3: Bucket
) -> None:
    def storage(**where: str) -> list[dict[str, str]]:
        for host, url in where.items():
            look = probe.look(url, host)
            about = {"host": host, "version": "1", "queues": ["asha"], "storage": look}
            store.beat(f"cpu0@{host}", about)
        findings = json.loads(call(broker, "doctor", "--json").output)["findings"]
        return [one for one in findings if one["what"] == "storage"]

    shared, here = storage(a=str(root), b=str(root), c=str(root))
    assert (shared["state"], here["state"]) == ("ok", "ok")
    assert shared["says"] == f"{root}: shared by all 3 nodes"
    assert here["says"] == f"seen from this machine too: {root}"
    wrong, *_ = storage(c="s3://rums/here")
    assert wrong["state"] == "error"
    assert wrong["says"].startswith(f"c: {WRONG}")
