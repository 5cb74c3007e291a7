"""`asha-queue run` while a random process of it is killed every second."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from asha_queue.search.rules import check
from asha_queue.store.journal import load
from tests.chaos import processes
from tests.conftest import wait_until

PROGRAM = Path(__file__).with_name("ledger_program.py")
KILLS = 30
SEED = 7


class Run:
    """`asha-queue run` in a directory of its own, started again each time it was killed."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mark = uuid.uuid4().hex
        (directory / "program.py").write_text(PROGRAM.read_text())
        self.output = directory / "output"
        self.ledger = directory / "ledger.jsonl"
        self.environment = os.environ | {processes.MARK: self.mark, "LEDGER": str(self.ledger)}
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "asha_queue", "run", "program.py", "--workers", "2"]
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=self.directory, env=self.environment, stdout=output, stderr=output
            )

    def kill(self, kind: str, rng: random.Random) -> bool:
        """SIGKILLs a process of this kind if one lives; starts `run` again if it was that."""
        found = processes.of_run(self.mark, self.directory).get(kind)
        if not found:
            return False
        victim = rng.choice(found)
        try:
            victim.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return False
        if victim.pid == self.process.pid:
            self.process.wait()
            self.start()
        return True

    def left(self) -> list[str]:
        """What is still alive, as command lines."""
        lines = []
        for kind, found in processes.of_run(self.mark, self.directory).items():
            lines += [f"{kind} {process.pid}" for process in found]
        return lines

    def end(self) -> None:
        for found in processes.of_run(self.mark, self.directory).values():
            for process in found:
                process.kill()
        self.process.wait()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    run = Run(tmp_path)
    yield run
    run.end()


def steps_trained_after_completion(journal: list[dict], ledger: list[dict]) -> list[str]:
    """Steps in the ledger that a segment already completed had paid for."""
    completed = {
        (entry["trial"], entry["reached"]): entry["at"]
        for entry in journal
        if entry["type"] == "completed"
    }
    again = []
    for line in ledger:
        for (trial, reached), at in completed.items():
            if line["trial"] == trial and line["step"] <= reached and line["at"] > at:
                again.append(f"trial {trial}, step {line['step']}, {line['at'] - at:.3f} s later")
    return again


@pytest.mark.timeout(400)
def test_thirty_kills_lose_nothing_finished_and_leave_no_process(run: Run) -> None:
    rng = random.Random(SEED)
    kills: Counter[str] = Counter()
    began = time.monotonic()
    wait_until(lambda: run.ledger.exists(), "the first step is trained", 60)
    deck = list(processes.KINDS) * (KILLS // len(processes.KINDS))
    rng.shuffle(deck)
    while deck and run.process.poll() is None:
        time.sleep(1.0)  # a kill a second: often before the one before it was repaired
        kind = next((kind for kind in deck if run.kill(kind, rng)), None)
        if kind:
            deck.remove(kind)
            kills[kind] += 1
    wait_until(lambda: run.process.poll() is not None, "the run ends", 240)
    assert run.process.returncode == 0, run.output.read_text()[-3000:]

    exported = run.directory / "asha-runs" / "ledger" / "journal.jsonl"
    journal = [load(line) for line in exported.read_text().splitlines()]
    ledger = [json.loads(line) for line in run.ledger.read_text().splitlines()]
    needed = sum(e["reached"] - e["start"] for e in segments(journal))
    print(f"\nkills: {dict(kills)} in {time.monotonic() - began:.0f} s")
    print(f"steps trained {len(ledger)}, of them again {len(ledger) - needed}")
    assert kills.total() == KILLS, "the run ended before all kills were done: make it longer"
    assert journal[-1]["type"] == "finished"
    assert check(journal) == []
    assert steps_trained_after_completion(journal, ledger) == []
    wait_until(lambda: not run.left(), f"no process is left: {run.left()}", 30)


def segments(journal: list[dict]) -> list[dict]:
    """Completed rungs with the level below as their start: what a run without faults trains."""
    levels = (0, 1, 3, 9, 27)
    return [
        {"start": levels[entry["rung"]], "reached": entry["reached"]}
        for entry in journal
        if entry["type"] == "completed"
    ]
