"""Processes: noticing that one is gone, and leaving none behind."""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Callable

import psutil

#: Variable by which a training process marks everything that it starts, as WORKER:PROCESS.
MARK = "ASHA_QUEUE_MARK"
#: Variable that names the launcher of a worker: its pid and start time.
LAUNCHER = "ASHA_QUEUE_LAUNCHER"
#: Variable with what a launcher knows of its worker, for `Worker.info`: a JSON object.
ABOUT = "ASHA_QUEUE_ABOUT"
#: Variable with the queues that a worker serves, with commas between.
QUEUES = "ASHA_QUEUE_QUEUES"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None)

#: Seconds between two looks at processes that are being killed.
_LOOK_EVERY = 0.01


class Watch:
    """Notices the end of a process that need not be a child; `fileno` becomes readable then."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor: int | None = None
        self._created: float | None = None
        try:
            self._created = psutil.Process(pid).create_time()
            if hasattr(os, "pidfd_open"):
                self._descriptor = os.pidfd_open(pid)
        except (OSError, psutil.NoSuchProcess):
            pass

    @property
    def descriptor(self) -> int | None:
        """To wait on, with others; None where the system has no such thing."""
        return self._descriptor

    def gone(self, seconds: float = 0.0) -> bool:
        """Whether the process has ended, or does so within `seconds`."""
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            return bool(poll.poll(seconds * 1000))
        deadline = time.monotonic() + seconds
        while self._lives():
            if time.monotonic() >= deadline:
                return False
            time.sleep(_LOOK_EVERY)
        return True

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _lives(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return (
                process.create_time() == self._created and process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.Error:
            return False


Condition = Callable[[psutil.Process], bool]


def in_group(group: int) -> Condition:
    """Processes of a process group."""
    return lambda process: os.getpgid(process.pid) == group


def in_session(session: int) -> Condition:
    """Processes of a session."""
    return lambda process: os.getsid(process.pid) == session


def marked(variable: str, value: str) -> Condition:
    """Processes that were started with this variable in their environment."""
    return lambda process: process.environ().get(variable) == value


def marked_alike(variable: str, value: str) -> Condition:
    """Processes that were started by others of the same family: FAMILY:OTHER instead of `value`."""
    family = value.partition(":")[0] + ":"

    def condition(process: psutil.Process) -> bool:
        mark = process.environ().get(variable, "")
        return mark.startswith(family) and mark != value

    return condition


def living(*conditions: Condition) -> list[psutil.Process]:
    """Processes, other than this one, that fulfil any of the conditions and are no zombies."""
    found = []
    for process in psutil.process_iter():
        if process.pid != os.getpid() and _is_any(process, conditions):
            found.append(process)
    return found


def tracker(process: psutil.Process) -> bool:
    """Whether it is one of those that remove the shared memory of what has died, and end then."""
    return any("resource_tracker" in word for word in process.cmdline())


def sweep(
    *conditions: Condition, seconds: float, kill_after: float = 0.0, trackers: float = 0.0
) -> bool:
    """Kills all that `living` finds, until it finds none; False if some lived for `seconds`.

    `kill_after`: seconds for them to end by themselves first; `trackers`: seconds for trackers.
    """
    begun = time.monotonic()
    while found := living(*conditions):
        passed = time.monotonic() - begun
        if passed > seconds:
            return False
        if passed >= kill_after:
            for process in found:
                try:
                    if passed >= trackers or not tracker(process):
                        process.kill()
                except psutil.Error:
                    continue  # gone meanwhile, or another user's
        time.sleep(_LOOK_EVERY)
    return True


def die_with_parent(number: signal.Signals) -> Callable[[], None]:
    """What a new process calls between fork and exec to get this signal when its parent dies.

    Linux has that; elsewhere it does nothing, and marks and locks find what was left.
    """

    def ask() -> None:
        if sys.platform == "linux":
            _LIBC.prctl(_PR_SET_PDEATHSIG, number)

    return ask


def adopt_orphans() -> None:
    """Makes this process the parent of what its descendants leave behind, where there is that."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _is_any(process: psutil.Process, conditions: tuple[Condition, ...]) -> bool:
    for condition in conditions:
        try:
            if condition(process) and process.status() != psutil.STATUS_ZOMBIE:
                return True
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or another user's
    return False
