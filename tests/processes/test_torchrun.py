"""Programs with a process on each device of their worker, as torchrun starts them."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from asha_queue.experiment import Experiment
from asha_queue.training.hearers import tell
from tests.conftest import wait_until
from tests.processes.lab import Lab
from tests.processes.pieces import WORKERS

#: Starts two processes as torchrun does, and says `told` when it gets SIGTERM itself.
STARTER = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
for rank in "01":
    ours = os.environ | {"TORCHELASTIC_RUN_ID": "x", "RANK": rank}
    command = [sys.executable, "-c", sys.argv[1]]
    started = subprocess.Popen(command, env=ours, start_new_session=True)
print(started.wait(), flush=True)
"""
RANK = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))
loader = subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL)
open("rank" + os.environ["RANK"], "w").write(str(loader.pid))
time.sleep(30)
"""


def test_a_drain_is_told_to_what_torchrun_has_started_and_not_to_torchrun(tmp_path: Path) -> None:
    command = [sys.executable, "-c", STARTER, RANK]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as starter:
        ranks = [tmp_path / f"rank{number}" for number in range(2)]
        wait_until(lambda: all(r.exists() and r.read_text() for r in ranks), "both have begun")
        loaders = [psutil.Process(int(rank.read_text())) for rank in ranks]
        try:
            assert tell(starter.pid) is False
            out, _ = starter.communicate(timeout=20)
            assert out == "5\n"
            assert all(loader.status() == psutil.STATUS_SLEEPING for loader in loaders)
        finally:
            for loader in loaders:
                loader.kill()


# -- the real one --------------------------------------------------------------------------------

READ = tomllib.loads((WORKERS / "torchrun.toml").read_text())
CONFIG = {"lr": 0.1, "batch": 64}
NAMES = ["gpu0-1@twice", "gpu2-3@twice"]


@pytest.fixture(scope="module")
def pairs(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two workers with two GPUs each. There are none: without a driver the launcher believes what
    CUDA_VISIBLE_DEVICES says, and the processes train on the CPU."""
    if find_spec("torch") is None:
        pytest.skip("torch is not installed; `make .venv/.for-torch` does it")
    with Lab(valkey, tmp_path_factory.mktemp("pairs")) as lab:
        shutil.copy(WORKERS / "torchrun_digits.py", lab.folder)
        launcher = lab.start(
            *("asha_queue", "worker", "--gpus-per-worker", "2", "--commands"),
            CUDA_VISIBLE_DEVICES="0,1,2,3",
            ASHA_QUEUE_HOST="twice",
            OMP_NUM_THREADS="1",
        )
        wait_until(lambda: lab.workers() == NAMES, f"they beat; {lab.log} says why not", 60)
        yield lab
        launcher.terminate()
        launcher.wait(timeout=60)


def submit(lab: Lab, target: int, trials: int = 1, command: str = READ["command"]) -> str:
    fields: dict[str, Any] = {"pattern": None, "files": {}, "retries": 0, "metric": "accuracy"}
    return lab.submit("", [CONFIG] * trials, target, command=command, train=None, **fields)


def log(lab: Lab, uid: str, attempt: int = 1) -> str:
    path = lab.storage / f"test-{uid}" / "logs" / "trial-00000" / f"rung0-attempt{attempt}.log"
    return path.read_text() if path.exists() else ""


def ranks(lab: Lab) -> list[psutil.Process]:
    return [process for process in lab.processes() if "TORCHELASTIC_RUN_ID" in environ(process)]


def environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}


@pytest.mark.slow
def test_two_trials_of_a_node_train_at_once_in_two_processes_each(pairs: Lab) -> None:
    assert Experiment.from_toml(str(WORKERS / "torchrun.toml")).name == "torchrun"
    uid = submit(pairs, 3, trials=2)
    seen: set[str] = set()

    def both() -> bool:
        ports = {environ(p)["MASTER_PORT"] for p in ranks(pairs)}
        seen.update(ports)
        return len(ports) == 2 and len(ranks(pairs)) == 4

    wait_until(both, "four processes that meet at two ports", 60)
    one, other = pairs.wait_for(uid, "completed", 2, seconds=60)
    assert {one["worker"], other["worker"]} == {*NAMES}
    # the same data in the same order, whoever trains it
    assert one["curve"] == other["curve"]
    assert len(one["curve"]) == 3
    assert (pairs.storage / one["checkpoint"]["path"] / "state.pt").exists()
    assert pairs.entries(uid, "lost") == []


@pytest.mark.slow
def test_one_that_fails_is_named_and_the_processes_of_a_cancelled_trial_are_ended(
    pairs: Lab,
) -> None:
    text = (pairs.folder / "torchrun_digits.py").read_text()
    bad = text.replace("sampler.set_epoch(epoch)", "first or int('bad luck')")
    assert bad != text
    (pairs.folder / "bad.py").write_text(bad)
    failing = submit(pairs, 3, command=READ["command"].replace("torchrun_digits.py", "bad.py"))
    endless = submit(pairs, 10**6)
    [failed] = pairs.wait_for(failing, "failed", seconds=60)
    assert (
        "ended with exit code 1: ValueError: invalid literal for int() with base"
        in (failed["error"].partition("\n")[0])
    )
    assert "rank      : 1 (local_rank: 1)" in log(pairs, failing)
    wait_until(lambda: '"step"' in log(pairs, endless), "the other one trains", 60)
    assert len(ranks(pairs)) == 2
    pairs.store.cancel(endless, "request", "test", "")
    wait_until(lambda: ranks(pairs) == [], "its processes are gone", 20)


@pytest.mark.slow
def test_a_drain_has_all_processes_end_in_one_epoch_and_the_trial_goes_on_from_it(
    pairs: Lab,
) -> None:
    uid = submit(pairs, 10**6)
    wait_until(lambda: '"step"' in log(pairs, uid), "it trains", 60)
    [started] = pairs.entries(uid, "started")
    pairs.call("asha_queue", "drain", started["worker"])
    [suspended] = pairs.wait_for(uid, "suspended", seconds=60)
    assert suspended["reached"] > 0
    assert (pairs.storage / suspended["checkpoint"]["path"] / "state.pt").exists()
    # it is back at once, on the other worker, and begins to report after what was reached
    pairs.wait_for(uid, "started", 2, seconds=60)
    wait_until(lambda: '"step"' in log(pairs, uid, attempt=2), "it goes on", 60)
    assert log(pairs, uid, 2).partition('"step": ')[2].startswith(f"{suspended['reached'] + 1},")
    os.kill(ranks(pairs)[0].pid, signal.SIGKILL)
    [failed] = pairs.wait_for(uid, "failed", seconds=60)
    # or what the other one says of the connection, if torchrun saw that first
    assert failed["error"].startswith("the command ended with exit code 1: ")
    assert "Signal 9 (SIGKILL) received by PID" in log(pairs, uid, 2)
    wait_until(lambda: ranks(pairs) == [], "the other process is gone, too", 20)
