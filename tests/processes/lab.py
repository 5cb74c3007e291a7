"""A real worker on a real server, and a program for it; the test itself takes the decisions."""

import contextlib
import hashlib
import os
import secrets
import signal
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from asha_queue.errors import StoreUnavailable
from asha_queue.queue import QUEUE, Publisher
from asha_queue.store import connect
from asha_queue.store.contract import ScheduledSegment
from asha_queue.training.processes import living, marked
from asha_queue.views import journal
from tests.conftest import wait_until

#: Variable that marks every process of a lab.
LAB = "ASHA_QUEUE_TEST_LAB"


class Lab:
    """A folder with programs and storage, a store, and the workers started in it."""

    def __init__(self, broker: str, folder: Path, url: str = "") -> None:
        self.broker = broker
        self.folder = folder
        self.storage = folder / "runs"
        #: The storage, if it is a bucket.
        self.url = url
        self.store = connect(broker)
        self.log = folder / "worker.log"
        self._publisher = Publisher(broker)
        self._mark = secrets.token_hex(8)
        self._started: list[subprocess.Popen[bytes]] = []

    # -- processes -------------------------------------------------------------------------------

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            LAB: self._mark,
            "ASHA_QUEUE_BROKER": self.broker,
            "ASHA_QUEUE_PROGRAMS": str(self.folder),
            "ASHA_QUEUE_STORAGE": self.url or str(self.storage),
            "CUDA_VISIBLE_DEVICES": "",
        }

    def start(
        self, *command: str, before: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*before, sys.executable, "-m", *command],
                cwd=self.folder,
                env=self.environment | environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def call(self, *command: str, expect: int = 0, **environment: str) -> str:
        """What a command prints, errors included, when it has ended with the code expected."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def worker(
        self, name: str = "w@lab", before: Sequence[str] = (), **environment: str
    ) -> subprocess.Popen[bytes]:
        """Starts a worker by hand, and waits until it is there."""
        command = ("celery", "-A", "asha_queue", "worker", "-n", name, "-l", "INFO")
        process = self.start(*command, before=before, **environment)
        wait_until(lambda: name in self.workers(), f"{name} beats; {self.log} says why not")
        return process

    def workers(self) -> list[str]:
        """Names of the live workers."""
        return [worker.name for worker in self.store.workers()]

    def processes(self) -> list[psutil.Process]:
        """Everything that was started here and still runs."""
        return living(marked(LAB, self._mark))

    def keepers(self) -> list[psutil.Process]:
        """The keepers of all workers."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while it was looked at
                if "asha_queue.training.keeper" in process.cmdline():
                    found.append(process)
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            process.kill()
        for started in self._started:
            started.wait()
        self.store.close()

    # -- experiments -----------------------------------------------------------------------------

    def submit(
        self,
        program: str,
        configs: Sequence[dict[str, Any]] = ({},),
        target: int = 3,
        copies: int = 1,
        bracket: int = 0,
        **fields: Any,
    ) -> str:
        """Writes a program (its function is `train`) and schedules a trial for each config, with so
        many copies of its message."""
        uid = secrets.token_hex(4)
        path = self.folder / f"program_{uid}.py"
        path.write_text(textwrap.dedent(program))
        specification = {
            "name": f"test-{uid}",
            "train": f"{path.name}:train",
            "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
            "storage": "elsewhere",
            "metric": "score",
            "mode": "max",
            "retries": 1,
            **fields,
        }
        self.store.submit(uid, specification["name"], specification)
        segments = [
            ScheduledSegment(trial, bracket, 0, target, {"folder": str(self.folder), **config})
            for trial, config in enumerate(configs)
        ]
        last = self.store.describe(uid).last
        assert self.store.schedule(uid, last, secrets.token_hex(8), segments) == "ok"
        self.publish(uid, copies)
        return uid

    def publish(self, uid: str, copies: int = 1) -> None:
        """Publishes what is due to the queue of the experiment."""
        segments = self.store.due(uid)
        queue = self.store.describe(uid).specification.get("queue", QUEUE)
        for _ in range(copies):
            self._publisher.publish(uid, segments, queue)
        self.store.published(uid, [(s.trial, s.rung, s.attempt) for s in segments])

    def wait_for_refusal(self, uid: str) -> str:
        """The reason why a worker has refused."""

        def there() -> bool:
            self.publish(uid)
            return bool(self.store.refusals(uid))

        wait_until(there, f"a refusal; {self.log} says why")
        [reason] = self.store.refusals(uid).values()
        return reason

    def entries(self, uid: str, kind: str) -> list[dict[str, Any]]:
        """The journal's entries of a type."""
        return [entry for entry in journal(self.store, uid) if entry["type"] == kind]

    def wait_for(
        self, uid: str, kind: str, count: int = 1, seconds: float = 30.0
    ) -> list[dict[str, Any]]:
        """Publishes what is due, as a coordinator does, until `count` such entries are there."""

        def there() -> bool:
            try:
                self.publish(uid)
                return len(self.entries(uid, kind)) >= count
            except StoreUnavailable:
                return False

        wait_until(there, f"{count} {kind} in the journal; {self.log} says why", seconds)
        return self.entries(uid, kind)

    def read(self, name: str) -> str:
        """What a program wrote into a file of its folder; waits for it."""
        path = self.folder / name
        wait_until(lambda: path.exists() and path.read_text(), f"{name} is written")
        return path.read_text()

    def pid(self, name: str = "pid") -> int:
        return int(self.read(name))


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
