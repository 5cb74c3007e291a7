"""Two `asha-queue run` in one directory, one of them killed and started again at once, many times.

One of them owns the server of the directory, the other is its guest. Killing the owner passes the
server on, killing the guest must change nothing; there are never two servers on one append-only
file, and whatever was readable in the journal stays there.
"""

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from asha_queue.errors import StoreError
from asha_queue.search.rules import check
from asha_queue.store import connect
from asha_queue.where import ADDRESS_FILE
from tests.chaos import audit
from tests.chaos.processes import of_run
from tests.chaos.witness import Entry
from tests.processes.directory import Directory

#: Seconds for a result to come after a kill, and for everything to end.
PROGRESS = 60.0
END = 180.0
#: Trials per kill: enough that the experiment outlasts the kills.
TRIALS = 40


@dataclass
class Seen:
    """What was seen: the most servers at once, and every violation."""

    kills: int = 0
    servers: int = 0
    entries: int = 0
    found: audit.Findings = field(default_factory=audit.Findings)


class TwoRuns:
    """Both runs, and a witness of their journal."""

    def __init__(self, folder: Path, times: int) -> None:
        self.directory = Directory(folder)
        program = (folder / "exp.py").read_text()
        trials = f"num_samples={TRIALS * times}"
        assert "num_samples=12" in program
        self.directory.write("exp.py", program.replace("num_samples=12", trials))
        self.runs = [self._start() for _ in range(2)]
        self.seen = Seen()
        self._read: list[Entry] = []

    def _start(self) -> subprocess.Popen[str]:
        return self.directory.start("run", "exp.py", "--workers", "2", STEP="0.05")

    def kill(self, rng: random.Random) -> None:
        """Kills one of them, and starts it again at once."""
        index = rng.randrange(2)
        with self.runs[index] as victim:
            victim.send_signal(signal.SIGKILL)
        self.runs[index] = self._start()
        self.seen.kills += 1

    def look(self) -> int:
        """Counts the servers and reads the journal on; returns the results so far."""
        servers = of_run(self.directory.mark, self.directory.path).get("server", [])
        self.seen.servers = max(self.seen.servers, len(servers))
        with contextlib.suppress(StoreError, OSError, psutil.Error):
            store = connect((self.directory.path / ADDRESS_FILE).read_text().strip(), 2.0)
            try:
                if uid := store.uid("quick"):
                    present = audit.read_all(store, uid)
                    audit.audit_witness("quick", self._read, present, self.seen.found)
                    self._read = present
            finally:
                store.close()
        return sum(entry["type"] == "completed" for entry in self._read)

    def wait_for_result(self) -> None:
        """Until there is a result more than now."""
        before = self.look()
        self._wait_for(lambda: self.look() > before, "a result", PROGRESS)

    def wait_for_end(self) -> None:
        """Until both have ended by themselves."""

        def ended() -> bool:
            self.look()
            return all(run.poll() is not None for run in self.runs)

        self._wait_for(ended, "the end of both runs", END)

    def _wait_for(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                self.seen.found.lost.append(f"not within {seconds:g} s: {what}")
                return
            time.sleep(0.05)

    def judge(self) -> None:
        found = self.seen.found
        for run in self.runs:
            out, err = run.communicate(timeout=END)
            if run.returncode:
                found.broken.append(f"a run ended with {run.returncode}: {out}{err}"[-500:])
        entries = self.directory.journal()
        self.seen.entries = len(entries)
        found.broken += check(entries)
        audit.audit_witness("quick", self._read, entries, found)
        if entries[-1]["type"] != "finished":
            found.lost.append("it has not finished")
        if self.seen.servers != 1:
            found.broken.append(f"{self.seen.servers} servers at once")


def kill_and_start(folder: Path, times: int, seed: int) -> Seen:
    """Kills one of two runs so many times, each time when there was a result since."""
    both, rng = TwoRuns(folder, times), random.Random(seed)
    try:
        for _ in range(times):
            both.wait_for_result()
            both.kill(rng)
        both.wait_for_end()
        both.judge()
        return both.seen
    finally:
        both.directory.end()
