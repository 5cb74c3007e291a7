"""The scripts of `deploy/slurm`: without Slurm as its jobs would run them, and in a real Slurm."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import answers, wait_until
from tests.processes.deployment import SLURM
from tests.processes.slurm import NEEDED, Site, Slurm

HEAD, WORKERS = SLURM / "head.sbatch", SLURM / "workers.sbatch"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path, pause=0.1) as site:
        yield site


def test_workers_have_more_time_to_end_than_to_drain_and_a_minute_that_slurm_may_be_late() -> None:
    text = WORKERS.read_text()
    [warned] = re.findall(r"^#SBATCH --signal=B:USR1@(\d+)$", text, re.M)
    [drain] = re.findall(r"ASHA_QUEUE_DRAIN:-(\d+)", text)
    assert int(warned) >= int(drain) + 60
    readme = (SLURM / "README.md").read_text()
    assert f"--signal=B:USR1@{warned}" in readme
    assert f"ASHA_QUEUE_DRAIN={drain}" in readme


def test_a_task_saves_and_asks_to_come_back_and_another_ends_when_all_is_done(site: Site) -> None:
    # it stands in for the one of a Slurm that runs the job; the slow test has a real one
    (site.folder / "bin").mkdir()
    scontrol = site.folder / "bin" / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "$@" >> scontrol-called\n')
    scontrol.chmod(0o755)

    head = site.bash(HEAD, "head.log")
    wait_until(lambda: answers(site.broker), "the server answers")
    site.as_client("asha-queue submit slow.py")

    def task(number: int) -> "subprocess.Popen[bytes]":
        variables = {"SLURM_JOB_ID": f"471{number}", "SLURMD_NODENAME": "node0"}
        return site.bash(WORKERS, f"task{number}.log", "--cpus", "1", **variables)

    first, second = task(0), task(1)
    names = ["cpu0@node0-4710", "cpu0@node0-4711"]
    wait_until(lambda: site.workers() == names, "two tasks of one node have joined")
    wait_until(lambda: len(site.journal("started")) >= 2, "both train")
    first.send_signal(signal.SIGUSR1)
    assert first.wait(timeout=30) == 0
    assert (site.folder / "scontrol-called").read_text() == "requeue 4710\n"
    [given_back] = site.journal("suspended")
    assert given_back["checkpoint"]
    assert given_back["worker"] == names[0]

    site.hurry(0.001)
    assert second.wait(timeout=60) == 0
    assert "nothing has run for 4 s: the task ends" in (site.folder / "task1.log").read_text()
    assert (site.folder / "scontrol-called").read_text() == "requeue 4710\n"
    site.nothing_lost()
    head.send_signal(signal.SIGTERM)
    assert head.wait(timeout=30) == 0
    assert site.left() == []


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        pytest.skip(f"{', '.join(missing)} not installed; `make .venv/.for-slurm` does it")
    with Slurm() as slurm:
        yield slurm


@pytest.mark.slow
def test_in_a_real_slurm_tasks_near_their_time_limit_save_and_come_back(
    slurm: Slurm, tmp_path: Path
) -> None:
    with Site(tmp_path, pause=0.5) as site:
        head = slurm.submit(site, HEAD)
        wait_until(lambda: answers(site.broker), "the head's server answers", 60)
        site.as_client("asha-queue submit slow.py")
        # Slurm takes minutes; what is left of one when it warns is enough to save
        limits = ("--array=0-1", "--time=1", "--signal=B:USR1@20", "--cpus-per-task=1")
        array = slurm.submit(site, WORKERS, "--cpus", "1", options=limits)
        tasks = [f"{array}_{number}" for number in range(2)]
        wait_until(lambda: len(site.workers()) == 2, "two tasks have joined", 60)
        names = site.workers()
        assert names == sorted(map(slurm.worker, tasks))
        wait_until(lambda: len(site.journal("suspended")) >= 2, "both have saved", 90)
        slurm.wait_for(tasks, Restarts="1")
        assert {entry["worker"] for entry in site.journal("suspended")} == {*names}
        # another one is cancelled, by a SIGTERM to each of its processes: it saves all the same
        third = slurm.submit(site, WORKERS, "--cpus", "1", options=("--array=2", *limits[2:]))
        slurm.wait_for([third], JobState="RUNNING")
        joined = slurm.worker(third)
        wait_until(lambda: joined in site.training(), "it trains", 60)
        slurm.call("scancel", third)
        wait_until(
            lambda: joined in [entry["worker"] for entry in site.journal("suspended")],
            "what it trained is saved and back",
        )

        # nobody sees the password, in Slurm or in a list of processes
        shown = slurm.call("scontrol", "show", "job") + slurm.call("scontrol", "show", "job", "-d")
        lines = [" ".join(process.cmdline()) for process in site.left()]
        assert lines
        assert not [text for text in (shown, *lines) if site.password in text]

        for task in tasks:  # on a busy machine little is left of a minute behind the start
            slurm.call("scontrol", "update", f"JobId={task}", "TimeLimit=10")
        site.hurry(0.001)
        wait_until(lambda: site.journal()[-1]["type"] == "finished", "it has finished", 90)
        slurm.wait_for([third], JobState="CANCELLED")
        slurm.wait_for(tasks, JobState="COMPLETED")  # by themselves: nothing is left to train
        site.nothing_lost()
        slurm.call("scancel", head)
        wait_until(lambda: not site.left(), "nothing is left", 60)
