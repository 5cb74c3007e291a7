"""What several verbs share: the server and the store of this directory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from asha_queue import where
from asha_queue.errors import ServerError
from asha_queue.handle import Handle, uid_of
from asha_queue.local.server import Server
from asha_queue.store import connect
from asha_queue.store.contract import Store


@contextlib.contextmanager
def opened_server(broker: str | None, make: bool = False) -> Iterator[str]:
    """URL of the server that `broker` names, or of this directory's own, started if need be; with
    `make` in a directory that has none yet, too."""
    place = where.broker(broker, embedded=False)
    if place:
        yield place.url
        return
    if not make and not where.ADDRESS_FILE.parent.is_dir():
        raise ServerError(
            f"no broker given, and {Path.cwd()} has no runs ({where.ADDRESS_FILE.parent}). "
            f"Give --broker URL, or call this in the directory of a run."
        )
    server = Server(Path.cwd())
    try:
        yield server.start()
    finally:
        server.stop()


@contextlib.contextmanager
def opened_store(broker: str | None, make: bool = False) -> Iterator[Store]:
    """The store on that server."""
    with opened_server(broker, make) as url:
        yield connect(url)


@contextlib.contextmanager
def handle_of(name: str, broker: str | None) -> Iterator[Handle]:
    """The experiment called `name` in that store."""
    with opened_store(broker) as store:
        yield Handle(store, uid_of(store, name))
