"""Live reports and progress: sent in the background, and dropped rather than waited for."""

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from asha_queue.errors import StoreError
from asha_queue.queue import Events
from asha_queue.store.contract import Store

#: Seconds between two flushes.
FLUSH_EVERY = 0.3
#: Seconds between two events that tell Flower how far a task is.
TELL_EVERY = 1.0
#: Reports that wait for a flush; of more than these the oldest are dropped.
WAITING = 200


class LiveReports:
    """Buffers reports and sends them from a thread of its own."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._points: deque[tuple[str, dict[str, Any]]] = deque(maxlen=WAITING)
        self._progress: tuple[str, Callable[[], str]] | None = None
        self._tell_at = 0.0
        self._any = threading.Event()
        threading.Thread(target=self._send, name="live reports", daemon=True).start()

    def add(self, uid: str, point: dict[str, Any]) -> None:
        """Takes a point for the live stream of an experiment; costs microseconds."""
        self._points.append((uid, point))
        self._wake()

    def tell(self, task: str, text: Callable[[], str]) -> None:
        """Takes how far a task is, in a line for people, which is made only when it is sent; it
        replaces what was not sent yet."""
        self._progress = (task, text)
        self._wake()

    def done(self) -> None:
        """Sends no progress any more: the task has a result, which it would replace."""
        self._progress = None

    def _wake(self) -> None:
        if not self._any.is_set():  # setting it again takes a lock, for nothing
            self._any.set()

    def _send(self) -> None:
        while True:
            self._any.wait(FLUSH_EVERY if self._progress else None)
            time.sleep(FLUSH_EVERY)
            self._any.clear()
            points = [self._points.popleft() for _ in range(len(self._points))]
            for uid, group in itertools.groupby(points, key=lambda item: item[0]):
                with contextlib.suppress(StoreError):
                    self._store.report(uid, [point for _, point in group])
            self._tell()

    def _tell(self) -> None:
        now, progress = time.monotonic(), self._progress
        if progress and now >= self._tell_at:
            self._tell_at = now + TELL_EVERY
            self._progress = None
            task, text = progress
            self._events.progress(task, text())
