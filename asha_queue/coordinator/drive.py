"""Driving an experiment: its coordinator, the files that a leader keeps up to date, its trackers,
and the checkpoints that are kept."""

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from asha_queue.coordinator import garbage
from asha_queue.coordinator.exports import Exports
from asha_queue.coordinator.fleet import Fleet
from asha_queue.coordinator.loop import Coordinator
from asha_queue.coordinator.repair import Publisher
from asha_queue.coordinator.tracking import Tracking
from asha_queue.result import Result
from asha_queue.settings import TICK
from asha_queue.storage import AnyStorage, opened
from asha_queue.storage.patience import QUICK
from asha_queue.store.contract import Store

#: Seconds for which an ended experiment waits for trackers that do not get on, and for a disk.
SETTLED_WITHIN = 10.0
#: Trials that come up, and as part of those that there are, until garbage is set aside again.
SET_ASIDE_AFTER = 2_000
SET_ASIDE_GROWTH = 0.1


class Drive:
    """A coordinator, its exports into `folder`, and its trackers; these are told the `broker`, and
    load classes of the user's from `roots`. Without a broker there are none. Several in one process
    share the `fleet`."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        uid: str,
        folder: AnyStorage,
        broker: str | None = None,
        roots: Sequence[Path] = (),
        fleet: Fleet | None = None,
    ) -> None:
        self.folder = opened(folder, QUICK)
        self.coordinator = Coordinator(store, publisher, uid, fleet)
        self.coordinator.before_finish = self._settle
        self._exports = Exports(store, uid, self.coordinator.fold.specification, self.folder)
        self.coordinator.hears = self._exports.hear
        self._next_look = 0.0
        #: With so many trials the garbage collector is told again what not to look at.
        self._set_aside_at = SET_ASIDE_AFTER
        trackers = self.coordinator.fold.specification.trackers if broker else []
        self._tracking = Tracking(broker or "", uid, trackers, self.folder.local, roots)
        #: Whether the files of evicted checkpoints of an ended experiment are gone.
        self._cleared = False
        #: When waiting for that and for trackers ends, unless they get on; and how far they were.
        self._patience: float | None = None
        self._progress: list[str] = []

    def turn(self) -> bool:
        """A turn of the coordinator, and a piece of the exports. False if nothing happened."""
        news = self.coordinator.turn()
        self._tracking.tend(self._term)
        if self._term is None:
            return news
        if self.coordinator.ended:
            self.result()
            self._exports.write()
            self._cleared = self._cleared or self._exports.retention.clear()
            return news
        self._cleared = False
        if self._exports.plenty or time.monotonic() >= self._next_look:
            self._exports.follow(self._term)
            if self._exports.behind:
                return True  # the next piece follows soon
            self._next_look = time.monotonic() + TICK
            search, result = self.coordinator.fold.search, self._exports.result
            self._exports.retention.tend(search, result, self._term)
            if search.started >= self._set_aside_at:
                garbage.set_aside()
                more = SET_ASIDE_AFTER + round(SET_ASIDE_GROWTH * search.started)
                self._set_aside_at = search.started + more
        return self._exports.write_if_due() or news

    def step(self) -> None:
        """A turn, then waits for the next event if there was nothing to do."""
        if not self.turn():
            self.coordinator.wait()

    @property
    def settled(self) -> bool:
        """Whether trackers have all of an ended experiment and what was evicted is off the disk, or
        neither has got on for a while."""
        if self._term is None or (self._tracking.delivered and self._cleared):
            return True
        progress = [*self._tracking.progress, str(self._exports.retention.removed)]
        if self._patience is None or self._progress != progress:
            self._patience = time.monotonic() + SETTLED_WITHIN
            self._progress = progress
        return time.monotonic() >= self._patience

    def said(self) -> Iterator[str]:
        """What is wrong with trackers, each sentence once."""
        yield from self._tracking.news()
        if self.coordinator.ended and self.settled and self._term is not None:
            for tracker in self._tracking.missing:
                yield f"tracker {tracker} lacks some of it; the same command delivers the rest"

    @property
    def troubles(self) -> list[str]:
        """What is wrong with trackers now, as sentences; its leader's word counts."""
        return self._tracking.troubles if self._term is not None else []

    @property
    def lacking(self) -> bool:
        """Whether a tracker of an ended experiment that is led from here lacks some of it."""
        return self._term is not None and not self._tracking.delivered

    def result(self, patience: float = math.inf) -> Result:
        """The trials as of now, or as far as they can be read within `patience` seconds."""
        deadline = time.monotonic() + patience
        while self._exports.follow(self._term) and time.monotonic() < deadline:
            pass
        return self._exports.result

    def close(self) -> None:
        """Gives up the lead, so that another coordinator need not wait for it."""
        self._tracking.close()
        self._exports.close()
        garbage.look_again()
        self.coordinator.resign()

    def _settle(self) -> None:
        """The last of the leader's evictions: nothing may be evicted once it has finished."""
        if self._term is not None:
            result = self.result()
            self._exports.retention.settle(self.coordinator.fold.search, result, self._term)

    @property
    def _term(self) -> int | None:
        leadership = self.coordinator.leadership
        return leadership.term if leadership.leading else None
