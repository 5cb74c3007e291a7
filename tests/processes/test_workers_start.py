"""`workers/start`, the script that starts the workers of a machine."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from asha_queue.search.rules import check
from asha_queue.store.journal import load
from tests.conftest import wait_until

ROOT = Path(__file__).parent.parent.parent
START = ROOT / "workers" / "start"
PROGRAM = """
from asha_queue import Experiment, uniform

def train(trial):
    for step in trial.steps():
        trial.report(loss=trial.config["x"] / step)

experiment = Experiment(
    name="small", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=4, grace_period=1, reduction_factor=2, num_samples=4, seed=1,
)
"""


def test_started_workers_train_for_the_broker_until_they_are_told_to_end(
    broker: str, tmp_path: Path
) -> None:
    (tmp_path / "small.py").write_text(PROGRAM)
    environment = os.environ | {"PYTHON": sys.executable}
    run = [sys.executable, "-m", "asha_queue", "run", "small.py", "--broker", broker]
    with (tmp_path / "log").open("wb") as log:
        workers = subprocess.Popen(
            [START, broker, "--cpus", "1"], cwd=tmp_path, env=environment, stdout=log, stderr=log
        )
    try:
        done = subprocess.run(
            run, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "log").read_text()
        lines = (tmp_path / "asha-runs/small/journal.jsonl").read_text().splitlines()
        journal = [load(line) for line in lines]
        assert check(journal) == []
        assert journal[-1]["type"] == "finished"
        assert workers.poll() is None
        workers.send_signal(signal.SIGTERM)
        wait_until(lambda: workers.poll() is not None, "the launcher has ended")
        assert workers.returncode == 0
    finally:
        workers.kill()
        workers.wait()


def test_without_a_broker_it_says_how_it_is_used() -> None:
    bare = subprocess.run([START], capture_output=True, text=True)
    asked = subprocess.run([START, "--help"], capture_output=True, text=True)
    assert (bare.returncode, asked.returncode) == (2, 0)
    assert bare.stdout == asked.stdout
    assert asked.stdout.startswith("usage: workers/start redis://HOST:PORT/DB")
