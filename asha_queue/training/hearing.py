"""What a keeper waits for: lines and what comes over them, the ends of processes, signals.

Rules

* A training process says three things about each segment, and none of them has to be heard at once:
  what it has said is in the socket, also when it is dead. So after something was heard over a line
  no line wakes the keeper for REST. Where segments are short, the training has that time.
* New lines, ends of processes and signals are heard at once.
"""

import selectors
import signal
import socket
import time

from asha_queue.training.line import listen

#: Seconds for which no line is listened to after one was heard.
REST = 0.05


class Hearing:
    """Waits for a keeper whose socket is at `path`."""

    def __init__(self, path: str) -> None:
        self._selector = selectors.DefaultSelector()
        self._lines = selectors.DefaultSelector()
        self._listener = listen(path)
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._lines, selectors.EVENT_READ)
        #: When lines are listened to again; None while they are.
        self._rest_until: float | None = None
        wake, self._wake = socket.socketpair()
        for end in (wake, self._wake):
            end.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._selector.register(wake, selectors.EVENT_READ, wake)

    def add(self, descriptor: int | None) -> None:
        """Also waits for the end of a process, if there is a descriptor for that."""
        if descriptor is not None:
            self._selector.register(descriptor, selectors.EVENT_READ)

    def drop(self, descriptor: int | None) -> None:
        if descriptor is not None:
            self._selector.unregister(descriptor)

    def close(self, line: socket.socket) -> None:
        """Hears that line no more."""
        self._lines.unregister(line)

    def wait(self, seconds: float) -> list[socket.socket]:
        """Waits for news, at most so long; returns the lines that are new, heard from now on."""
        end = time.monotonic() + seconds
        while (events := self._select(end)) is None:
            continue
        new = []
        for key, _ in events:
            if key.fileobj is self._listener:
                line, _ = self._listener.accept()
                line.setblocking(False)
                self._lines.register(line, selectors.EVENT_READ)
                new.append(line)
            elif key.fileobj is self._lines:
                self._selector.unregister(self._lines)
                self._rest_until = time.monotonic() + REST
            elif isinstance(key.data, socket.socket):
                key.data.recv(4096)
        return new

    def _select(self, end: float) -> list[tuple[selectors.SelectorKey, int]] | None:
        """What has happened until `end`; None when it is time to listen to lines again."""
        now = time.monotonic()
        if self._rest_until is not None and now >= self._rest_until:
            self._rest_until = None
            self._selector.register(self._lines, selectors.EVENT_READ)
        if self._rest_until is None:
            return self._selector.select(max(0.0, end - now))
        events = self._selector.select(max(0.0, min(end, self._rest_until) - now))
        return events if events or self._rest_until >= end else None
