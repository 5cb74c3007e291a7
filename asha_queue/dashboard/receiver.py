"""Flower's receiver of events, for a user of the server that only looks.

Whoever begins to listen asks all workers for a heartbeat. A user that may not tell workers anything
listens all the same: theirs come every few seconds anyway.
"""

import contextlib
from typing import Any

from celery.events import EventReceiver
from flower import events
from kombu.exceptions import OperationalError


class Receiver(EventReceiver):  # type: ignore[misc]  # Celery has no types
    def wakeup_workers(self, channel: Any = None) -> None:
        with contextlib.suppress(OperationalError, *self.connection.channel_errors):
            super().wakeup_workers(channel)


def install() -> None:
    """Has Flower listen by it."""
    events.EventReceiver = Receiver
