"""Workers that cannot write stand aside until they can: no trial fails for it."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asha_queue.store import keys
from tests.conftest import wait_until
from tests.processes.directory import Directory
from tests.processes.lab import Lab


def worker(lab: Lab, name: str, **environment: str) -> None:
    command = ["celery", "-A", "asha_queue", "worker", "-n", name, "-l", "INFO"]
    lab.start(*command, **environment)
    wait_until(lambda: name in lab.workers(), f"{name} beats; {lab.log} says why not")


def aside(lab: Lab) -> dict[str, str]:
    return {worker.name: worker.aside for worker in lab.store.workers() if worker.aside}


@contextlib.contextmanager
def mounted(folder: Path, size: str) -> Iterator[None]:
    """A file system of this size on a folder."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: it takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[Path]:
    """The lab's storage on a file system of one megabyte."""
    lab.storage.mkdir()
    with mounted(lab.storage, "1m"):
        yield lab.storage
        for process in lab.processes():
            process.kill()
        wait_until(lambda: not lab.processes(), "no process has files there")


def test_a_full_disk_fails_no_trial_and_training_goes_on_when_there_is_room(
    lab: Lab, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    with ballast.open("wb") as file:
        file.write(os.urandom(2**20 - 2**17))
    worker(lab, "cpu0@full")
    program = """
        import os

        def train(trial):
            for step in trial.steps():
                trial.report(score=step)
                with trial.save() as folder:
                    (folder / "weights").write_bytes(os.urandom(2**17))
    """
    uid = lab.submit(program, target=2)
    [lost] = lab.wait_for(uid, "lost")
    assert "No space left on device" in lost["reason"]
    assert "No space left on device" in aside(lab)["cpu0@full"]
    ballast.unlink()
    [completed] = lab.wait_for(uid, "completed", seconds=40)
    assert completed["reached"] == 2
    assert lab.entries(uid, "failed") == []
    assert not list(small_disk.rglob("*.partial"))


def test_a_run_on_a_full_disk_ends_in_one_message_and_goes_on_when_there_is_room(
    directory: Directory,
) -> None:
    runs = directory.path / "asha-runs"
    runs.mkdir()
    with mounted(runs, "24m"):
        running = directory.start("run", "exp.py", "--workers", "1", STEP="0.2")
        wait_until((runs / "quick" / "journal.jsonl").exists, "it runs")
        ballast = runs / "ballast"
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(2**14))
        _, said = running.communicate(timeout=60)
        assert running.returncode == 2
        assert "Traceback" not in said
        assert said.splitlines()[-1].startswith("asha-queue: the embedded server")
        ballast.unlink()
        assert "best" in directory.call("run", "exp.py", "--workers", "1")
        directory.end()


def test_a_library_that_hides_a_full_disk_behind_its_own_error_is_seen_through(
    lab: Lab, small_disk: Path
) -> None:
    (small_disk / "ballast").write_bytes(os.urandom(2**20 - 2**14))
    worker(lab, "cpu0@full")
    program = """
        def train(trial):
            trial.report(step=1, score=1)
            with trial.save() as folder:
                try:
                    (folder / "weights").write_bytes(bytes(2**17))
                except OSError:
                    pass
                raise RuntimeError("PytorchStreamWriter failed writing file data/0")
    """
    uid = lab.submit(program, target=2)
    [lost] = lab.wait_for(uid, "lost")
    assert "No space left on device" in lost["reason"]


def test_a_worker_that_rests_ends_at_once_when_it_is_told_to(lab: Lab) -> None:
    process = lab.start("celery", "-A", "asha_queue", "worker", "-n", "cpu0@aside", "-l", "INFO")
    wait_until(lambda: "cpu0@aside" in lab.workers(), "it beats")
    lab.store.set_aside("cpu0@aside", "its storage is full")
    with redis.Redis.from_url(lab.broker) as client:
        client.zincrby(keys.ASIDE, 3600e6, "cpu0@aside")  # an hour longer
    uid = lab.submit("def train(trial): return 1.0")
    wait_until(lambda: lab.store.due(uid), "it has asked for the segment", 10)
    process.terminate()
    assert process.wait(timeout=30) == 0
    assert lab.entries(uid, "started") == []
