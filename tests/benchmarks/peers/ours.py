"""This project at the work: `asha-queue run`, as anyone starts it."""

import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.decisions import Search
from tests.benchmarks.peers.rows import Measured, busy
from tests.benchmarks.peers.runs import run
from tests.benchmarks.peers.work import Phase

PROGRAM = """
from asha_queue import Experiment, Trial, uniform
from tests.benchmarks.peers.work import segment

def train(trial: Trial) -> None:
    loss = segment(trial.config["x"], trial.target, {seconds!r}, {lines!r})
    trial.report(step=trial.target, loss=loss)

experiment = Experiment(
    name="work", train=train, space={{"x": uniform(0, 1)}}, metric="loss", mode="min",
    max_t=64, grace_period=1, reduction_factor=4, num_samples={trials}, seed=0, sampler="random",
    hedge=False,
)
"""
#: Decisions timed for each number of results; they are fast and need many.
DECISIONS = 1_000


def measured(
    phases: Sequence[Phase], results: Sequence[int], folder: Path, until: float
) -> Measured:
    """Runs each experiment by a command of its own; the first is the one without sleep."""
    found: Measured | None = None
    for number, phase in enumerate(phases):
        home = folder / str(number)
        home.mkdir()
        (home / "work.py").write_text(PROGRAM.format(**phase._asdict()))
        command = [sys.executable, "-m", "asha_queue", "run", "work.py", "--workers", "2"]
        ran = run(command, home, until, [phase])
        [lines] = ran.lines
        if found is None:
            seconds, segments = _journal(home / "asha-runs/work/journal.jsonl")
            found = Measured(lines[0].began - ran.began, segments / seconds, segments)
        else:
            found.busy[phase.seconds] = busy(lines)
        found.memory = ran.memory
    assert found
    found.decisions = dict(_decisions(results))
    return found


def _journal(journal: Path) -> tuple[float, int]:
    """Seconds from the first segment's start to the last one's result, and how many have one."""
    started, completed = [], []
    for line in journal.read_text().splitlines():
        entry = json.loads(line)
        if entry["type"] == "started":
            started.append(entry["at"])
        elif entry["type"] == "completed":
            completed.append(entry["at"])
    return max(completed) - min(started), len(completed)


def _decisions(results: Sequence[int]) -> Iterator[tuple[int, float]]:
    """From a result to the next segment."""
    search = Search()
    for number in sorted(results):
        while search.asha.started < number:
            search.step()
        yield number, statistics.median(search.step()[1] for _ in range(DECISIONS))
