"""Training processes as their keeper sees them."""

import contextlib
import json
import socket
from dataclasses import dataclass
from typing import Any

from asha_queue.training.processes import Watch


@dataclass(slots=True)
class Held:
    """A claim: announced while `token` is 0, granted after that."""

    uid: str
    trial: int
    claim: str
    #: Id of the Celery task.
    task: str
    token: int = 0
    renew_at: float = 0.0
    #: When it is ended by force, if it was cancelled.
    kill_at: float | None = None
    #: When the store first said that it is another's.
    stale_since: float | None = None
    #: When the store first said that it knows no such experiment.
    unknown_since: float | None = None


class Child:
    """A training process and its line."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection: socket.socket | None = connection
        self.watch: Watch | None = None
        self.mark = ""
        self.held: Held | None = None
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

    def close(self) -> None:
        if self.connection:
            self.connection.close()
            self.connection = None
