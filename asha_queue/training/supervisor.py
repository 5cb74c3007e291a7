"""The worker's main process and its keeper: starting it, and starting it again."""

import json
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

#: Seconds between the end of a keeper and the start of the next.
AGAIN = 0.1


class Supervisor:
    """Keeps a keeper running for as long as this process lives."""

    def __init__(self, broker: str, worker: str, info: dict[str, Any]) -> None:
        folder = tempfile.mkdtemp(prefix="asha-queue-")  # for this user alone
        #: The keeper's socket.
        self.path = str(Path(folder) / "keeper")
        self._environment = os.environ | {"ASHA_QUEUE_BROKER": broker}
        self._worker = worker
        self._info = info
        self._main = os.getpid()
        self._draining = False
        self._keeper = self._start()
        threading.Thread(target=self._supervise, name="keeper", daemon=True).start()

    def drain(self) -> None:
        """Asks for the drain of the worker; may be called in a signal handler."""
        self._draining = True
        with suppress(ProcessLookupError):
            os.kill(self._keeper, signal.SIGUSR1)

    def _start(self) -> int:
        configuration = {
            "worker": self._worker,
            "path": self.path,
            "main": self._main,
            "info": self._info,
            "draining": self._draining,
        }
        command = [sys.executable, "-P", "-m", "asha_queue.training.keeper"]
        # spawned and not forked: forking beside Celery's own forks can block on its pipes; in a
        # group of its own, which no Ctrl-C at a terminal reaches
        return os.posix_spawn(
            sys.executable,
            [*command, json.dumps(configuration)],
            self._environment,
            setpgroup=0,
        )

    def _supervise(self) -> None:
        while True:
            with suppress(ChildProcessError):
                os.waitpid(self._keeper, 0)
            time.sleep(AGAIN)
            self._keeper = self._start()
