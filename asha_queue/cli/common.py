"""What several verbs share: options, the store of this directory, JSON."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from asha_queue import where
from asha_queue.errors import ServerError
from asha_queue.handle import Handle, uid_of
from asha_queue.local.server import Server
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.store.journal import finite

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

broker_option: Decorator = click.option(
    "--broker",
    metavar="URL",
    help="Broker and store, redis://HOST:PORT/DB or sentinel://HOST,HOST,HOST/DB?master=NAME; else "
    "ASHA_QUEUE_BROKER, CELERY_BROKER_URL, or the embedded server of this directory.",
)
alive_option: Decorator = click.option(
    "--alive",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Touch a file every few seconds while all is well here and the server answers, so that a "
    "probe can tell by its age.",
)
reason_option: Decorator = click.option(
    "--reason", metavar="TEXT", default="", help="Kept in the journal."
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


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


def print_json(value: Any) -> None:
    """Prints JSON that any program reads: NaN and infinities are texts, as in the journal."""
    click.echo(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))
