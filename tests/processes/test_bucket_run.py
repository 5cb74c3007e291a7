"""A run whose storage is a bucket: nothing is lost when a worker is killed, and it finds what a
run in a folder finds."""

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import psutil
import pytest

from asha_queue.search.rules import check
from asha_queue.storage import Remote
from asha_queue.store import connect
from asha_queue.store.journal import load_file
from asha_queue.where import ADDRESS_FILE
from tests.buckets import CREDENTIALS, Bucket, bucket
from tests.chaos import processes
from tests.conftest import wait_until
from tests.processes.directory import PROGRAM, Directory
from tests.processes.lab import Lab

pytest.importorskip("s3fs")
pytestmark = pytest.mark.slow

#: Each trial is the same one whoever trains it, and when.
ALIKE = PROGRAM.replace("seed=1", 'seed=1, sampler="random"').replace(
    "-> None:\n", "-> None:\n    print('hello')\n"
)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("ASHA_QUEUE_CACHE", str(tmp_path / "cache"))
    with bucket(tmp_path) as made:
        yield made


@pytest.fixture
def directory(s3: Bucket, tmp_path: Path) -> Iterator[Directory]:
    path = tmp_path / "work"
    path.mkdir()
    made = Directory(path)
    made.write("exp.py", ALIKE)
    yield made
    made.end()


def results(journal: list[dict[str, Any]]) -> dict[tuple[int, int], Any]:
    """What each trial reached at each rung."""
    completed = [entry for entry in journal if entry["type"] == "completed"]
    assert len({(e["trial"], e["rung"]) for e in completed}) == len(completed)
    return {(entry["trial"], entry["rung"]): entry["metrics"] for entry in completed}


def test_a_run_in_a_bucket_outlives_a_worker_and_finds_what_a_folder_finds(
    directory: Directory, tmp_path: Path
) -> None:
    root = Remote("s3://runs/here", patience=5.0)
    directory.environment["STEP"] = "0.1"
    run = directory.start("run", "exp.py", "--workers", "2", "--storage", str(root), "--json")

    def trains() -> bool:
        return len(list(root.local.glob("quick/checkpoints/*/*/*/manifest.json"))) > 3

    wait_until(lambda: trains() or run.poll() is not None, "checkpoints are stored", 60)
    workers = processes.of_run(directory.mark, directory.path)["worker"]
    assert len(workers) == 2
    store = connect((directory.path / ADDRESS_FILE).read_text().strip())
    uid = store.names()["quick"]

    def in_training() -> list[psutil.Process]:
        training = {segment.worker.partition("@")[0] for segment in store.running(uid)}
        return [w for w in workers if any(f"{name}@" in " ".join(w.cmdline()) for name in training)]

    wait_until(in_training, "a worker is in the middle of a segment")
    in_training()[0].send_signal(signal.SIGKILL)
    store.close()
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err

    journal, torn = load_file(root.at("quick/journal.jsonl"))
    assert (check(journal), torn) == ([], False)
    assert journal[-1]["type"] == "finished"
    lost = [entry for entry in journal if entry["type"] == "lost"]
    assert lost, "the worker was killed in the middle"
    best = json.loads(root.read("quick/best.json"))
    assert root.exists(f"{best['checkpoint']['path']}/manifest.json")
    shown = directory.call("logs", "quick", "0", "--storage", str(root))
    assert "hello" in shown

    kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    s3fs = fsspec.filesystem("s3", skip_instance_cache=True)
    stored = [s3fs.cat_file(path) for path in s3fs.find("runs")]
    assert len(stored) > len(results(journal))
    for said in (out.encode(), err.encode(), *kept, *stored):
        assert not [secret for secret in CREDENTIALS if secret.encode() in said]

    directory.environment["STEP"] = "0"
    directory.call("run", "exp.py", "--workers", "1", "--fresh")
    here = directory.journal()
    local = json.loads((directory.path / "asha-runs/quick/best.json").read_text())
    assert (local["config"], local["metrics"]) == (best["config"], best["metrics"])
    ours, theirs = results(journal), results(here)
    both = ours.keys() & theirs.keys()
    assert {key: ours[key] for key in both} == {key: theirs[key] for key in both}
    assert {key for key in both if key[1] == 0} == {(trial, 0) for trial in range(12)}


def test_a_wrong_bucket_is_one_message(directory: Directory) -> None:
    said = directory.call("run", "exp.py", "--storage", "s3://rums/here", expect=2)
    assert "storage s3://rums/here cannot be used from here" in said
    assert "there is no bucket 'rums'. Correct the URL, create the bucket, or give" in said


def test_a_checkpoint_that_is_missing_is_named_and_the_one_before_is_gone_on_from(
    broker: str, s3: Bucket, tmp_path: Path
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    with Lab(broker, folder, "s3://runs/here") as lab:
        lab.worker()
        uid = lab.submit(
            """
            import os, shutil

            import fsspec

            def train(trial):
                if trial.attempt == 2:
                    trial.report(3, score=trial.start)
                    return
                for step in (1, 2):
                    trial.report(step, score=step)
                    with trial.save() as folder:
                        (folder / "done").write_text(str(step))
                bucket = fsspec.filesystem("s3", skip_instance_cache=True)
                for path in bucket.find("runs"):
                    if path.endswith("-2/manifest.json"):
                        bucket.rm_file(path)
                shutil.rmtree(os.environ["ASHA_QUEUE_CACHE"])
                raise ValueError("after the loss")
            """
        )
        lab.wait_for(uid, "completed")
        assert [entry["start"] for entry in lab.entries(uid, "started")] == [0, 1]
        [said] = [line for line in lab.log.read_text().splitlines() if "older checkpoint" in line]
        assert f"trial 0 goes on from an older checkpoint, at 1: s3://runs/here/test-{uid}/" in said
        assert "-2/manifest.json is missing. Let nothing else remove or change files" in said
