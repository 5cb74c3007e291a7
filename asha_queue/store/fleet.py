"""The workers that live, on the server."""

from asha_queue.store import journal, keys
from asha_queue.store.connection import Part
from asha_queue.store.contract import Json, Worker


class Fleet(Part):
    """The methods of `Store` that take a worker."""

    def beat(self, worker: str, info: Json) -> None:
        self._connection.run("beat", [keys.WORKERS, keys.SEEN], worker, journal.encode(info))

    def leave(self, worker: str) -> None:
        self._connection.run("leave", [keys.WORKERS, keys.SEEN], worker)

    def workers(self) -> list[Worker]:
        rows = self._connection.run("workers", [keys.WORKERS, keys.SEEN])
        found = [
            Worker(name, journal.decode(info), int(seen_at) / 1e6) for name, info, seen_at in rows
        ]
        return sorted(found, key=lambda worker: worker.name)
