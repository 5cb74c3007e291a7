"""Driving an experiment: its coordinator, and the files that a leader keeps up to date."""

import math
import time
from pathlib import Path

from asha_queue.coordinator.exports import Exports
from asha_queue.coordinator.loop import Coordinator
from asha_queue.coordinator.repair import Publisher
from asha_queue.result import Result
from asha_queue.settings import TICK
from asha_queue.store.contract import Store


class Drive:
    """A coordinator and its exports into `folder`."""

    def __init__(self, store: Store, publisher: Publisher, uid: str, folder: Path) -> None:
        self.folder = folder
        self.coordinator = Coordinator(store, publisher, uid)
        self._exports = Exports(store, uid, self.coordinator.fold.specification, folder)
        self._next_look = 0.0

    def turn(self) -> bool:
        """A turn of the coordinator, and a piece of the exports. False if nothing happened."""
        news = self.coordinator.turn()
        if self._term is None:
            return news
        if self.coordinator.ended:
            self.result()
            self._exports.write()
        elif time.monotonic() >= self._next_look:
            if self._exports.follow(self._term):
                return True  # the next piece follows soon
            self._next_look = time.monotonic() + TICK
            self._exports.write_if_due()
        return news

    def step(self) -> None:
        """A turn, then waits for the next event if there was nothing to do."""
        if not self.turn():
            self.coordinator.wait()

    def result(self, patience: float = math.inf) -> Result:
        """The trials as of now, or as far as they can be read within `patience` seconds."""
        deadline = time.monotonic() + patience
        while self._exports.follow(self._term) and time.monotonic() < deadline:
            pass
        return self._exports.result

    def close(self) -> None:
        """Gives up the lead, so that another coordinator need not wait for it."""
        self._exports.close()
        self.coordinator.leadership.resign()

    @property
    def _term(self) -> int | None:
        leadership = self.coordinator.leadership
        return leadership.term if leadership.leading else None
