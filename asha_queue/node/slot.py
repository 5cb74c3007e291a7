"""A device and the worker that runs on it: starting it, starting it again, and ending it.

Rules

* There is never a second worker of a name. Before one is started, everything that an earlier one
  left running is ended, and the store gives back what that one had claimed.
* A worker that was drained stays away until its launcher is started anew.
* A worker that ends by itself, with an error and before the store ever heard of it, will do so
  again: that is counted.
"""

import hashlib
import json
import logging
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from asha_queue.errors import StoreError
from asha_queue.node.devices import Device
from asha_queue.store.contract import Store
from asha_queue.training.processes import (
    ABOUT,
    LAUNCHER,
    Condition,
    die_with_parent,
    in_session,
    marked,
    sweep,
)

#: Seconds until a worker that died is started again: at first, and at most if it never gets ready.
AGAIN = 0.2
AGAIN_MAX = 10.0
#: Seconds of life after which a death counts as the first again.
SETTLED = 30.0
#: Seconds for keepers to give segments back before what a worker left is killed, and then to die.
LEFT_BEHIND = 2.0
SWEEP = 10.0
#: Seconds between two calls to a store that does not answer.
TRY_AGAIN = 0.5

#: Variable that marks the processes of a worker: broker and name, hashed.
SLOT = "ASHA_QUEUE_SLOT"


log = logging.getLogger("launcher")


class Slot:
    """A device and its worker; `about` is what the worker says of itself, beside its own."""

    def __init__(
        self,
        device: Device,
        broker: str,
        host: str,
        launcher: str,
        environment: Mapping[str, str],
        about: Mapping[str, Any],
    ) -> None:
        self.name = f"{device.name}@{host}"
        self.process: subprocess.Popen[bytes] | None = None
        #: Whether the store has heard of the worker that runs now.
        self.ready = False
        #: Whether it was drained: no worker is started any more.
        self.away = False
        #: How often in a row a worker ended by itself before it was ready, and how it did.
        self.failures = 0
        self.ending = ""
        self._mark = hashlib.sha256(f"{broker} {self.name}".encode()).hexdigest()[:16]
        self._environment = {
            **environment,
            **device.environment,
            "ASHA_QUEUE_BROKER": broker,
            SLOT: self._mark,
            LAUNCHER: launcher,
            ABOUT: json.dumps({**about, "gpus": [gpu.model for gpu in device.gpus if gpu.model]}),
        }
        self._reason = "the launcher was started anew"
        self._fresh = True
        self._waiting = False
        self._drained_at: float | None = None
        self._started_at = 0.0
        self._start_at = 0.0
        self._pause = AGAIN

    def tend(self, store: Store) -> None:
        """Notices the worker's end; starts the next one when its time has come."""
        now = time.monotonic()
        if self.process and self.process.poll() is not None:
            self._bury(self.process.returncode, now - self._started_at)
        if self.process is None and not self.away and now >= self._start_at:
            self._start(store)

    def hear(self, pid: int | None, drained: bool, drain_timeout: float) -> None:
        """Takes what the store knows: the process that beats under this name, and whether it is to
        be drained; ends the one that is not drained in time."""
        if not self.process:
            return
        self.ready = self.ready or pid == self.process.pid
        if not drained:
            self._drained_at = None
        elif self._drained_at is None:
            self._drained_at = time.monotonic()
        elif time.monotonic() - self._drained_at > drain_timeout:
            log.warning("%s: not ended %g s after its drain, killed", self.name, drain_timeout)
            self.process.kill()

    def clear(self, patience: float) -> bool:
        """Ends what is left of the worker, `patience` seconds after it could have ended by itself;
        False if something cannot be killed."""
        cleared = sweep(*self.traces(), kill_after=patience, seconds=patience + SWEEP)
        if not cleared:
            log.error("%s: some of its processes cannot be killed", self.name)
        if self.process and cleared:
            self.process.wait()
        return cleared

    def traces(self) -> list[Condition]:
        """What tells the worker's processes."""
        traces = [marked(SLOT, self._mark)]
        if self.process:
            traces.append(in_session(self.process.pid))
        return traces

    def _bury(self, code: int, lived: float) -> None:
        self.ending = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        self._reason = f"the worker died ({self.ending})"
        log.log(logging.WARNING if code else logging.INFO, "%s: %s", self.name, self._reason)
        hopeless = code > 0 and not self.ready and lived < SETTLED
        self.failures = self.failures + 1 if hopeless else 0
        self._pause = AGAIN if self.ready or lived > SETTLED else self._pause
        self._start_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, AGAIN_MAX)
        self.clear(LEFT_BEHIND)
        self.process = None
        self.ready = False
        self._drained_at = None

    def _start(self, store: Store) -> None:
        if not self.clear(0.0):
            self._start_at = time.monotonic() + AGAIN_MAX
            return
        try:
            if self._fresh:
                store.undrain(self.name)
            store.release_worker(self.name, self._reason)
            self.away = self.name in store.drained()
        except StoreError as error:
            if not self._waiting:
                log.warning("%s waits: %s", self.name, error)
            self._waiting = True
            self._start_at = time.monotonic() + TRY_AGAIN
            return
        self._fresh = self._waiting = False
        if self.away:
            log.info("%s was drained: it stays away until a launcher is started anew", self.name)
            return
        options = ["-P", "prefork", "-c", "1", "--without-gossip", "--without-mingle"]
        options += ["-n", self.name, "-l", "INFO"]
        self.process = subprocess.Popen(
            # -P: a module beside the user's files must not shadow one of ours
            [sys.executable, "-P", "-m", "celery", "-A", "asha_queue", "worker", *options],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
        self._started_at = time.monotonic()
        log.info("%s started, pid %d", self.name, self.process.pid)
