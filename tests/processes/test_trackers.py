"""Trackers of real runs: what they have at the end, whatever was done to them or to the run."""

import json
import os
import signal
from collections import Counter, defaultdict

import pytest

from tests.conftest import wait_until
from tests.processes.directory import PROGRAM, Directory
from tests.pure.test_trackers import OWN, scalars

BAD = """
class Bad:
    def __init__(self, experiment): pass
    def start(self, trial, config): raise RuntimeError("out of order")
    def report(self, trial, step, metrics): raise RuntimeError("out of order")
    def end(self, trial, state): raise RuntimeError("out of order")
"""


def tracked(directory: Directory, *trackers: str) -> None:
    """Makes the experiment one with these trackers."""
    directory.write("mine.py", OWN + BAD)
    directory.write("exp.py", PROGRAM.replace("seed=1,", f"seed=1, trackers={list(trackers)},"))


def points(journal: list[dict]) -> dict[int, list[int]]:
    """The steps of each trial's curve, as the journal has them."""
    found: dict[int, set[int]] = defaultdict(set)
    for entry in journal:
        found[entry.get("trial", -1)].update(step for step, _ in entry.get("curve") or [])
    return {trial: sorted(steps) for trial, steps in found.items() if steps}


def in_tensorboard(directory: Directory) -> dict[int, list[int]]:
    [root] = (directory.path / "asha-runs/quick/tensorboard").iterdir()
    found = {
        int(folder.name): [step for step, _, _ in scalars(folder)] for folder in root.iterdir()
    }
    return {trial: steps for trial, steps in found.items() if steps}


def test_a_run_is_in_tensorboard_and_a_tracker_that_always_fails_changes_nothing(
    directory: Directory,
) -> None:
    tracked(directory, "tensorboard", "mine.py:Bad")
    out = directory.call("run", "exp.py", "--workers", "2")
    journal = directory.journal()
    best = json.loads((directory.path / "asha-runs/quick/best.json").read_text())
    assert (journal[-1]["type"], best["resource"]) == ("finished", 9)
    assert not [e for e in journal if e["type"] in ("failed", "lost")]
    assert in_tensorboard(directory) == points(journal)
    assert out.count("tracker mine.py:Bad takes not everything (RuntimeError: out of order)") == 1
    wait_until(directory.nothing_left, "every process of the run has ended")


@pytest.mark.slow
def test_a_run_killed_half_way_tells_each_point_once(directory: Directory) -> None:
    tracked(directory, "tensorboard", "mine.py:Mine")
    run = directory.start("run", "exp.py", "--workers", "2", STEP="0.1")
    told = directory.path / "told.txt"
    wait_until(lambda: told.exists() and "report" in told.read_text(), "a point was told", 60)
    os.kill(run.pid, signal.SIGKILL)
    wait_until(directory.nothing_left, "every process of the killed run has ended")
    directory.call("run", "exp.py", "--workers", "2")
    expected = points(directory.journal())
    assert in_tensorboard(directory) == expected
    lines = [line.split() for line in told.read_text().splitlines()]
    reported = Counter((int(line[1]), int(line[2])) for line in lines if line[0] == "report")
    assert reported == Counter((trial, step) for trial in expected for step in expected[trial])
    ends = Counter(line[1] for line in lines if line[0] == "end")
    assert ends == Counter(map(str, expected))


def test_an_unknown_tracker_and_a_class_that_is_not_there_end_a_run_in_one_line(
    directory: Directory,
) -> None:
    tracked(directory, "tensorbord")
    said = directory.call("run", "exp.py", "--workers", "1", expect=2)
    assert "tracker unknown" in said
    assert "did you mean 'tensorboard'?" in said
    tracked(directory, "mine.py:Missing")
    said = directory.call("run", "exp.py", "--workers", "1", expect=2)
    assert "has no function Missing" in said
    assert not (directory.path / "asha-runs/quick").exists()
