"""Processes that a program leaves behind when its segment ends.

Rules

* They end with the segment: they may hold the GPU's memory, and the next segment wants all of it.
* On Linux the training process adopts whatever loses its parent, so its own children are all there
  is, however deep they were started and wherever they moved. A look at none costs microseconds.
* They get GRACE to end by themselves: a pool or a loader that is being shut down is no leftover.
* The trackers of multiprocessing and joblib, and the server that multiprocessing forks from, hold
  nothing of a segment and stay.
* What the program's modules keep of those that were ended (a pool, a line to a service) is broken.
  So the training process is replaced after them, and its keeper sweeps what they have restarted.
"""

import contextlib
import gc
import os
import signal
import sys
import time
from collections.abc import Iterator

import psutil

#: Seconds in which they may end by themselves.
GRACE = 0.2
#: Seconds for killed ones to be gone.
KILLED = 1.0
#: Seconds between two looks.
LOOK_EVERY = 0.005
#: Characters of a command line that are shown.
SHOWN = 60
#: (module, object in it, its attribute with a pid): processes that stay.
SPARED = [
    ("multiprocessing.resource_tracker", "_resource_tracker", "_pid"),
    ("multiprocessing.forkserver", "_forkserver", "_forkserver_pid"),
    ("joblib.externals.loky.backend.resource_tracker", "_resource_tracker", "_pid"),
    ("loky.backend.resource_tracker", "_resource_tracker", "_pid"),
]


def end_leftovers() -> list[str]:
    """Ends the children that are left; returns the commands of those that had to be killed."""
    if _childless() or not _living():
        return []
    gc.collect()  # a loader in a reference cycle ends its workers now
    deadline = time.monotonic() + GRACE
    while _living() and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY)
    killed: dict[int, str] = {}
    deadline = time.monotonic() + KILLED
    while (left := _living()) and time.monotonic() < deadline:
        for pid in left:
            if pid not in killed:
                killed[pid] = _command(pid)
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_EVERY)
    return list(killed.values())


def _childless() -> bool:
    """Whether there is no child, dead or alive; asks the kernel no more than that."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return True
    return False


def _living() -> list[int]:
    """Pids of the children that are not spared; those that have ended are laid to rest."""
    found = []
    for pid in set(_children()) - _spared():
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:  # laid to rest by the program's own code meanwhile
            continue
        if not ended:
            found.append(pid)
    return found


def _children() -> Iterator[int]:
    try:
        for thread in os.listdir("/proc/self/task"):
            with (
                contextlib.suppress(FileNotFoundError, ProcessLookupError),  # it has just ended
                open(f"/proc/self/task/{thread}/children", "rb") as file,
            ):
                yield from map(int, file.read().split())
    except OSError:  # no Linux
        yield from (child.pid for child in psutil.Process().children(recursive=True))


def _spared() -> set[int]:
    owners = [
        (getattr(sys.modules.get(module), name, None), field) for module, name, field in SPARED
    ]
    return {getattr(owner, field, None) or 0 for owner, field in owners}


def _command(pid: int) -> str:
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        command = ""
    return command[:SHOWN] or f"process {pid}"
