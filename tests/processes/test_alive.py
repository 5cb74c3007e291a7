"""The file by which a probe tells whether workers and coordinators do their work."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.alive import Alive
from asha_queue.errors import AshaQueueError
from tests.conftest import wait_until
from tests.processes.lab import Lab
from tests.processes.servers import Valkey

#: Seconds after which a file is old: it is touched every two seconds at most.
OLD = 4.0


def old(path: Path) -> bool:
    return path.exists() and time.time() - path.stat().st_mtime > OLD


@pytest.fixture
def own(server: Valkey, tmp_path: Path) -> Iterator[Lab]:
    """A lab whose server can be killed."""
    (tmp_path / "lab").mkdir()
    with Lab(server.url, tmp_path / "lab") as lab:
        yield lab


def test_what_an_earlier_process_left_says_nothing(tmp_path: Path) -> None:
    path = tmp_path / "alive"
    path.touch()
    alive = Alive(path)
    assert not path.exists()
    alive.beat()
    assert path.exists()


def test_a_disk_that_is_gone_later_stops_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    alive = Alive(folder / "alive")
    folder.rmdir()
    alive.beat()
    assert not folder.exists()


def test_a_file_that_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(
        AshaQueueError, match="--alive .*/none/alive: it cannot be written .No such"
    ):
        Alive(tmp_path / "none" / "alive")


@pytest.mark.parametrize("verb", ["coordinator", "worker"])
def test_a_command_that_cannot_write_it_says_so_in_one_line(
    broker: str, tmp_path: Path, verb: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "asha_queue", verb, "--broker", broker, "--alive", "none/alive"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert "asha-queue: --alive none/alive: it cannot be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_it_is_young_while_the_server_answers_and_old_while_it_does_not(
    own: Lab, server: Valkey
) -> None:
    coordinator, worker = own.folder / "coordinator", own.folder / "worker"
    own.start("asha_queue", "coordinator", "--alive", str(coordinator))
    own.start("asha_queue", "worker", "--cpus", "1", "--alive", str(worker))
    wait_until(coordinator.exists, "the coordinator is well")
    wait_until(worker.exists, f"the worker is well; {own.log} says why not")
    assert len(own.workers()) == 1, "it was well before the store had heard of its worker"
    server.kill()
    wait_until(lambda: old(coordinator) and old(worker), "both are not well without the server")
    server.start()
    wait_until(lambda: not old(coordinator) and not old(worker), "both are well again")
