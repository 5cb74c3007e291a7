"""The store: Redis or Valkey, only here; `contract.py` says what it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from asha_queue.store.contract import Store

if TYPE_CHECKING:
    from asha_queue.store.messages import Messages


def connect(url: str, timeout: float = 5.0) -> Store:
    """A store on the server at `url`; connects at the first call, waits `timeout` seconds for each
    answer. One store serves many threads; make a new one after a fork."""
    from asha_queue.store.server import ServerStore  # redis is imported when it is first needed

    return ServerStore(url, timeout)


def messages(url: str, timeout: float) -> Messages:
    """What sends messages to Celery's workers through the server at `url`."""
    from asha_queue.store.messages import Messages  # as above

    return Messages(url, timeout)


def users_loaded(url: str, ended: Iterable[str] = ()) -> None:
    """Has the server at `url` read its users again, as the user in it, who must be allowed to; ends
    the connections of the users `ended`, which have been let in by what may be void now."""
    from asha_queue.store.connection import Connection

    connection = Connection(url, 5.0)
    try:
        connection.command("ACL", "LOAD")
        for user in ended:
            connection.command("CLIENT", "KILL", "USER", user, "SKIPME", "yes")
    finally:
        connection.close()
