"""`asha-queue run` while a random process of it is killed every second."""

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

from asha_queue.store.journal import load
from tests.chaos import processes
from tests.chaos.audit import Findings, audit_journal, audit_ledger, lines_of
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


@pytest.mark.slow
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
    found = Findings()
    audit_journal("ledger", "u", journal, found)
    audit_ledger({"ledger": "u"}, {"u": journal}, lines_of(run.ledger), found)
    print(f"\nkills: {dict(kills)} in {time.monotonic() - began:.0f} s")
    print(f"steps trained {found.steps}, of them again {found.repeated}")
    assert kills.total() == KILLS, "the run ended before all kills were done: make it longer"
    assert found.violations == []
    wait_until(lambda: not run.left(), f"no process is left: {run.left()}", 30)
