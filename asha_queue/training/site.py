"""What a training process has at hand for every segment, and how it talks to the store.

Every call about a claimed segment is repeated until it is answered. A server that is down for
minutes costs these minutes; whether the segment is still ours is for the server to say.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from asha_queue import where
from asha_queue.errors import LostExperiment, StoreUnavailable, UnknownExperiment
from asha_queue.settings import FORMAT, LEASE
from asha_queue.storage import Storage, required
from asha_queue.store.contract import Description, Store
from asha_queue.training.line import Line
from asha_queue.training.live import LiveReports
from asha_queue.training.pulse import Pulse
from asha_queue.training.rest import Rest

#: Seconds between two calls to a store that does not answer: the first, and the longest.
TRY_AGAIN = 0.1
TRY_AGAIN_MAX = 2.0

T = TypeVar("T")
log = logging.getLogger("asha_queue")


@dataclass(frozen=True, slots=True)
class Message:
    """What a queue's message says: a segment that may be waiting."""

    uid: str
    trial: int
    rung: int
    attempt: int
    #: Id of the Celery task that it is for.
    task: str
    #: Format of the message.
    v: int = FORMAT


@dataclass(frozen=True, slots=True)
class Ending:
    """How a segment ended, in a line for people; whether this process must be replaced, as it is
    after a failure; and for how many seconds the worker rests then."""

    text: str
    failed: bool = False
    replace: bool = False
    rest: float = 0.0


@dataclass(slots=True)
class Site:
    """What a training process has at hand for every segment."""

    store: Store
    worker: str
    roots: Sequence[Path]
    device: str
    devices: int
    line: Line
    live: LiveReports
    pulse: Pulse
    rest: Rest
    #: Experiments by uid; their specification never changes.
    known: dict[str, Description] = field(default_factory=dict)
    #: The experiment (uid) whose program was loaded last, and its function.
    loaded: tuple[str, Callable[..., object]] | None = None
    #: Those (uids) of which was said that they save no checkpoint.
    warned: set[str] = field(default_factory=set)
    #: Storages that were reached, by path or URL.
    storages: dict[str, Storage] = field(default_factory=dict)

    def describe(self, uid: str) -> Description:
        if uid not in self.known:
            self.known[uid] = answered(partial(self.store.describe, uid))
        return self.known[uid]

    def storage(self, specification: Mapping[str, Any]) -> Storage:
        """Where an experiment's checkpoints and logs are; raises StorageError if this node cannot
        use that."""
        url = where.storage(None, specification.get("storage")).url
        if url not in self.storages:
            self.storages[url] = required(url)
        return self.storages[url]


def answered(call: Callable[[], T]) -> T:
    """The answer of a call to the store, repeated until there is one."""
    pause = TRY_AGAIN
    while True:
        try:
            return call()
        except StoreUnavailable as error:
            if pause == TRY_AGAIN:
                log.warning("%s; trying again until it does", error)
            time.sleep(pause)
            pause = min(2 * pause, TRY_AGAIN_MAX)


def remembered(store: Store, uid: str, call: Callable[[], T]) -> T:
    """As `answered`; while the store has lost the experiment it is asked again, for LEASE."""
    deadline = time.monotonic() + LEASE
    while True:
        answer = answered(call)
        if answer != "unknown" or time.monotonic() > deadline:
            return answer
        try:
            answered(partial(store.describe, uid))  # restored in between: ask again
        except LostExperiment as error:
            log.warning("%s; asking again", error)
            time.sleep(TRY_AGAIN_MAX)
        except UnknownExperiment:
            return answer


def refuse(site: Site, message: Message, reason: str) -> Ending:
    """Leaves a segment that this node cannot run to others."""
    log.warning("trial %d refused: %s", message.trial, reason)
    answered(
        partial(
            site.store.refuse,
            message.uid,
            message.trial,
            message.rung,
            message.attempt,
            site.worker,
            reason,
        )
    )
    return Ending(f"refused: {reason}", rest=site.rest.after_refusal())
