"""Driving an experiment: its coordinator, and the files that a leader keeps up to date."""

import time
from pathlib import Path

from asha_queue.coordinator.exports import Exports
from asha_queue.coordinator.loop import Coordinator
from asha_queue.coordinator.repair import Publisher
from asha_queue.settings import TICK
from asha_queue.store.contract import Store


class Drive:
    """A coordinator and its exports into `folder`."""

    def __init__(self, store: Store, publisher: Publisher, uid: str, folder: Path) -> None:
        self.coordinator = Coordinator(store, publisher, uid)
        self._exports = Exports(store, uid, folder)
        self._next_export = 0.0

    def turn(self) -> bool:
        """A turn of the coordinator, and once a second the exports. False if nothing happened."""
        news = self.coordinator.turn()
        self._export()
        return news

    def step(self) -> None:
        """A turn, then waits for the next event if there was nothing to do."""
        self.coordinator.step()
        self._export()

    def close(self) -> None:
        """Gives up the lead, so that another coordinator need not wait for it."""
        self._exports.close()
        self.coordinator.leadership.resign()

    def _export(self) -> None:
        coordinator = self.coordinator
        if not coordinator.leadership.leading:
            return
        now = time.monotonic()
        if now >= self._next_export or coordinator.ended:
            self._next_export = now + TICK
            self._exports.update(coordinator.fold, coordinator.leadership.term)
