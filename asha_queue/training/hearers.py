"""Who of a command is told of a drain.

Rules

* A shell that has no trap for SIGTERM would die of it and leave what it runs untold. So it is not
  told: what it runs is told in its place, and it goes on to what the line says next.
* In a pipeline, what reads another's output is not told: `tee` lives until it has read all.
* What starts a process for each device, as torchrun does, hands the signal on and then ends with an
  error, whatever these have saved. So it is not told either, and they are, each of them: it ends
  when they have.
* Every other process is told, and nothing that it has started: those are its own to end, such as
  the processes of a loader, without which it could not save. So is a shell that has a trap.
* A process that does not catch the signal dies of it, whatever a shell says of it afterwards.
* Where there is no /proc, all of the command's group is told.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil

#: Variable that torchrun, and what is made of it, sets for the processes that it starts.
_RANK = "TORCHELASTIC_RUN_ID"
SHELLS = {"sh", "ash", "bash", "dash", "ksh", "mksh", "zsh", "busybox"}
_PROC = Path("/proc")
_SIGTERM = 1 << signal.SIGTERM - 1


def tell(command: int) -> bool:
    """Sends SIGTERM to those of this process and its descendants that it is meant for; whether
    one of them does not catch it."""
    if not (_PROC / "self" / "status").exists():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(command, signal.SIGTERM)
        return False
    unheard = False
    with contextlib.suppress(psutil.NoSuchProcess):
        for process in list(_hearers(psutil.Process(command))):
            with contextlib.suppress(psutil.Error, OSError):  # it has ended meanwhile
                unheard |= not _has(process, "SigCgt") and not _has(process, "SigIgn")
                process.send_signal(signal.SIGTERM)
    return unheard


def _hearers(process: psutil.Process) -> Iterator[psutil.Process]:
    waits = _file(process, "exe").rpartition("/")[2] in SHELLS and not _has(process, "SigCgt")
    if waits and (children := process.children()):
        first = [child for child in children if not _file(child, "fd/0").startswith("pipe:")]
        for child in first or children:
            with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                yield from _hearers(child)
    elif ranks := _ranks(process):
        for rank in ranks:
            with contextlib.suppress(psutil.Error):
                yield from _hearers(rank)
    else:
        yield process


def _ranks(process: psutil.Process) -> list[psutil.Process]:
    """The processes that it has started for a device each, if it is one that does that."""
    found = []
    if not _is_rank(process):
        found = [child for child in process.children() if _is_rank(child)]
    return found


def _is_rank(process: psutil.Process) -> bool:
    try:
        return _RANK in process.environ()
    except psutil.Error:
        return False


def _has(process: psutil.Process, mask: str) -> bool:
    """Whether SIGTERM is in one of the masks of a process."""
    with contextlib.suppress(OSError):
        for line in (_PROC / str(process.pid) / "status").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == mask:
                return bool(int(value, 16) & _SIGTERM)
    return False


def _file(process: psutil.Process, name: str) -> str:
    """What one of its links in /proc leads to; nothing when it is gone."""
    try:
        return os.readlink(_PROC / str(process.pid) / name)
    except OSError:
        return ""
