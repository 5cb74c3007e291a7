"""The store's twin in memory, for tests of whoever uses a store: the same answers, no server.

Written anew from the rules instead of translated, and held to them by the contract suite and by
`tests/server/test_store_interleavings.py`, which plays every step against both. The clock is the
caller's, one thread at a time may call, and `wait` returns at once.
"""

from asha_queue.store.memory.experiments import Experiments
from asha_queue.store.memory.orders import Orders
from asha_queue.store.memory.restores import Restores
from asha_queue.store.memory.segments import Segments

__all__ = ["MemoryStore"]


class MemoryStore(Experiments, Restores, Orders, Segments):
    """A `Store` in memory: `MemoryStore(clock)`, where `clock` gives the server's time in seconds.

    A test rolls it back by copying (`copy.deepcopy`) and replacing its attribute `memory`.
    """

    def close(self) -> None:
        """Nothing to close."""
