"""The worker's main process and its keeper: starting it, and starting it again."""

import json
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from contextlib import suppress
from errno import ECONNREFUSED
from pathlib import Path
from typing import Any

from asha_queue.training.line import tell_ended

#: Seconds between the end of a keeper and the start of the next: at first, and at most when each
#: ends soon.
AGAIN = 0.1
AGAIN_MAX = 5.0
#: Characters of a folder's name that leave room for a socket's path (the system's limit is 104).
FOLDER_MAX = 70
#: Beginning of the names of these folders.
PREFIX = "asha-queue-keeper-"
#: Seconds after which a folder whose socket nobody listens on is a dead keeper's.
STALE = 60.0


class Supervisor:
    """Keeps a keeper running for as long as this process lives.

    `undrain`: the worker was started by hand, and so is wanted though it was drained before.
    """

    def __init__(self, broker: str, worker: str, info: dict[str, Any], undrain: bool) -> None:
        long = len(tempfile.gettempdir()) > FOLDER_MAX
        folder = tempfile.mkdtemp(prefix=PREFIX, dir="/tmp" if long else None)
        #: Tells this worker's processes from those of others.
        self.token = secrets.token_hex(4)
        remove_stale(Path(folder))
        #: The keeper's socket, in a folder for this user alone.
        self.path = str(Path(folder) / "keeper")
        self._environment = os.environ | {"ASHA_QUEUE_BROKER": broker}
        self._worker = worker
        self._info = info
        self._main = os.getpid()
        self._draining = False
        self._keeper = self._start(undrain)
        threading.Thread(target=self._supervise, name="keeper", daemon=True).start()

    def drain(self) -> None:
        """Asks for the drain of the worker; may be called in a signal handler."""
        self._draining = True
        with suppress(ProcessLookupError):
            os.kill(self._keeper, signal.SIGUSR1)

    def ended(self, pid: int, status: int) -> None:
        """Tells the keeper how a training process ended."""
        tell_ended(self.path, pid, status)

    def _start(self, undrain: bool = False) -> int:
        configuration = {
            "worker": self._worker,
            "path": self.path,
            "main": self._main,
            "info": self._info,
            "draining": self._draining,
            "undrain": undrain,
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
        pause = AGAIN
        while True:
            begun = time.monotonic()
            with suppress(ChildProcessError):
                os.waitpid(self._keeper, 0)
            lived = time.monotonic() - begun
            pause = AGAIN if lived > AGAIN_MAX else min(2 * pause, AGAIN_MAX)
            time.sleep(pause)
            self._keeper = self._start()


def remove_stale(new: Path) -> None:
    """Removes the folders of keepers that were killed together with their workers, beside a new
    one. Its time is the present one: this process's clock may be another than that of the files."""
    now = new.lstat().st_mtime
    for folder in new.parent.glob(f"{PREFIX}*"):
        with suppress(OSError):
            about = folder.lstat()
            if about.st_uid != os.getuid() or now - about.st_mtime < STALE:
                continue
            path = folder / "keeper"
            with socket.socket(socket.AF_UNIX) as probe:
                alive = path.is_socket() and probe.connect_ex(str(path)) != ECONNREFUSED
            if not alive:
                shutil.rmtree(folder)
