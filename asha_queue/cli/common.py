"""What several verbs share: options, the store of this directory, JSON."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from asha_queue import where
from asha_queue.errors import ServerError, UnknownExperiment
from asha_queue.local import Server
from asha_queue.store import connect
from asha_queue.store.contract import Store

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

broker_option: Decorator = click.option(
    "--broker",
    metavar="URL",
    help="Broker and store, redis://HOST:PORT/DB; else ASHA_QUEUE_BROKER, CELERY_BROKER_URL, or "
    "the embedded server of this directory.",
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextlib.contextmanager
def opened_store(broker: str | None) -> Iterator[Store]:
    """The store that `broker` names, or the embedded one of this directory, started if need be."""
    place = where.broker(broker, embedded=False)
    if place:
        yield connect(place.url)
        return
    if not where.ADDRESS_FILE.parent.is_dir():
        raise ServerError(
            f"no broker given, and {Path.cwd()} has no runs ({where.ADDRESS_FILE.parent}). "
            f"Give --broker URL, or call this in the directory of a run."
        )
    server = Server(Path.cwd())
    try:
        yield connect(server.start())
    finally:
        server.stop()


def uid_of(store: Store, name: str) -> str:
    """The uid of the experiment called `name`; UnknownExperiment names those there are."""
    uid = store.uid(name)
    if uid is None:
        known = ", ".join(sorted(store.names())) or "none"
        raise UnknownExperiment(f"no experiment is called {name!r}; there are: {known}")
    return uid


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))
