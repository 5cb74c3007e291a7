"""An experiment of three trials, of which the middle one is bad."""

from collections.abc import Sequence
from typing import Any

from tests.conftest import wait_until
from tests.processes.lab import Lab

GOOD = """
def good(trial):
    for step in trial.steps():
        trial.report(score=step)
        if "short" in trial.config:
            break
    with trial.save():
        pass
"""


def submit(lab: Lab, bad: str, **fields: Any) -> str:
    """An experiment whose trial 1 runs `bad`, the body of a function of `trial` and its `folder`,
    and whose trials 0 and 2 are good."""
    lines = "\n".join(f"    {line}" for line in bad.strip("\n").splitlines())
    program = f"""
import contextlib, ctypes, logging, math, os, pathlib
import shutil, signal, socket, subprocess, sys, threading, time
{GOOD}
def bad(trial, folder):
{lines}

def train(trial):
    if trial.number == 1:
        return bad(trial, pathlib.Path(trial.config["folder"]))
    good(trial)
"""
    given: dict[str, Any] = {"configs": [{}, {}, {}], "retries": 0} | fields
    return lab.submit(program, **given)


def others_complete(lab: Lab, uid: str, others: Sequence[int] = (0, 2)) -> None:
    """The good trials complete, whatever the bad one does."""

    def completed() -> set[int]:
        lab.publish(uid)
        return {entry["trial"] for entry in lab.entries(uid, "completed")}

    wait_until(lambda: completed() >= set(others), f"the others complete; see {lab.log}")


def log_of(lab: Lab, uid: str, trial: int = 1, attempt: int = 1) -> str:
    folder = lab.storage / f"test-{uid}" / "logs" / f"trial-{trial:05d}"
    return (folder / f"rung0-attempt{attempt}.log").read_text(errors="replace")
