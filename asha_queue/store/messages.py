"""Messages for Celery's workers, in lists that are kombu's."""

from collections.abc import Mapping, Sequence

from asha_queue.store import keys
from asha_queue.store.connection import Connection, Word, words


class Messages:
    """Sends what was made ready elsewhere; waits `timeout` seconds for an answer."""

    def __init__(self, url: str, timeout: float) -> None:
        self._connection = Connection(url, timeout)
        #: Number of the database that they go to.
        self.database = self._connection.database

    def send(
        self,
        lists: Mapping[str, Sequence[bytes]],
        channel: str,
        event: bytes,
        uid: str,
        segments: Sequence[tuple[int, int, int]],
    ) -> None:
        """Adds messages to lists, key to what comes first first, tells whoever listens to a
        channel, then marks the segments of an experiment (trial, rung, attempt) as published; in
        one round trip.

        Raises StoreUnavailable when the server does not take them; some may have been sent.
        """
        marks = [number for segment in segments for number in segment]
        calls: list[Sequence[Word]] = [("LPUSH", key, *sent) for key, sent in lists.items()]
        calls.append(("PUBLISH", channel, event))
        self._connection.pipeline([*calls, words("published", [keys.experiment(uid)], marks)])
