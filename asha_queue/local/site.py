"""Server and workers of a directory: everything that a run on one machine needs.

Rules

* Whoever owns the server has the launcher as its child, too, and starts it again when it dies
  alone; guests have no workers of their own.
* The kernel ends the launcher with its owner, even when that is killed.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from asha_queue.errors import ServerError
from asha_queue.local.children import end, start
from asha_queue.local.server import Server
from asha_queue.training.scripts import COMMANDS

#: Seconds that workers get to save and hand their segments back at the end.
DRAIN = 15.0


class Local:
    """Server and workers of a directory; the workers run beside the server, under its owner, and
    serve all `queues`: this machine stands for every class."""

    def __init__(
        self,
        directory: Path,
        workers: int | None,
        programs: Sequence[Path],
        storage: str,
        queues: Sequence[str],
    ) -> None:
        self.server = Server(directory)
        self._workers = workers
        self._programs = programs
        self._storage = storage
        self._queues = queues
        self._launcher: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """Makes sure that a server answers, and that workers run if it is ours; returns its URL."""
        self.server.start()
        self.tend()
        return self.server.url

    def tend(self) -> None:
        """Starts again what has died alone. Call it once a second or so.

        Raises ServerError when the launcher has given up, as its workers cannot start.
        """
        self.server.tend()
        code = self._launcher.poll() if self._launcher else None
        if code is not None and code > 0:  # it ended by itself: it was not killed
            last = self.log.read_text(errors="replace").strip().splitlines()[-1:]
            raise ServerError(f"the workers do not start; {self.log} says why: {''.join(last)}")
        if self.server.owned and (self._launcher is None or code is not None):
            self._launch()

    def stop(self) -> None:
        """Lets the workers save and hand back their segments, then ends them and the server."""
        if self._launcher:
            end(self._launcher, DRAIN + 10.0)
        self.server.stop()

    def _launch(self) -> None:
        command = [sys.executable, "-m", "asha_queue.node.launcher", "--with-parent"]
        command += ["--workers", str(self._workers or "auto")]
        command += ["--storage", self._storage, "--drain-timeout", str(DRAIN)]
        command += ["--log", str(self.log)]
        for folder in self._programs:
            command += ["--programs", str(folder)]
        for queue in self._queues:
            command += ["--queue", queue]
        environment = os.environ | {"ASHA_QUEUE_BROKER": self.server.url, COMMANDS: "1"}
        with self.log.open("ab") as log:
            self._launcher = start(command, log, environment, signal.SIGTERM)

    @property
    def log(self) -> Path:
        """What launcher, workers and keepers say."""
        return self.server.data / "workers.log"
