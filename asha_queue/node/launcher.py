"""The launcher of a machine: one Celery worker per device, started again when it dies.

Rules

* There is never a second worker of a name. Before one is started, everything that an earlier one
  left running is ended, and the store gives back what that one had claimed.
* No worker outlives its launcher: the kernel kills it, its training process dies with it, and its
  keeper gives the segment back and ends. Where the kernel cannot do that, or something hides from
  it, the next launcher finds it by the marks in its environment.
* SIGTERM drains: workers finish the step they are in, save, suspend and end. A second signal, or
  the end of `--drain-timeout`, kills them. With `--with-parent` the server dies with the parent, so
  there is nobody left to drain to: everything is killed at once.
"""

import argparse
import contextlib
import ctypes
import hashlib
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import psutil

from asha_queue import where
from asha_queue.errors import StoreError
from asha_queue.node.devices import Device, cpus, gpus
from asha_queue.queue import QUEUE
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.training.processes import Condition, in_session, living, marked, sweep

#: Seconds until a worker that died is started again: at first, and at most.
AGAIN = 0.2
AGAIN_MAX = 10.0
#: Seconds of life after which a death counts as the first again.
SETTLED = 30.0
#: Seconds for keepers to give segments back before what a worker left is killed, and then to die.
LEFT_BEHIND = 2.0
SWEEP = 10.0
#: Seconds between two looks at the workers, and two calls to a store that does not answer.
LOOK_EVERY = 0.5
#: Seconds that an earlier launcher may take to end.
HANDOVER = 5.0

#: Seconds by which the start of a process may seem to move when the clock is set.
SAME = 2.0

#: Variable that marks the processes of a worker: broker and name, hashed.
SLOT = "ASHA_QUEUE_SLOT"
#: Variable that names the launcher of a worker: its pid and start time.
LAUNCHER = "ASHA_QUEUE_LAUNCHER"

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

log = logging.getLogger("launcher")


class Slot:
    """A device and the worker that runs on it."""

    def __init__(self, device: Device, broker: str, launcher: str) -> None:
        self.name = f"{device.name}@{socket.gethostname()}"
        self.process: subprocess.Popen[bytes] | None = None
        self._mark = hashlib.sha256(f"{broker} {self.name}".encode()).hexdigest()[:16]
        self._environment = {
            **os.environ,
            **device.environment,
            "ASHA_QUEUE_BROKER": broker,
            SLOT: self._mark,
            LAUNCHER: launcher,
        }
        self._reason = "the launcher was started anew"
        self._waiting = False
        self._started_at = 0.0
        self._start_at = 0.0
        self._pause = AGAIN

    def tend(self, store: Store) -> None:
        """Notices the worker's end; starts the next one when its time has come."""
        now = time.monotonic()
        if self.process and self.process.poll() is not None:
            self._reason = f"the worker died ({_ended(self.process.returncode)})"
            log.warning("%s: %s", self.name, self._reason)
            self._pause = AGAIN if now - self._started_at > SETTLED else self._pause
            self._start_at = now + self._pause
            self._pause = min(2 * self._pause, AGAIN_MAX)
            self.clear(LEFT_BEHIND)
            self.process = None
        if self.process is None and now >= self._start_at:
            self._start(store)

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

    def _start(self, store: Store) -> None:
        if not self.clear(0.0):
            self._start_at = time.monotonic() + AGAIN_MAX
            return
        try:
            store.release_worker(self.name, self._reason)
        except StoreError as error:
            if not self._waiting:
                log.warning("%s waits: %s", self.name, error)
            self._waiting = True
            self._start_at = time.monotonic() + LOOK_EVERY
            return
        self._waiting = False
        options = ["-P", "prefork", "-c", "1", "--without-gossip", "--without-mingle"]
        options += ["-n", self.name, "-Q", QUEUE, "-l", "INFO"]
        self.process = subprocess.Popen(
            # -P: a module beside the user's files must not shadow one of ours
            [sys.executable, "-P", "-m", "celery", "-A", "asha_queue", "worker", *options],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=_die_with_launcher,
        )
        self._started_at = time.monotonic()
        log.info("%s started, pid %d", self.name, self.process.pid)


class Launcher:
    """Starts, watches and ends the workers of this machine."""

    def __init__(
        self, store: Store, slots: Sequence[Slot], drain_timeout: float, with_parent: bool
    ) -> None:
        self._store = store
        self._slots = slots
        self._drain_timeout = drain_timeout
        self._parent = os.getppid() if with_parent else None
        self._signals = 0
        self._wake, wakeup = socket.socketpair()
        self._wakeup = wakeup
        for end in (self._wake, wakeup):
            end.setblocking(False)

    def run(self) -> None:
        """Returns when it was told to end and no process is left."""
        patience = 0.0
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the loop
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            while not self._signals and not self._orphaned():
                for slot in self._slots:
                    slot.tend(self._store)
                self._sleep(LOOK_EVERY)
            patience = LEFT_BEHIND if self._drain() else 0.0
        finally:
            for slot in self._slots:
                slot.clear(patience)

    def _drain(self) -> bool:
        """Has the workers end in good order, as long as that makes sense; whether they have."""
        running = [slot.process for slot in self._slots if slot.process]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._drain_timeout
        while any(process.poll() is None for process in running):
            if self._signals > 1 or self._orphaned() or time.monotonic() > deadline:
                log.warning("workers that have not ended are killed")
                return False
            self._sleep(LOOK_EVERY)
        return True

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _orphaned(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent

    def _sleep(self, seconds: float) -> None:
        """Until a signal comes, or a worker dies, at most `seconds`."""
        select.select([self._wake], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)


def take_over(slots: Sequence[Slot]) -> None:
    """Ends what earlier launchers left behind; exits if one of them still lives."""
    traces = [trace for slot in slots for trace in slot.traces()]
    deadline = time.monotonic() + HANDOVER
    while found := living(*traces):
        launchers = {process.environ().get(LAUNCHER, "") for process in found}
        alive = sorted(launcher for launcher in launchers if _lives(launcher))
        if not alive:
            sweep(*traces, kill_after=LEFT_BEHIND, seconds=SWEEP)
            return
        if time.monotonic() > deadline:
            sys.exit(
                f"asha-queue: process {alive[0].split()[0]} runs the workers of this machine for "
                f"this broker already; end it first, or give one of them all the devices"
            )
        time.sleep(LOOK_EVERY)


def identity() -> str:
    """This process, told from a later one with its pid."""
    me = psutil.Process()
    return f"{me.pid} {me.create_time()}"


def _lives(launcher: str) -> bool:
    try:
        pid, created = launcher.split()
        return bool(abs(psutil.Process(int(pid)).create_time() - float(created)) < SAME)
    except (ValueError, psutil.Error):
        return False


def _die_with_launcher() -> None:
    """Between fork and exec: SIGKILL when the launcher dies (on Linux)."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _workers(text: str) -> int:
    number = 0 if text == "auto" else int(text)
    if number < 0 or text == "0":
        raise ValueError
    return number


def _ended(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the launcher of this machine."""
    parser = argparse.ArgumentParser(prog="python -m asha_queue.node.launcher")
    parser.add_argument(
        "--workers", type=_workers, default=0, help="CPU workers, or auto (default): one per GPU"
    )
    parser.add_argument("--programs", action="append", type=Path, help="folder of programs")
    parser.add_argument("--storage", help="root of checkpoints and logs")
    parser.add_argument("--log", type=Path, help="file for the output of launcher and workers")
    parser.add_argument("--drain-timeout", type=float, default=60.0, help="seconds")
    parser.add_argument("--with-parent", action="store_true", help="end with the parent process")
    options = parser.parse_args(arguments)
    broker = where.broker()
    if broker is None:
        sys.exit("asha-queue: no broker; set ASHA_QUEUE_BROKER to its URL")
    if options.log:
        with options.log.open("ab") as file:
            for output in (1, 2):  # workers inherit them
                os.dup2(file.fileno(), output)
    logging.basicConfig(format="%(asctime)s launcher: %(message)s", level=logging.INFO)
    if options.programs:
        folders = os.pathsep.join(str(folder.absolute()) for folder in options.programs)
        os.environ["ASHA_QUEUE_PROGRAMS"] = folders
    if options.storage:
        os.environ["ASHA_QUEUE_STORAGE"] = str(Path(options.storage).absolute())
    devices = cpus(options.workers) if options.workers else gpus()
    if not devices:
        log.info("no GPU found: one CPU worker")
        devices = cpus(1)
    slots = [Slot(device, broker.url, identity()) for device in devices]
    take_over(slots)
    Launcher(connect(broker.url), slots, options.drain_timeout, options.with_parent).run()


if __name__ == "__main__":
    main()
