"""A working directory in which `asha-queue` is called as a user calls it."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

from asha_queue.store.journal import load
from tests.chaos import processes

PROGRAM = """
import os, time
from asha_queue import Experiment, Trial, uniform

def train(trial: Trial) -> None:
    for step in trial.steps():
        time.sleep(float(os.environ.get("STEP", "0.002")))
        trial.report(loss=trial.config["x"] + 1 / step)
        with trial.save() as folder:
            (folder / "step").write_text(str(step))

experiment = Experiment(
    name="quick", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=9, grace_period=1, reduction_factor=3, num_samples=12, seed=1,
)
"""


class Directory:
    """A working directory in which `asha-queue` is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = uuid.uuid4().hex
        unset = ("ASHA_QUEUE_BROKER", "CELERY_BROKER_URL", "ASHA_QUEUE_STORAGE")
        self.environment = {k: v for k, v in os.environ.items() if k not in unset}
        self.environment[processes.MARK] = self.mark
        self._started: list[subprocess.Popen[str]] = []
        self.write("exp.py", PROGRAM)

    def write(self, name: str, text: str) -> None:
        (self.path / name).write_text(text)

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "asha_queue", *arguments],
            cwd=self.path,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def serve(self, *arguments: str) -> None:
        """Starts what runs until `end`; what it says goes to a file."""
        with (self.path / f"{arguments[0]}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "asha_queue", *arguments],
                cwd=self.path,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
            )
        self._started.append(process)

    def end(self) -> None:
        """Ends what still runs."""
        for found in processes.of_run(self.mark, self.path).values():
            for process in found:
                process.kill()
        for started in self._started:
            with started:
                started.kill()

    def call(self, *arguments: str, expect: int = 0, seconds: float = 120.0) -> str:
        """Standard output of a call, or its standard error when it is expected to fail."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=seconds)
        assert process.returncode == expect, f"exit {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err
        return out if expect == 0 else err

    def journal(self, name: str = "quick") -> list[dict]:
        path = self.path / "asha-runs" / name / "journal.jsonl"
        return [load(line) for line in path.read_text().splitlines()]

    def nothing_left(self) -> bool:
        return not processes.of_run(self.mark, self.path)
