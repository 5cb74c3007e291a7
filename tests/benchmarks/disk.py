"""What retention saves of the disk: `make bench-disk`, or `python -m tests.benchmarks.disk`.

A real run: `asha-queue run` with two workers, each trial of which saves a checkpoint in every
segment. How to read it: the most checkpoints that were on the disk at a time, those counted too
whose files wait for their removal, against one for every trial that has been trained, which is what
keeping the last of each takes. The most on the record leaves the ones that wait out: that is what
remains of the disk, too, when a segment takes longer than the wait.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM = """
import time
from asha_queue import Experiment, Trial, uniform

def train(trial: Trial) -> None:
    for step in trial.steps():
        time.sleep(%g)
        trial.report(loss=trial.config["x"] + 1 / step)
    with trial.save() as folder:
        (folder / "weights").write_bytes(bytes(10_000))

experiment = Experiment(
    name="disk", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=64, grace_period=1, reduction_factor=4, num_samples=%d, seed=1, sampler="random",
)
"""


def on_record(journal: Path) -> tuple[int, int, int]:
    """The most checkpoints on the record at a time, those at the end, and trials that have one."""
    most, trials, held = 0, set(), set()
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("checkpoint"):
            held.add(entry["checkpoint"]["path"])
            trials.add(entry["trial"])
            most = max(most, len(held))
        elif entry["type"] == "evicted":
            held.difference_update(entry["checkpoints"])
    return most, len(held), len(trials)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--step", type=float, default=0.05, help="seconds that a step takes")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "disk.py").write_text(PROGRAM % (asked.step, asked.trials))
        command = [sys.executable, "-m", "asha_queue", "run", "disk.py"]
        began, most = time.monotonic(), 0
        with (folder / "log").open("w") as log:
            run = subprocess.Popen(
                [*command, "--workers", str(asked.workers)], cwd=folder, stdout=log, stderr=log
            )
            while run.poll() is None:
                there = len([*folder.glob("asha-runs/disk/checkpoints/*/*/*/manifest.json")])
                most = max(most, there)
                time.sleep(0.5)
        if run.returncode:
            sys.exit((folder / "log").read_text())
        left = len([*folder.glob("asha-runs/disk/checkpoints/*/*/*/manifest.json")])
        recorded, last, trials = on_record(folder / "asha-runs/disk/journal.jsonl")
        print(
            f"{trials:,} trials with checkpoints, {time.monotonic() - began:.0f} s: at most {most} "
            f"on the disk ({trials / most:.1f} × below the last of every trial), {recorded} on the "
            f"record ({trials / recorded:.1f} ×); at the end {left} and {last}"
        )


if __name__ == "__main__":
    main()
