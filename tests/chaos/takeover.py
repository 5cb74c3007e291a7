"""Taking over a large experiment: seconds until another coordinator takes its first decision.

The experiment is played on a virtual clock and restored into a real server; coordinators are real
processes. The one worker is this module: it trains nothing, and completes a segment when a slot is
to become free.
"""

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from asha_queue import Experiment, simulate, uniform
from asha_queue.coordinator.fold import SNAPSHOT_AFTER
from asha_queue.store import connect
from asha_queue.store.contract import Json, Outcome
from asha_queue.views import journal
from tests.conftest import wait_until
from tests.processes.servers import Valkey

WORKER = "cpu0@takeover"
#: Trials that are left to start when the journal is restored.
LEFT = 1000
#: Seconds for a coordinator to read the whole journal, and to be done with what it has read.
READ = 120.0
CALM = 3.0


@dataclass
class Seconds:
    """From the end of the leader to the first decision of the next: one that stood by, and one that
    was only started then."""

    standby: list[float] = field(default_factory=list)
    started: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"by one that stood by {statistics.median(self.standby):.1f} s, max "
            f"{max(self.standby):.1f} s; by one that was started then "
            f"{statistics.median(self.started):.1f} s, max {max(self.started):.1f} s"
        )

    @property
    def longest(self) -> float:
        return max(self.standby + self.started)


def played(trials: int) -> list[Json]:
    """The journal of an experiment whose first `trials` trials have run to their end."""
    experiment = Experiment(
        name="large",
        train="large.py:train",
        space={"x": uniform(0, 1), "lr": uniform(0, 1)},
        metric="loss",
        mode="min",
        max_t=64,
        num_samples=trials,
        seed=0,
    )
    result = simulate(
        experiment,
        lambda config, t: {"loss": config["x"] + 1 / t},
        lambda config, start, target: float(target - start),
        workers=100,
    )
    entries = result.journal
    assert entries[-1]["type"] == "finished"
    entries[0]["experiment"]["num_samples"] = trials + LEFT
    return entries[:-1]


class Stage:
    """A server with the experiment, and coordinators beside it, which are killed one by one."""

    def __init__(self, folder: Path, entries: Sequence[Json]) -> None:
        self._log = folder / "log"
        self._folder = folder
        self._server = Valkey(folder / "valkey")
        self._store = connect(self._server.url, timeout=60.0)
        self._uid = self._store.restore(entries)
        self._restored = entries[-1]["id"]
        self._is_long = len(entries) > SNAPSHOT_AFTER
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()
            process.wait()
        self._store.close()
        self._server.kill()

    def start(self) -> None:
        """Starts a coordinator."""
        command = [sys.executable, "-m", "asha_queue", "coordinator", "--storage"]
        with self._log.open("ab") as log:
            self._started.append(
                subprocess.Popen(
                    [*command, str(self._folder / "runs")],
                    cwd=self._folder,
                    env=os.environ | {"ASHA_QUEUE_BROKER": self._server.url},
                    stdout=log,
                    stderr=log,
                )
            )

    def settle(self) -> None:
        """Waits until one coordinator leads and has left a snapshot, and all have read that."""

        def settled() -> bool:
            self._store.beat(WORKER, {"queues": ["asha"]})
            taken_up = self._log.read_text().count("large: taken up")
            kept = not self._is_long or self._store.snapshot(self._uid) is not None
            return taken_up == len(self._started) and kept and self._queued() > ""

        wait_until(settled, f"somebody leads; see {self._log}", READ)
        calm = time.monotonic() + CALM
        wait_until(lambda: time.monotonic() > calm, "a moment", READ)

    def first_decision(self, then: bool) -> float:
        """Kills the coordinator that leads, or all of them and starts another one `then`; frees a
        slot, and returns the seconds until that is filled."""
        self._store.beat(WORKER, {"queues": ["asha"]})
        leader = int(self._store.describe(self._uid).leader.split(":")[1])
        for process in self._started:
            if then or process.pid == leader:
                process.kill()
                process.wait()
        began = time.monotonic()
        self._complete()
        last = self._store.describe(self._uid).last
        if then:
            self.start()
        wait_until(lambda: self._store.describe(self._uid).last != last, "a decision", READ)
        return time.monotonic() - began

    def _queued(self) -> str:
        """The message of the segment that waits, or nothing."""
        last = [*journal(self._store, self._uid, self._restored)][-1:]
        if not last or last[0]["type"] != "scheduled":
            return ""
        return json.dumps([last[0][name] for name in ("trial", "rung", "attempt")])

    def _complete(self) -> None:
        trial, rung, attempt = json.loads(self._queued())
        claim = self._store.claim(self._uid, trial, rung, attempt, secrets.token_hex(4), WORKER)
        assert self._store.start(self._uid, trial, claim.token, claim.start) == "ok"
        outcome = Outcome({"loss": 0.5}, claim.target, None, 1.0, [])
        assert self._store.complete(self._uid, trial, claim.token, outcome) == "ok"


def take_over(folder: Path, trials: int, times: int) -> Seconds:
    """Each way of taking over, so many times, of an experiment with so many trials."""
    seconds = Seconds()
    with Stage(folder, played(trials)) as stage:
        stage.start()
        for _ in range(times):
            stage.start()
            stage.settle()
            seconds.standby.append(stage.first_decision(then=False))
            stage.settle()
            seconds.started.append(stage.first_decision(then=True))
    return seconds
