"""Nodes that can train nothing, beside one that can: with another program, or a broken device.

Real launchers and a real coordinator. What they cost is read off the journal: trials that failed
for it, attempts that were made in vain, and the longest time for which a good worker had nothing to
train while there was work.
"""

import textwrap
from dataclasses import dataclass
from pathlib import Path

from asha_queue.search.rules import check
from asha_queue.views import journal
from tests.conftest import wait_until
from tests.processes.lab import Lab
from tests.processes.servers import Valkey

TRIALS = 60
#: Seconds that a trial trains.
STEP = 0.3
#: Seconds for the experiment to end.
END = 180.0
PROGRAM = f"""
import os, time
from asha_queue import Experiment, uniform

def train(trial):
    if "BROKEN" in os.environ:
        raise RuntimeError("CUDA error: device-side assert triggered")
    time.sleep({STEP})
    return trial.config["x"]

experiment = Experiment(
    name="misfits", train=train, space={{"x": uniform(0, 1)}}, metric="loss", mode="min",
    max_t=1, num_samples={TRIALS}, seed=1, storage="runs",
)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a bad node has cost."""

    failed: int
    in_vain: int
    longest_wait: float
    said: str
    violations: list[str]


def another_program(folder: Path) -> Cost:
    """A node whose folder of programs lacks this one."""
    (folder / "others").mkdir()
    return _beside_a_good_node(folder, ASHA_QUEUE_PROGRAMS=str(folder / "others"))


def broken_device(folder: Path) -> Cost:
    """A node on which every program fails."""
    return _beside_a_good_node(folder, BROKEN="1")


def _beside_a_good_node(folder: Path, **bad: str) -> Cost:
    server = Valkey(folder / "valkey")
    try:
        with Lab(server.url, folder) as lab:
            (folder / "exp.py").write_text(textwrap.dedent(PROGRAM))
            worker = ["asha_queue", "worker", "--gpus", "none", "--cpus"]
            lab.start(*worker, "1", ASHA_QUEUE_HOST="bad", **bad)
            lab.start(*worker, "2", ASHA_QUEUE_HOST="good")
            lab.start("asha_queue", "coordinator")
            wait_until(lambda: len(lab.workers()) == 3, f"three workers; see {lab.log}")
            lab.call("asha_queue", "submit", "exp.py")
            [uid] = lab.store.names().values()
            said = ""

            def ended() -> bool:
                nonlocal said
                aside = [worker.aside for worker in lab.store.workers()]
                said = "".join([*aside, *lab.store.refusals(uid).values()]) or said
                return lab.store.describe(uid).state == "finished"

            wait_until(ended, f"the experiment ends; see {lab.log}", END)
            return _read(list(journal(lab.store, uid)), said)
    finally:
        server.kill()


def _read(entries: list[dict], said: str) -> Cost:
    failures = [entry for entry in entries if entry["type"] == "failed"]
    last_new = max(entry["at"] for entry in entries if entry["type"] == "scheduled")
    waits = [0.0]
    for worker in {entry["worker"] for entry in entries if entry["type"] == "completed"}:
        ended = 0.0
        for entry in entries:
            if entry.get("worker") == worker and entry["at"] <= last_new:
                if entry["type"] == "started" and ended:
                    waits.append(entry["at"] - ended)
                elif entry["type"] == "completed":
                    ended = entry["at"]
    return Cost(
        failed=sum(entry["final"] for entry in failures),
        in_vain=len(failures),
        longest_wait=max(waits),
        said=said,
        violations=check(entries),
    )
