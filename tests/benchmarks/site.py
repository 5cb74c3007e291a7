"""Places where the same work is done: by this tool, by bare Celery and by bare lists.

Each is a context with two workers on a real server that writes every command to its disk (as the
embedded one does); its `run(tasks, seconds)` has them sleep so often for so long, and gives what
each did, in the machine's monotonic time.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import redis

from asha_queue.store import connect
from tests.conftest import wait_until
from tests.processes.servers import Valkey

#: Workers of a place.
WORKERS = 2
#: Seconds in which anything here is done, or something is wrong.
PATIENCE = 170

#: What each worker does: it notes when it began and ended, in a file of its own.
WORK = """
import os, time

_notes = None

def work(folder, seconds):
    global _notes
    began = time.monotonic()
    if _notes is None or not os.path.exists(f"{folder}/{os.getpid()}"):
        _notes = os.open(f"{folder}/{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if seconds:
        time.sleep(seconds)
    os.write(_notes, f"{began} {time.monotonic()}\\n".encode())
"""
PROGRAM = """
from work import work
from asha_queue import Experiment, Trial, uniform

def train(trial: Trial) -> None:
    work(trial.config["folder"], trial.config["seconds"])
    trial.report(step=trial.target, loss=trial.config["x"])

experiment = Experiment(
    name="bench", train=train, metric="loss", mode="min", max_t=64, num_samples=%d, seed=0,
    space={"x": uniform(0, 1), "folder": %r, "seconds": %r}, sampler="random",
)
"""
CELERY = """
from celery import Celery
from work import work

app = Celery("bare", broker=%r)
app.conf.update(task_ignore_result=True, task_send_sent_event=True, worker_disable_prefetch=True)

@app.task(name="bare")
def bare(folder, seconds):
    work(folder, seconds)
"""
LISTS = """
import os, sys
import redis
from work import work

server = redis.Redis.from_url(%r)
while task := server.blpop("tasks")[1].decode():
    work(*[task.split()[0], float(task.split()[1])])
    server.rpush("done", task)
"""


class Worked:
    """What the workers did: (began, ended) in order, for each of their processes."""

    def __init__(self, folder: Path, skip: int) -> None:
        lines = [file.read_text().split("\n")[:-1] for file in sorted(folder.iterdir())]
        self.by_process = [
            [tuple(map(float, line.split())) for line in group][skip:] for group in lines
        ]

    @property
    def rate(self) -> float:
        """Tasks done in a second."""
        begun = min(tasks[0][0] for tasks in self.by_process)
        ended = max(tasks[-1][1] for tasks in self.by_process)
        return sum(map(len, self.by_process)) / (ended - begun)

    @property
    def busy(self) -> float:
        """The part of their time in which workers worked."""
        worked = sum(ended - began for tasks in self.by_process for began, ended in tasks)
        return worked / sum(tasks[-1][1] - tasks[0][0] for tasks in self.by_process)

    @property
    def gaps(self) -> list[float]:
        """Seconds from the end of a task to the begin of the next one, in order of size."""
        pairs = [pair for tasks in self.by_process for pair in pairwise(tasks)]
        return sorted(b[0] - a[1] for a, b in pairs)


class Place:
    """A server, a folder, and processes that end with them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.valkey = Valkey(folder / "valkey")
        self.client = redis.Redis.from_url(self.valkey.url, decode_responses=True)
        self.processes: list[subprocess.Popen[bytes]] = []
        self._runs = 0
        (folder / "work.py").write_text(WORK)

    def begin(self) -> None:
        """Starts its workers."""
        raise NotImplementedError

    def run(self, tasks: int, seconds: float) -> Worked:
        """Has about so many tasks done, each in so many seconds."""
        raise NotImplementedError

    def start(self, *command: str, name: str) -> subprocess.Popen[bytes]:
        environment = os.environ | {"PYTHONPATH": f"{Path.cwd()}:{self.folder}"}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        self.processes.append(process)
        return process

    def notes(self) -> Path:
        """A new folder for what the workers note."""
        self._runs += 1
        folder = self.folder / f"notes{self._runs}"
        folder.mkdir()
        return folder

    def close(self) -> None:
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait(30)
        self.client.close()
        self.valkey.kill()


class Tool(Place):
    """This tool: `asha-queue worker` and `asha-queue run`."""

    def begin(self) -> None:
        command = ["worker", "--broker", self.valkey.url, "--cpus", str(WORKERS)]
        self.start(sys.executable, "-m", "asha_queue", *command, name="worker")
        store = connect(self.valkey.url)
        wait_until(lambda: len(store.workers()) == WORKERS, "the workers are there", seconds=60)

    def run(self, tasks: int, seconds: float) -> Worked:
        folder = self.notes()
        # one trial in four trains on in the next rung, and of these one in four …
        program = PROGRAM % (tasks * 3 // 4, str(folder), seconds)
        (self.folder / "bench.py").write_text(program)
        command = ["run", "bench.py", "--broker", self.valkey.url, "--fresh"]
        run = self.start(sys.executable, "-m", "asha_queue", *command, name="run")
        if run.wait(PATIENCE):
            sys.exit((self.folder / "run.log").read_text())
        self.processes.remove(run)
        return Worked(folder, skip=5)


class BareCelery(Place):
    """Tasks that do nothing but the work, all put into the queue before."""

    def begin(self) -> None:
        (self.folder / "bare.py").write_text(CELERY % self.valkey.url)
        for number in range(WORKERS):
            options = ["-P", "prefork", "-c", "1", "-E", "-n", f"bare{number}@%h"]
            options += ["--without-gossip", "--without-mingle", "-l", "warning"]
            command = [sys.executable, "-m", "celery", "-A", "bare", "worker"]
            self.start(*command, *options, name=f"worker{number}")

    def run(self, tasks: int, seconds: float) -> Worked:
        folder = self.notes()
        send = f"import bare\nfor _ in range({tasks}): bare.bare.delay({str(folder)!r}, {seconds})"
        workers = list(self.processes)
        for worker in workers:  # the time to put tasks into the queue is none of theirs
            worker.send_signal(signal.SIGSTOP)
        sender = self.start(sys.executable, "-c", send, name="send")
        sender.wait(PATIENCE)
        self.processes.remove(sender)
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
        _await(folder, tasks)
        return Worked(folder, skip=5)


class BareLists(Place):
    """Two lists, and somebody who answers each task that is done by the next one."""

    def begin(self) -> None:
        for number in range(WORKERS):
            text = LISTS % self.valkey.url
            self.start(sys.executable, "-c", text, name=f"worker{number}")

    def run(self, tasks: int, seconds: float) -> Worked:
        folder = self.notes()
        task = f"{folder} {seconds}"
        self.client.rpush("tasks", *[task] * WORKERS)
        for number in range(tasks):
            self.client.blpop(["done"])
            if number < tasks - WORKERS:
                self.client.rpush("tasks", task)
        return Worked(folder, skip=5)

    def close(self) -> None:
        for process in self.processes:
            process.kill()
        super().close()


def _await(folder: Path, tasks: int) -> None:
    """Waits for so many notes."""
    deadline = time.monotonic() + PATIENCE
    while sum(file.read_bytes().count(b"\n") for file in folder.iterdir()) < tasks:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{tasks} tasks are not done after {PATIENCE} s")
        time.sleep(0.2)


@contextmanager
def place(kind: type[Place]) -> Iterator[Place]:
    """One of them, in a folder for the time being."""
    with tempfile.TemporaryDirectory() as name:
        there = kind(Path(name))
        try:
            there.begin()
            yield there
        finally:
            there.close()
