"""A worker started by hand, with options that cannot work."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes.lab import Lab


@pytest.mark.parametrize("options", [["-P", "solo"], ["-c", "2"], ["--autoscale", "4,1"]])
def test_other_pools_and_more_processes_are_refused_in_one_line(
    lab: Lab, options: list[str]
) -> None:
    worker = lab.start("celery", "-A", "asha_queue", "worker", *options)
    assert worker.wait(timeout=60) == 1
    said = lab.log.read_text()
    assert said.splitlines()[-1].startswith("asha-queue: a worker trains one segment at a time")
    assert "`asha-queue worker" in said
    assert "Traceback" not in said


def test_without_a_broker_the_application_says_so_in_one_line(tmp_path: Path) -> None:
    bare = {name: value for name, value in os.environ.items() if "BROKER" not in name}
    worker = subprocess.run(
        [sys.executable, "-m", "celery", "-A", "asha_queue", "worker"],
        cwd=tmp_path,
        env=bare,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert worker.returncode == 1
    assert worker.stderr.startswith("asha-queue: no broker; set ASHA_QUEUE_BROKER")
    assert len(worker.stderr.splitlines()) == 1
