"""The store: Redis or Valkey, only here; `contract.py` says what it does."""

from asha_queue.store.contract import Store


def connect(url: str, timeout: float = 5.0) -> Store:
    """A store on the server at `url`; connects at the first call, waits `timeout` seconds for each
    answer. One store serves many threads; make a new one after a fork."""
    from asha_queue.store.server import ServerStore  # redis is imported when it is first needed

    return ServerStore(url, timeout)
