"""Training processes as their keeper sees them."""

import contextlib
import json
import math
import os
import resource
import signal
import socket
import sys
from dataclasses import dataclass
from typing import Any

from asha_queue.training.deaths import MemoryKills, cause
from asha_queue.training.line import Granted
from asha_queue.training.processes import Watch
from asha_queue.training.pulse import Reading


@dataclass(slots=True)
class Loading:
    """The segment, not claimed yet, whose program is imported."""

    uid: str
    trial: int
    rung: int
    attempt: int
    #: When it is ended by force, if it was overdue.
    kill_at: float | None = None
    #: Why it cannot be run here, if it was overdue.
    error: str = ""


@dataclass(slots=True)
class Held:
    """A claim: announced while `granted` is None."""

    uid: str
    trial: int
    claim: str
    #: Id of the Celery task.
    task: str
    granted: Granted | None = None
    #: The newest checkpoint that was written for it.
    saved: dict[str, Any] | None = None
    renew_at: float = 0.0
    #: When it is ended by force, if it was cancelled or is overdue.
    kill_at: float | None = None
    #: Why it has failed, if it was overdue.
    error: str = ""
    #: When the store first said that it is another's.
    stale_since: float | None = None
    #: When the store first said that it knows no such experiment.
    unknown_since: float | None = None


class Child:
    """A training process and its line."""

    def __init__(self, connection: socket.socket | None) -> None:
        self.connection = connection
        self.watch: Watch | None = None
        self.mark = ""
        self.held: Held | None = None
        self.loading: Loading | None = None
        self.pulse: Reading | None = None
        #: Since the end of its last segment.
        self.memory_kills: MemoryKills | None = None
        #: When it was found dead.
        self.died_at: float | None = None
        #: Whether it died with the worker's main process.
        self.together = False
        #: How it ended, once its parent has said so.
        self.status: int | None = None
        self._rest = b""

    def receive(self) -> list[dict[str, Any]]:
        """The messages that have come; closes the line at its end."""
        if self.connection is None:
            return []
        messages = []
        try:
            while data := self.connection.recv(65536):
                *lines, self._rest = (self._rest + data).split(b"\n")
                messages += [json.loads(line) for line in lines]
        except BlockingIOError:
            return messages
        except OSError:
            pass
        self.close()
        return messages

    def send(self, message: dict[str, Any]) -> None:
        if self.connection:
            with contextlib.suppress(OSError):
                self.connection.sendall(json.dumps(message).encode() + b"\n")

    def due(self) -> float:
        """When its segment is overdue, if nothing is heard until then."""
        if self.pulse and self.loading and not self.loading.kill_at:
            return self.pulse.silent_at()
        if not self.pulse or not self.held or not self.held.granted or self.held.kill_at:
            return math.inf
        limit = self.held.granted.segment_timeout
        trained = self.pulse.trained_at(limit) if limit else math.inf
        return min(self.pulse.silent_at(), trained)

    def overdue(self, now: float) -> str:
        """Why its segment is overdue, in a sentence; empty while it is not."""
        if now < self.due():
            return ""
        assert self.pulse
        if self.loading:
            return f"the program's import has not ended after {self.pulse.patience:g} s"
        assert self.held
        assert self.held.granted
        granted = self.held.granted
        if now < self.pulse.silent_at():
            said = f"trained for longer than segment_timeout={granted.segment_timeout:g} s"
        elif granted.report_timeout:
            said = f"no report for longer than report_timeout={granted.report_timeout:g} s"
        else:
            said = f"no report for {self.pulse.patience:g} s; set report_timeout if steps take more"
        return f"{said}; its stack: asha-queue logs {granted.experiment} {self.held.trial}"

    def abort(self) -> None:
        """Has it print its stack and die."""
        assert self.watch
        with contextlib.suppress(OSError, ValueError):
            if sys.platform == "linux":  # the stack is wanted, not gigabytes of core
                resource.prlimit(self.watch.pid, resource.RLIMIT_CORE, (0, 0))
        with contextlib.suppress(OSError):
            os.kill(self.watch.pid, signal.SIGABRT)

    def cause(self) -> str:
        """How it died, after a colon; empty when nobody has said so."""
        return cause(self.status, self.memory_kills is not None and self.memory_kills.rose())

    def close(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None
