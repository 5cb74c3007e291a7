"""Workers that cannot write stand aside until they can: no trial fails for it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from asha_queue.store import keys
from tests.conftest import wait_until
from tests.processes.lab import Lab


def worker(lab: Lab, name: str, **environment: str) -> None:
    command = ["celery", "-A", "asha_queue", "worker", "-n", name, "-l", "INFO"]
    lab.start(*command, **environment)
    wait_until(lambda: name in lab.workers(), f"{name} beats; {lab.log} says why not")


def aside(lab: Lab) -> dict[str, str]:
    return {worker.name: worker.aside for worker in lab.store.workers() if worker.aside}


@pytest.fixture
def small_disk(lab: Lab) -> Iterator[Path]:
    """The lab's storage on a file system of one megabyte."""
    lab.storage.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(lab.storage)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here: it takes root")
    yield lab.storage
    for process in lab.processes():
        process.kill()
    wait_until(lambda: not lab.processes(), "no process has files there")
    subprocess.run(["umount", "--lazy", str(lab.storage)], check=True)


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
