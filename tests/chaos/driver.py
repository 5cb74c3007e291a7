"""The chaos driver: a cluster, experiments without end, faults by plan, then the audit.

Rules

* The faults come as planned, whatever state the cluster is in: several may be at work at once.
* There is always something to train. When the time is over every fault is undone, nothing new is
  submitted, and what was submitted must come to its end.
* Whatever ends a run, Ctrl-C included, ends its processes. Its folder is kept when an invariant
  was broken, or on request: it has the logs, the journals, the ledger and the server's data.
"""

import contextlib
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import redis

from asha_queue import Experiment
from asha_queue.errors import StoreError
from asha_queue.store.journal import dump
from tests.chaos import audit
from tests.chaos.cluster import Cluster
from tests.chaos.disks import small_disk
from tests.chaos.faults import Steps, done
from tests.chaos.ledger_program import fields as program_fields
from tests.chaos.plan import Planned
from tests.chaos.recovery import Idle, Journals
from tests.chaos.scene import Hit, Scene
from tests.chaos.witness import Witness

#: Seconds between two rounds of the driver, and between two looks at the journals.
ROUND = 0.01
LOOK_EVERY = 0.1
#: Seconds between two lines of progress.
TELL_EVERY = 10.0
#: Seconds for the cluster to start, and for the experiments to come to their end.
START = 60.0
FINISH = 180.0
#: Trials not begun below which the next experiment is submitted, beside the one that ends.
REFILL = 6
#: Megabytes of the storage where it is to be filled: room for the checkpoints of an hour or so.
DISK = 256


@dataclass(frozen=True, slots=True)
class Load:
    """What is trained: experiments of so many trials, seconds per step, steps per checkpoint."""

    trials: int = 54
    max_t: int = 27
    seconds: float = 0.1
    every: int = 4
    #: Experiments to be submitted in all, and then the run is over, whatever faults are left; None:
    #: for as long as the faults last.
    experiments: int | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """What must not grow: processes, their memory in MiB, keys that belong to no experiment."""

    at: float
    processes: int
    memory: float
    keys: int


@dataclass
class Outcome:
    """What a run has shown."""

    seconds: float
    hits: list[Hit]
    #: Seconds until recovery, for each hit; None where nothing had to, or could, recover.
    recoveries: list[float | None]
    idle: Idle
    found: audit.Findings
    folder: Path
    samples: list[Sample]
    journals: dict[str, list[audit.Line]] = field(default_factory=dict)
    ledger: list[audit.Line] = field(default_factory=list)


class Driver:
    """One run. Use it as a context: it ends what it has started."""

    def __init__(
        self,
        plan: Sequence[Planned],
        seconds: float,
        load: Load,
        say: Callable[[str], None],
        hole: float = 12.0,
        keep: bool = False,
    ) -> None:
        self._plan = list(plan)
        self._seconds = seconds
        self._load = load
        self._say = say
        self._keep = keep
        self.folder = Path(tempfile.mkdtemp(prefix="asha-chaos-"))
        self._storage = self.folder / "runs"
        self._storage.mkdir()
        # only where it is to be filled: a long run needs more than that
        wanted = any(planned.kind == "disk" for planned in plan)
        self._mounted = small_disk(self._storage, DISK) if wanted else nullcontext(False)
        has_disk = self._mounted.__enter__()
        self._at_work: list[tuple[float, Steps]] = []
        self._cluster = Cluster(self.folder, self._storage)
        self._witness = Witness(self._cluster.url)
        self._scene = Scene(self._cluster, self._witness, hole=hole, disk=has_disk)
        self._look_at = 0.0
        self._submitted = 0
        self._samples: list[Sample] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for _, steps in self._at_work:
            steps.close()
        self._cluster.close()
        self._witness.store.close()
        if self._keep or (kind is not None and issubclass(kind, Exception)):
            self._say(f"evidence: {self.folder}")
            shutil.copytree(self._storage, self.folder / "storage", ignore_dangling_symlinks=True)
        self._mounted.__exit__(None, None, None)
        if not self._keep:
            shutil.rmtree(self.folder, ignore_errors=True)

    def run(self) -> Outcome:
        """Does the faults, lets the experiments end, and looks at what is left."""
        self._start()
        begun = time.monotonic()
        waiting = list(self._plan)
        tell_at = begun + TELL_EVERY
        while (passed := time.monotonic() - begun) < self._seconds or self._at_work or waiting:
            while waiting and waiting[0].at <= passed:
                planned = waiting.pop(0)
                steps = done(planned.kind, self._scene, random.Random(planned.seed))
                self._at_work.append((0.0, steps))
            self._round(supply=True)
            if time.monotonic() >= tell_at:
                tell_at += TELL_EVERY
                self._tell(passed)
            if self._supplied and not self._witness.open:
                break
        self._finish()
        return self._judge(time.monotonic() - begun)

    # -- the run ---------------------------------------------------------------------------------

    def _start(self) -> None:
        self._cluster.wait_for_server()
        deadline = time.monotonic() + START
        names = set(self._cluster.names)
        while not names <= set(self._workers()):
            self._round(supply=False)
            if time.monotonic() > deadline:
                self._keep = True
                raise RuntimeError(f"the cluster does not start; its logs are in {self.folder}")
        while not any(self._witness.running):
            self._round(supply=True)
            if time.monotonic() > deadline:
                self._keep = True
                raise RuntimeError(f"nothing is trained; the logs are in {self.folder}")

    def _workers(self) -> list[str]:
        try:
            return [worker.name for worker in self._witness.store.workers()]
        except StoreError:
            return []

    def _round(self, supply: bool) -> None:
        self._cluster.tend()
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._witness.poll()
            self._cluster.workers()  # remembers whose processes they are
            if supply:
                self._supply()
        self._go_on()
        self._witness.news = []
        time.sleep(ROUND)

    def _go_on(self) -> None:
        """Gives every fault at work whose time has come its turn."""
        for index, (at, steps) in enumerate(list(self._at_work)):
            if time.monotonic() >= at:
                try:
                    self._at_work[index] = (time.monotonic() + next(steps), steps)
                except StopIteration:
                    self._at_work[index] = (float("inf"), steps)
        self._at_work = [(at, steps) for at, steps in self._at_work if at < float("inf")]

    @property
    def _supplied(self) -> bool:
        return self._submitted == self._load.experiments

    def _supply(self) -> None:
        if self._supplied or self._witness.wants >= REFILL:
            return
        load, name = self._load, f"chaos-{self._submitted}"
        experiment = Experiment(
            **program_fields(
                name=name,
                train=f"{self.folder / 'program.py'}:train",
                num_samples=load.trials,
                max_t=load.max_t,
                seconds=load.seconds,
                every=load.every,
                seed=self._submitted,
            )
        )
        try:
            handle = experiment.submit(broker=self._cluster.url, storage=str(self._storage))
        except StoreError:
            return  # the server is down: the same name the next time
        self._witness.follow(name, handle.uid, load.trials)
        self._submitted += 1

    def _finish(self) -> None:
        for _, steps in self._at_work:
            steps.close()
        self._at_work = []
        deadline = time.monotonic() + FINISH
        while self._witness.open and time.monotonic() < deadline:
            self._round(supply=False)
        self._cluster.end()

    def _tell(self, passed: float) -> None:
        with contextlib.suppress(redis.RedisError):
            processes, memory = self._cluster.weight()
            keys = audit.keys_of_none(self._cluster.url)
            self._samples.append(Sample(passed, processes, memory, keys))
        ends = [e for entries in self._witness.journals.values() for e in entries]
        completed = sum(entry["type"] == "completed" for entry in ends)
        self._say(
            f"{passed:4.0f} s  {len(self._scene.hits)} faults, {completed} segments completed, "
            f"{len(self._witness.journals)} experiments"
        )

    # -- what is left ----------------------------------------------------------------------------

    def _judge(self, seconds: float) -> Outcome:
        found = audit.Findings()
        store, url = self._witness.store, self._cluster.url
        left = self._cluster.left()
        found.broken += [f"process {line} is left" for line in left]
        names = {name: uid for uid, name in self._witness.names.items()}
        journals = {uid: audit.read_all(store, uid) for uid in names.values()}
        for name, uid in names.items():
            audit.audit_journal(name, uid, journals[uid], found)
            audit.audit_witness(name, self._witness.journals[uid], journals[uid], found)
            lines = "".join(dump(entry) for entry in journals[uid])
            (self.folder / f"{name}.jsonl").write_text(lines)
        found.lost += [f"the journal of {uid} was rolled back" for uid in self._witness.gone]
        ledger = audit.lines_of(self._cluster.ledger)
        audit.audit_ledger(names, journals, ledger, found)
        audit.audit_decisions(audit.lines_of(self._cluster.calls), found)
        found.stale = audit.stale_writes(store, names.values())
        by_name = {name: journals[uid] for name, uid in names.items()}
        audit.audit_exports(self._storage, names, by_name, found)
        audit.audit_checkpoints(url, self._storage, names, found)
        audit.audit_keys(url, found)
        audit.audit_deletion(url, store, found)
        facts = Journals(journals)
        hits = self._scene.hits
        recoveries = [facts.recovery(hit) for hit in hits]
        (self.folder / "violations.txt").write_text("\n".join(found.violations) + "\n")
        (self.folder / "hits.jsonl").write_text(
            "".join(
                json.dumps(vars(hit) | {"recovery": recovery}) + "\n"
                for hit, recovery in zip(hits, recoveries, strict=True)
            )
        )
        self._keep = self._keep or bool(found.violations)
        return Outcome(
            seconds=seconds,
            hits=hits,
            recoveries=recoveries,
            idle=facts.idle(self._cluster.names),
            found=found,
            folder=self.folder,
            samples=self._samples,
            journals=journals,
            ledger=ledger,
        )
