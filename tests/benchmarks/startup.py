"""What comes before the first step: imports, commands, a run's first segment, an idle worker.

How to read it: times are medians, of byte-compiled code. Those of imports and commands are beyond
what Python itself takes to start and to end. The first segment is timed from the call of
`asha-queue run` in an empty folder to the first line of its program, with two workers; beside it
stands what had happened by then, in seconds since the call. Memory is that of a worker which waits
for its first segment. Resident memory counts what processes share once for each of them; beside it
stands what each has, and their share of it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.benchmarks.table import Figure
from tests.processes.lab import Lab
from tests.processes.servers import Valkey

#: Calls of each command, and runs.
CALLS = 9
RUNS = 5
#: What a script for an experiment imports.
SCRIPT = "from asha_queue import Experiment, Trial, choice, loguniform"
#: Writes down when its processes were started, when it was loaded and when it was called, by the
#: monotonic clock, which is the same one for all processes.
PROGRAM = """
import json, os, time
from pathlib import Path
from asha_queue import Experiment, Trial, uniform

LOADED = time.monotonic()

def started(pid):
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    return int(ticks) / os.sysconf("SC_CLK_TCK")

def train(trial: Trial) -> None:
    called = time.monotonic()
    times = {
        "worker": started(os.getppid()), "its training process": started(os.getpid()),
        "program": LOADED, "first line": called,
    }
    Path(trial.config["folder"], f"{called}.times").write_text(json.dumps(times))
    trial.report(loss=trial.config["x"])

experiment = Experiment(
    name="first", train=train, space={"x": uniform(0, 1), "folder": %r}, metric="loss", mode="min",
    max_t=1, num_samples=2,
)
"""


def imports_and_commands() -> Iterator[Figure]:
    command = [str(Path(sys.executable).with_name("asha-queue"))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Valkey(folder / "server")
        try:
            calls = {
                "Python": ([sys.executable, "-c", "pass"], None),
                "import asha_queue": ([sys.executable, "-c", "import asha_queue"], 60),
                "what a script imports": ([sys.executable, "-c", SCRIPT], None),
                "import pydantic": ([sys.executable, "-c", "from pydantic import BaseModel"], None),
                "asha-queue --help": ([*command, "--help"], 250),
                "asha-queue version": ([*command, "version"], None),
                "asha-queue status": ([*command, "status", "--broker", server.url], None),
                "asha-queue run --help": ([*command, "run", "--help"], None),
            }
            took: dict[str, list[float]] = {what: [] for what in calls}
            for _ in range(CALLS):
                for what, (line, _) in calls.items():
                    took[what].append(_call(line, folder))
        finally:
            server.kill()
    times = {what: statistics.median(some) * 1e3 for what, some in took.items()}
    bare = times.pop("Python")
    alone = f"pydantic alone {times.pop('import pydantic') - bare:.0f}"
    for what, milliseconds in times.items():
        beside = alone if what == "what a script imports" else f"Python {bare:.0f}"
        yield Figure(what, milliseconds - bare, "ms", calls[what][1], beside=beside)


def _call(line: list[str], folder: Path) -> float:
    began = time.perf_counter()
    subprocess.run(line, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def first_segment() -> Iterator[Figure]:
    runs = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as name:
            runs.append(_run(Path(name)))
    median = {what: statistics.median(run[what] for run in runs) for what in runs[0]}
    first = median.pop("first line")
    beside = ", ".join(f"{what} {seconds:.2f}" for what, seconds in median.items())
    yield Figure("first segment after `asha-queue run`", first, "s", 4, beside=beside)


def _run(folder: Path) -> dict[str, float]:
    """Seconds from the call of a run to what happens until its first line."""
    (folder / "first.py").write_text(PROGRAM % str(folder))
    address = folder / "asha-runs/.valkey/address"
    command = [str(Path(sys.executable).with_name("asha-queue")), "run", "first.py"]
    began = time.monotonic()
    with (folder / "log").open("w") as log:
        run = subprocess.Popen([*command, "--workers", "2"], cwd=folder, stdout=log, stderr=log)
        while run.poll() is None and not address.exists():
            time.sleep(0.01)
        at = {"server": time.monotonic()}
        run.wait(60)
    assert run.returncode == 0, (folder / "log").read_text()
    at |= json.loads(min(folder.glob("*.times")).read_text())
    return {what: moment - began for what, moment in at.items()}


def idle_worker() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        server = Valkey(Path(name) / "server")
        try:
            with Lab(server.url, Path(name)) as lab:
                main = lab.worker().pid
                time.sleep(2)  # until all is imported and nothing is begun any more
                [keeper] = lab.keepers()
                processes = [psutil.Process(main), *psutil.Process(main).children()]
                training = [one for one in processes if one.pid != keeper.pid]
                yield _memory("idle worker, main and training process", training, 130)
                yield _memory("its keeper", [keeper])
        finally:
            server.kill()


def _memory(what: str, processes: list[psutil.Process], goal: float | None = None) -> Figure:
    found = [process.memory_full_info() for process in processes]
    each = " + ".join(f"{one.rss / 1e6:.0f}" for one in found)
    share = sum(one.pss for one in found) / 1e6
    beside = f"{each}, share {share:.0f}"
    return Figure(what, sum(one.rss for one in found) / 1e6, "MB", goal, beside=beside)


def figures() -> Iterator[Figure]:
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    yield from imports_and_commands()
    yield from first_segment()
    yield from idle_worker()
