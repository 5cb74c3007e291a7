"""Messages for Celery's workers, in lists that are kombu's."""

from collections.abc import Mapping, Sequence

from asha_queue.store.connection import Connection


class Messages:
    """Sends what was made ready elsewhere; waits `timeout` seconds for an answer."""

    def __init__(self, url: str, timeout: float) -> None:
        self._connection = Connection(url, timeout)
        #: Number of the database that they go to.
        self.database = self._connection.database

    def send(self, lists: Mapping[str, Sequence[bytes]], channel: str, event: bytes) -> None:
        """Adds messages to lists, key to what comes first first, and tells whoever listens to a
        channel, in one round trip.

        Raises StoreUnavailable when the server does not take them; some may have been sent.
        """
        commands: list[tuple[str | bytes, ...]] = []
        commands += [("LPUSH", key, *messages) for key, messages in lists.items()]
        self._connection.pipeline([*commands, ("PUBLISH", channel, event)])
