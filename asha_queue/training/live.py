"""Live reports: sent in the background, and dropped rather than waited for."""

import contextlib
import itertools
import threading
import time
from collections import deque
from typing import Any

from asha_queue.errors import StoreError
from asha_queue.store.contract import Store

#: Seconds between two flushes.
FLUSH_EVERY = 0.3
#: Reports that wait for a flush; of more than these the oldest are dropped.
WAITING = 200


class LiveReports:
    """Buffers reports and sends them from a thread of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._points: deque[tuple[str, dict[str, Any]]] = deque(maxlen=WAITING)
        self._any = threading.Event()
        threading.Thread(target=self._send, name="live reports", daemon=True).start()

    def add(self, uid: str, point: dict[str, Any]) -> None:
        """Takes a point for the live stream of an experiment; costs microseconds."""
        self._points.append((uid, point))
        self._any.set()

    def _send(self) -> None:
        while self._any.wait():
            time.sleep(FLUSH_EVERY)
            self._any.clear()
            points = [self._points.popleft() for _ in range(len(self._points))]
            for uid, group in itertools.groupby(points, key=lambda item: item[0]):
                with contextlib.suppress(StoreError):
                    self._store.report(uid, [point for _, point in group])
