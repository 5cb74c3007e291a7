"""The store on a Redis or Valkey server."""

from asha_queue.store.connection import Connection
from asha_queue.store.experiments import Experiments
from asha_queue.store.fleet import Fleet
from asha_queue.store.orders import Orders
from asha_queue.store.restores import Restores
from asha_queue.store.segments import Segments


class ServerStore(Experiments, Restores, Orders, Segments, Fleet):
    """A `Store` whose every method is a script on the server; connects at the first call."""

    def __init__(self, url: str, timeout: float = 5.0) -> None:
        super().__init__(Connection(url, timeout))

    def close(self) -> None:
        self._connection.close()
