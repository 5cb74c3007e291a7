"""A keeper's calls to a store that may not answer: never waited for, and never forgotten."""

import logging
import time
from collections.abc import Callable

from asha_queue.errors import ProtocolError, StoreError
from asha_queue.store.contract import Store

#: Seconds between two calls to a server that does not answer.
TRY_AGAIN = 0.3

log = logging.getLogger("keeper")


class Calls:
    """Makes calls, and repeats those that must be answered until they are."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._owed: list[Callable[[], object]] = []
        #: Until then nothing is asked: the server has just not answered.
        self.silent_until = 0.0

    @property
    def owed(self) -> bool:
        """Whether calls wait that must be answered."""
        return bool(self._owed)

    def owe(self, call: Callable[[], object]) -> None:
        """Takes a call that must be answered."""
        self._owed.append(call)

    def pay(self) -> None:
        """Makes the calls that must be answered, in their order, up to one that is not."""
        while self._owed and self.ask(self._owed[0]):
            del self._owed[0]

    def ask(self, call: Callable[[], object]) -> bool:
        """Whether the call was answered; after an error nothing is asked for a moment."""
        try:
            call()
        except ProtocolError as error:
            log.error("a call that the store refuses, and that is not repeated: %s", error)
        except StoreError as error:
            if self.silent_until == 0.0:
                log.warning("%s; asking again", error)
            self._store.close()
            self.silent_until = time.monotonic() + TRY_AGAIN
            return False
        self.silent_until = 0.0
        return True
