"""`asha-queue coordinator`."""

import contextlib
import logging
import signal
import threading
from pathlib import Path

import click

from asha_queue import where
from asha_queue.alive import Alive
from asha_queue.cli.options import alive_option, broker_option
from asha_queue.coordinator.loss import remedy, unknown_journals
from asha_queue.coordinator.service import Service
from asha_queue.errors import ServerError, StoreError, StoreUnavailable
from asha_queue.queue import Publisher
from asha_queue.storage import Storage, opened
from asha_queue.storage.patience import QUICK
from asha_queue.store import connect
from asha_queue.store.contract import Description

#: Seconds between two attempts to reach a store that does not answer.
TRY_AGAIN = 0.5

log = logging.getLogger("coordinator")


@click.command()
@click.option("--storage", metavar="DIR|URL", help="Root of exports; default: each experiment's.")
@alive_option
@broker_option
def coordinator(storage: str | None, alive: Path | None, broker: str | None) -> None:
    """Drive every experiment that is submitted to the broker, until SIGTERM or Ctrl-C.

    Several may run, on any machines: one leads each experiment, and another takes over within
    seconds when it dies. Ending one loses nothing.
    """
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s", level=logging.INFO)
    place = where.broker(broker)
    if place is None:
        raise ServerError("no broker given: give --broker URL or set ASHA_QUEUE_BROKER")
    ending, well = threading.Event(), Alive(alive)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ending.set())

    def folder(description: Description) -> Storage:
        specification = description.specification
        root = where.storage(storage, specification["storage"]).url
        return opened(root, QUICK).below(description.name)

    store = connect(place.url)
    service = Service(store, Publisher(place.url), folder, place.url)
    log.info("%s coordinates the experiments on %s", service.who, place)
    root = opened(where.storage(storage).url, QUICK)
    silent = False
    looked = False
    while not ending.is_set():
        try:
            if not looked:
                for name, path in unknown_journals(store, root):
                    log.warning("%s: unknown to this server. %s", name, remedy(path))
                looked = True
            service.step()
            well.beat()
            silent = False
        except StoreUnavailable as error:
            if not silent:
                log.warning("%s; trying again", error)
            silent = True
            ending.wait(TRY_AGAIN)
    with contextlib.suppress(StoreError):
        service.close()
    log.info("%s has ended; others go on with its experiments", service.who)
