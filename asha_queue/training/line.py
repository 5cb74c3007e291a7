"""The line between the training process and its worker's keeper: JSON lines over a Unix socket.

The training process says who it is and what it holds; the keeper passes orders on. A line that
breaks, because the keeper was killed, is made anew and everything is said again.

    → {"hello": PID, "mark": MARK}      first on every connection
    → {"loading": {"uid", "trial", "rung", "attempt"}}  its program is imported
    → {"claiming": {"uid", "trial", "claim", "task"}}   before the store is asked
    → {"claimed": {"token", …}}         the claim was granted: renew it; the rest is in `Granted`
    → {"saved": CHECKPOINT}             the newest checkpoint that it has written
    → {"done": true}                    nothing is held any more
    ← {"drain": true}                   the worker ends: save and return, whatever is held
    ← {"order": "drain", "token": TOKEN}        the segment is wanted back: save and return
    ← {"order": "cancel", "token": TOKEN}       the segment is void: end at once

How far the program is the keeper reads in `pulse.py`. The worker's main process, on a connection of
its own, says how a training process ended, which only its parent is told:

    → {"ended": PID, "status": STATUS}  its exit code, or the signal that killed it below 0
"""

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

#: Seconds between two attempts to reach a keeper that is being started again.
CONNECT_EVERY = 0.05
#: Seconds that the main process waits at most for a keeper that takes no connection.
TELL_TIMEOUT = 0.2


@dataclass(frozen=True, slots=True)
class Granted:
    """A granted claim, as its keeper has to know it."""

    token: int
    #: Name of the experiment.
    experiment: str
    #: Path of the file that the program's output goes to.
    log: str
    #: As the experiment has them, in seconds.
    segment_timeout: float | None
    report_timeout: float | None


def tell_ended(path: str, pid: int, status: int) -> None:
    """Tells the keeper at `path` how a training process ended; a dead keeper need not know."""
    message = json.dumps({"ended": pid, "status": status}).encode() + b"\n"
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TELL_TIMEOUT)
        connection.connect(path)
        connection.sendall(message)


def listen(path: str) -> socket.socket:
    """The keeper's end, in a folder for this user alone."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.setblocking(False)
    return listener


class Line:
    """The training process's end."""

    def __init__(self, path: str, mark: str) -> None:
        self._path = path
        self._hello = {"hello": os.getpid(), "mark": mark}
        self._held: list[dict[str, Any]] = []
        self._token = 0
        self._orders: set[str] = set()
        self._socket: socket.socket | None = None
        self._changed = threading.Condition()
        self._drain = False
        threading.Thread(target=self._hold, name="line to the keeper", daemon=True).start()

    @property
    def draining(self) -> bool:
        """Whether the worker ends, or what is held is wanted back."""
        return self._drain or "drain" in self._orders

    def want_back(self) -> None:
        """Has what is held be wanted back, as by an order; may be called in a signal handler."""
        self._orders.add("drain")

    @property
    def cancelled(self) -> bool:
        """Whether what is held is void."""
        return "cancel" in self._orders

    def loading(self, uid: str, trial: int, rung: int, attempt: int) -> None:
        """Says for which segment a program is imported, which may end this process; waits for a
        keeper to hear it."""
        segment = {"uid": uid, "trial": trial, "rung": rung, "attempt": attempt}
        message = {"loading": segment}
        with self._changed:
            self._changed.wait_for(lambda: self._socket is not None)
            self._held = [message]
            self._send(message)

    def claiming(self, uid: str, trial: int, claim: str, task: str) -> None:
        """Says what is about to be claimed, by which Celery task; waits for a keeper to hear it, as
        a claim that nobody renews is lost."""
        message = {"claiming": {"uid": uid, "trial": trial, "claim": claim, "task": task}}
        with self._changed:
            self._changed.wait_for(lambda: self._socket is not None)
            self._held = [message]
            self._send(message)

    def claimed(self, granted: Granted) -> None:
        """Says that the claim was granted."""
        message = {"claimed": asdict(granted)}
        with self._changed:
            self._token = granted.token
            self._held.append(message)
            self._send(message)

    def saved(self, checkpoint: dict[str, Any]) -> None:
        """Says which checkpoint of the segment is the newest."""
        message = {"saved": checkpoint}
        with self._changed:
            self._held = [held for held in self._held if "saved" not in held] + [message]
            self._send(message)

    def done(self) -> None:
        """Says that nothing is held any more."""
        with self._changed:
            self._held, self._token, self._orders = [], 0, set()
            self._send({"done": True})

    def _send(self, message: dict[str, Any]) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            self._socket = None  # said again on the next connection, which `_hold` makes

    def _hold(self) -> None:
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self._path)
            except OSError:
                connection.close()
                time.sleep(CONNECT_EVERY)
                continue
            with self._changed:
                self._socket = connection
                for message in [self._hello, *self._held]:
                    self._send(message)
                self._changed.notify_all()
            self._listen(connection)
            with self._changed:
                self._socket = None
            connection.close()

    def _listen(self, connection: socket.socket) -> None:
        try:
            with connection.makefile("rb") as lines:
                for line in lines:
                    self._obey(json.loads(line))
        except OSError:
            pass  # the keeper died: as good as an end of the line

    def _obey(self, message: dict[str, Any]) -> None:
        if "drain" in message:
            self._drain = True
            return
        with self._changed:
            if message["token"] == self._token:  # not meant for an earlier segment
                self._orders.add(message["order"])
