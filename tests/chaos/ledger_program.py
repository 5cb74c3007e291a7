"""A program that keeps a ledger of every step it trains, outside the store.

Each step moves a number on that depends on all steps before it and on the configuration. It is
saved, restored and reported, so that whoever knows the configuration can tell what the number must
be at any step: a wrong, torn or doubled checkpoint would show. Times are of the clock that no
process can have another opinion of.
"""

import json
import os
import time
from typing import Any

from asha_queue import Experiment, Trial, uniform
from asha_queue.errors import TrialStopped


def advance(number: int, step: int, x: float) -> int:
    """The number after one more step."""
    return (number * 31 + step + round(x * 1e6)) % 1_000_003


def replayed(steps: int, x: float) -> int:
    """The number after so many steps."""
    number = 0
    for step in range(1, steps + 1):
        number = advance(number, step, x)
    return number


def train(trial: Trial) -> None:
    x, every = trial.config["x"], trial.config["every"]
    number = 0
    if trial.checkpoint:
        saved = json.loads((trial.checkpoint / "saved.json").read_text())
        assert saved["step"] == trial.start, "the checkpoint is not of this trial's start"
        number = saved["number"]
    assert number == replayed(trial.start, x), "the checkpoint is not of this trial's steps"
    for step in trial.steps():
        begun = time.monotonic()
        time.sleep(trial.config["seconds"])
        number = advance(number, step, x)
        note(trial, "step", step=step, begun=begun)
        trial.report(score=x * step, number=number)
        if step % every == 0 or step == trial.target:
            try:
                with trial.save() as folder:
                    text = json.dumps({"step": step, "number": number})
                    (folder / "saved.json").write_text(text)
            except TrialStopped:
                note(trial, "refused", step=step)
                raise


def note(trial: Trial, what: str, **facts: Any) -> None:
    """Appends a line to the ledger."""
    line = {
        "what": what,
        "experiment": trial.experiment,
        "trial": trial.number,
        "rung": trial.rung,
        "attempt": trial.attempt,
        "pid": os.getpid(),
        "at": time.monotonic(),
        **facts,
    }
    with open(os.environ["LEDGER"], "a") as ledger:
        ledger.write(json.dumps(line) + "\n")


def fields(**changed: Any) -> dict[str, Any]:
    """The fields of an experiment with this program; `seconds` per step, saved `every` so many."""
    space = {"x": uniform(0.0, 1.0), "seconds": changed.pop("seconds", 0.1)}
    space["every"] = changed.pop("every", 4)
    return {
        "name": "ledger",
        "train": train,
        "space": space,
        "metric": "score",
        "mode": "max",
        "max_t": 27,
        "grace_period": 1,
        "reduction_factor": 3,
        "num_samples": 60,
        "sampler": "random",  # coordinators are killed faster than they import a model
        "seed": 3,
        **changed,
    }


experiment = Experiment(**fields())
