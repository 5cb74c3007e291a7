"""A program that keeps a ledger of every step it trains, outside the store."""

import json
import os
import time

from asha_queue import Experiment, Trial, uniform

#: Seconds per step: longer than an append to the ledger, shorter than a kill's interval.
STEP = 0.1


def train(trial: Trial) -> None:
    steps: list[int] = []
    if trial.checkpoint:
        steps = json.loads((trial.checkpoint / "steps.json").read_text())
    assert steps == list(range(1, trial.start + 1)), "the checkpoint is not of this trial's start"
    for step in trial.steps():
        time.sleep(STEP)
        steps.append(step)
        line = {"trial": trial.number, "step": step, "pid": os.getpid(), "at": time.time()}
        with open(os.environ["LEDGER"], "a", buffering=1) as ledger:
            ledger.write(json.dumps(line) + "\n")
        trial.report(score=trial.config["x"] * step)
        if step % 4 == 0 or step == trial.target:
            with trial.save() as folder:
                (folder / "steps.json").write_text(json.dumps(steps))


experiment = Experiment(
    name="ledger",
    train=train,
    space={"x": uniform(0.0, 1.0)},
    metric="score",
    mode="max",
    max_t=27,
    grace_period=1,
    reduction_factor=3,
    num_samples=60,
    seed=3,
)
