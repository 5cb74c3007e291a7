"""How a process died, in words: what its parent was told, and what the kernel counted.

Rules

* Only the parent of a process is told its exit status; the keeper hears of it from there.
* Nobody is told that it was the kernel who sent a SIGKILL for want of memory. It counts those kills
  for each control group, so a count that rose while the process lived tells them from others.
"""

import signal
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
#: Counts for the whole machine: where control groups do not count, as without any.
_EVERYWHERE = Path("/proc/vmstat")


class MemoryKills:
    """The kernel's count of what it killed for want of memory, where a process belongs."""

    def __init__(self, pid: int) -> None:
        self._path = next((path for path in _counts(pid) if _read(path) is not None), _EVERYWHERE)
        self._count = _read(self._path) or 0

    def forget(self) -> None:
        """Counts from now on."""
        self._count = _read(self._path) or 0

    def rose(self) -> bool:
        """Whether it has killed since this was made, or has forgotten."""
        return (_read(self._path) or 0) > self._count


def cause(status: int | None, out_of_memory: bool) -> str:
    """Of a death, after a colon; empty when nobody knows the status."""
    if status is None:
        return ""
    if status >= 0:
        return f": exit code {status}"
    if -status == signal.SIGKILL and out_of_memory:
        return ": out of memory, the kernel killed it"
    try:
        return f": killed by {signal.Signals(-status).name}"
    except ValueError:  # a real-time signal
        return f": killed by signal {-status}"


def _counts(pid: int) -> Iterator[Path]:
    """Files that may hold the count, the closest first. Inside a container its own group is the
    root of what is mounted, whatever path the process has from outside."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            root, name = _CGROUPS / "memory", "memory.oom_control"
        elif not controllers:
            root, name = _CGROUPS, "memory.events"
        else:
            continue
        yield root / path.lstrip("/") / name
        yield root / name
    yield _EVERYWHERE


def _read(path: Path) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)
