"""The launcher of a machine: one Celery worker per device, started again when it dies.

Rules

* What holds for each worker is in `slot.py`.
* No worker outlives its launcher: the kernel kills it, its training process dies with it, and its
  keeper gives the segment back and ends. Where the kernel cannot do that, or something hides from
  it, the next launcher finds it by the marks in its environment.
* SIGTERM drains: workers finish the step they are in, save, suspend and end. A second signal, or
  the end of `--drain-timeout`, kills them; their keepers give back what they had. With
  `--with-parent` the server dies with the parent, so there is nobody left to drain to: everything
  is killed at once.
* Workers that `asha-queue drain` has ended stay away. When all are, the launcher ends with code 0.
* When no worker can start at all, the launcher says so and ends with code GIVEN_UP.
"""

import argparse
import contextlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import psutil

from asha_queue import where
from asha_queue.alive import Alive
from asha_queue.checkpoints.probe import look
from asha_queue.errors import AshaQueueError, NodeError, StoreError
from asha_queue.node.devices import devices
from asha_queue.node.reservations import reserve
from asha_queue.node.slot import LEFT_BEHIND, SWEEP, Slot
from asha_queue.queue import QUEUE
from asha_queue.settings import RENEW_EVERY
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.training.processes import LAUNCHER, QUEUES, living, sweep
from asha_queue.training.scripts import COMMANDS

#: Seconds between two looks at the workers.
LOOK_EVERY = 0.5
#: Seconds that an earlier launcher may take to end.
HANDOVER = 5.0
#: Seconds that workers get to save and hand their segments back, unless told otherwise.
DRAIN = 60.0
#: Seconds that the server may take to answer.
TIMEOUT = 3.0
#: Ends in a row, each by itself and before it was ready, after which a worker cannot start.
HOPELESS = 3
#: Exit code when that is so for all workers.
GIVEN_UP = 3

#: Seconds by which the start of a process may seem to move when the clock is set.
SAME = 2.0

log = logging.getLogger("launcher")


@dataclass(frozen=True, slots=True)
class Options:
    """What a launcher is told; `gpus` and `cpus` as in `devices.devices`."""

    broker: str = field(repr=False)
    gpus: str | None = None
    cpus: int | None = None
    workers_per_gpu: int = 1
    gpus_per_worker: int = 1
    queues: Sequence[str] = (QUEUE,)
    #: Folders of programs; none: ASHA_QUEUE_PROGRAMS, or the working directory.
    programs: Sequence[Path] = ()
    #: Root of checkpoints and logs; None: ASHA_QUEUE_STORAGE, or each experiment's own.
    storage: str | None = None
    #: File for the output of launcher and workers; None: where that of the launcher goes.
    log: Path | None = None
    drain_timeout: float = DRAIN
    #: File that is touched while the server answers and has heard of every worker.
    alive: Path | None = None
    #: Whether experiments that are a command are run.
    commands: bool = False
    #: Ends when the parent process does.
    with_parent: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the workers."""
        environment = os.environ | {QUEUES: ",".join(self.queues)}
        if self.programs:
            folders = [str(folder.absolute()) for folder in self.programs]
            environment["ASHA_QUEUE_PROGRAMS"] = os.pathsep.join(folders)
        if self.storage:
            environment["ASHA_QUEUE_STORAGE"] = where.storage_root(self.storage)
        if self.commands:
            environment[COMMANDS] = "1"
        return environment


class Launcher:
    """Starts, watches and ends the workers of this machine."""

    def __init__(self, store: Store, slots: Sequence[Slot], options: Options) -> None:
        self._store = store
        self._slots = slots
        self._drain_timeout = options.drain_timeout
        self._log = options.log
        self._alive = Alive(options.alive)
        self._parent = os.getppid() if options.with_parent else None
        self._signals = 0
        self._next_look = 0.0
        self._wake, wakeup = socket.socketpair()
        self._wakeup = wakeup
        for end in (self._wake, wakeup):
            end.setblocking(False)

    def run(self) -> int:
        """Returns an exit code when it was told to end, or has no worker left to start, and no
        process is left."""
        patience, hopeless = 0.0, None
        signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # wakes the loop
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        try:
            while not self._signals and not self._orphaned() and self._wanted():
                for slot in self._wanted():
                    slot.tend(self._store)
                self._look()
                if hopeless := self._hopeless():
                    break
                self._sleep(LOOK_EVERY)
            patience = self._drain()
        finally:
            for slot in self._slots:
                slot.clear(patience)
        if hopeless:
            said = f"in {self._log.absolute()}" if self._log else "above"
            log.error(
                f"{hopeless.name} does not start: {hopeless.ending}, {hopeless.failures} times in "
                f"a row; what it said is {said}"
            )
            return GIVEN_UP
        return 0

    def _wanted(self) -> list[Slot]:
        return [slot for slot in self._slots if not slot.away]

    def _hopeless(self) -> Slot | None:
        """A worker that cannot start, if no other can."""
        wanted = self._wanted()
        if wanted and all(slot.failures >= HOPELESS for slot in wanted):
            return wanted[0]
        return None

    def _look(self) -> None:
        """Asks the store about the workers; without an answer it is asked again soon."""
        starting = any(slot.process and not slot.ready for slot in self._slots)
        if not starting and time.monotonic() < self._next_look:
            return
        try:
            pids = {worker.name: worker.info.get("pid") for worker in self._store.workers()}
            drained = self._store.drained()
        except StoreError:
            return  # the workers say so
        self._next_look = time.monotonic() + RENEW_EVERY
        for slot in self._slots:
            slot.hear(pids.get(slot.name), slot.name in drained, self._drain_timeout)
        if all(slot.ready for slot in self._wanted()):
            self._alive.beat()

    def _drain(self) -> float:
        """Has the workers end in good order, as long as that makes sense; returns how many seconds
        what they leave behind has to end by itself."""
        running = [slot.process for slot in self._slots if slot.process]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + self._drain_timeout
        while any(process.poll() is None for process in running):
            if self._orphaned():
                return 0.0
            if self._signals > 1 or time.monotonic() > deadline:
                log.warning("workers that have not ended are killed")
                for process in running:
                    process.kill()
                return LEFT_BEHIND
            self._sleep(LOOK_EVERY)
        return LEFT_BEHIND

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _orphaned(self) -> bool:
        return self._parent is not None and os.getppid() != self._parent

    def _sleep(self, seconds: float) -> None:
        """Until a signal comes, or a worker dies, at most `seconds`."""
        select.select([self._wake], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)


def launch(options: Options) -> int:
    """Runs the launcher of this machine; returns its exit code.

    Raises NodeError when it cannot do what it is told.
    """
    logging.basicConfig(format="%(asctime)s launcher: %(message)s", level=logging.INFO)
    chosen = devices(options.gpus, options.cpus, options.workers_per_gpu, options.gpus_per_worker)
    host = os.environ.get("ASHA_QUEUE_HOST") or socket.gethostname()
    environment = options.environment
    about: dict[str, object] = {"launcher": os.getpid()}
    if storage := environment.get("ASHA_QUEUE_STORAGE"):
        about["storage"] = look(storage, host)
    me = identity()
    slots = [Slot(device, options.broker, host, me, environment, about) for device in chosen]
    take_over(slots)
    held = reserve((gpu for device in chosen for gpu in device.gpus), HANDOVER)
    if options.log:
        with options.log.open("ab") as file:
            for output in (1, 2):  # workers inherit them
                os.dup2(file.fileno(), output)
    log.info("workers for %s: %s", where.without_password(options.broker), _names(slots))
    try:
        return Launcher(connect(options.broker, TIMEOUT), slots, options).run()
    finally:
        for descriptor in held:
            os.close(descriptor)


def take_over(slots: Sequence[Slot]) -> None:
    """Ends what earlier launchers left behind.

    Raises NodeError if one of them still lives.
    """
    deadline = time.monotonic() + HANDOVER
    while found := living(*(trace for slot in slots for trace in slot.traces())):
        launchers = {process.environ().get(LAUNCHER, "") for process in found}
        alive = sorted(launcher for launcher in launchers if _lives(launcher))
        if not alive:
            traces = [trace for slot in slots for trace in slot.traces()]
            sweep(*traces, kill_after=LEFT_BEHIND, seconds=SWEEP)
            return
        if time.monotonic() > deadline:
            taken = [slot for slot in slots if living(*slot.traces())]
            raise NodeError(
                f"process {alive[0].split()[0]} runs {_names(taken)} for this broker already; "
                f"end it first, or start workers on other devices"
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


def _names(slots: Sequence[Slot]) -> str:
    return ", ".join(slot.name for slot in slots)


def _workers(text: str) -> int | None:
    number = None if text == "auto" else int(text)
    if number is not None and number < 1:
        raise ValueError
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    """The launcher as `asha-queue run` starts it."""
    parser = argparse.ArgumentParser(prog="python -m asha_queue.node.launcher")
    parser.add_argument(
        "--workers", type=_workers, help="CPU workers, or auto (default): one per GPU"
    )
    parser.add_argument("--programs", action="append", type=Path, default=[])
    parser.add_argument("--queue", action="append", dest="queues")
    parser.add_argument("--storage")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--drain-timeout", type=float, default=DRAIN)
    parser.add_argument("--with-parent", action="store_true")
    options = vars(parser.parse_args(arguments))
    options["queues"] = options["queues"] or [QUEUE]
    try:
        broker = where.broker()
        if broker is None:
            sys.exit("asha-queue: no broker; set ASHA_QUEUE_BROKER to its URL")
        sys.exit(launch(Options(broker.url, cpus=options.pop("workers"), **options)))
    except AshaQueueError as error:
        sys.exit(f"asha-queue: {error}")


if __name__ == "__main__":
    main()
