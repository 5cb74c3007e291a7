"""Retention: checkpoints that nobody needs any more are taken off the record, then off the disk.

Rules

* What may go is said in `search/holdings.py`; the best results that the experiment shows stay.
* The entry goes first, by a script that passes over a trial which is open by now: a claim never
  rests on what is removed. The files go REMOVE_AFTER later. Until then they are listed in the
  store: whoever leads next removes them, and a store that was rolled back has neither lost the
  entry nor lists the files.
* Before an experiment finishes, all that may go by its final state leaves the record; then the
  files go at once, as nobody can claim a trial of it. If a server goes back to before that, a
  trial whose files are gone trains again. What is cancelled ends at once: only what left the
  record before is removed.
* Only the leader does this, and its term goes with it. One that was deposed removes at most files
  that its successor would remove as well.
* Files are removed by a thread of its own, a few at a time: no decision waits for a disk. What
  cannot be removed is tried again later; that it cannot is said once, and stops nothing.
* A coordinator that does not see the experiment's checkpoints evicts none: it would save no disk.
"""

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any, Final

from asha_queue.checkpoints import Checkpoints
from asha_queue.errors import CheckpointError, CheckpointUnreachable
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.search.holdings import Holdings
from asha_queue.settings import REMOVE_AFTER, TICK
from asha_queue.specification import Specification
from asha_queue.storage import AnyStorage
from asha_queue.store.contract import Eviction, Store

#: Checkpoints evicted, and removed, in one go.
BATCH: Final = 100
#: Trials looked at in one go, besides those that came to rest since the last look.
LOOK: Final = 1000
#: A look at all of them, as limits ask for, is taken so many times more seldom than it takes.
RARELY: Final = 20
#: Seconds until files are tried again that could not be removed.
AGAIN: Final = 60.0

log = logging.getLogger("coordinator")


class Retention:
    """Evicts and removes the checkpoints of one experiment, whose files are below `folder`."""

    def __init__(
        self, store: Store, uid: str, specification: Specification, folder: AnyStorage
    ) -> None:
        self._store, self._uid, self._specification = store, uid, specification
        storage, _, name = str(folder).rpartition("/")
        self._checkpoints = Checkpoints(storage, name, uid)
        self._next = 0.0
        self._said = ""
        self._thread: threading.Thread | None = None
        self._gone: list[str] = []
        #: Checkpoints whose files were removed so far.
        self.removed = 0
        self._trouble = ""
        self.begin()

    def begin(self) -> None:
        """Forgets everything: the journal is followed from its first entry again."""
        limit, size = self._specification.keep_checkpoints, self._specification.keep_bytes
        most = limit if isinstance(limit, int) else None
        self._holdings = Holdings(self._specification.plan, most, size)

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal."""
        self._holdings.apply(entry)

    def tend(self, search: Asha, result: Result, term: int) -> None:
        """Evicts what may go, and sees to the removal of what went; once a second at most."""
        if self._specification.keep_checkpoints == "all" or time.monotonic() < self._next:
            return
        began = time.monotonic()
        self._next = began + TICK
        if self._sees():
            self._evict(search, result, term, LOOK)
            if self._holdings.limited:
                self._next = max(self._next, began + RARELY * (time.monotonic() - began))
            self._remove(REMOVE_AFTER)

    def settle(self, search: Asha, result: Result, term: int) -> None:
        """Evicts all that may go, just before the experiment finishes."""
        if self._specification.keep_checkpoints != "all" and self._sees():
            while self._evict(search, result, term):
                pass

    def clear(self) -> bool:
        """Sees to the removal of all that was evicted, once the experiment has ended; True when it
        is gone, or cannot be removed."""
        return self._specification.keep_checkpoints == "all" or not (
            self._sees() and self._remove(0.0)
        )

    def _sees(self) -> bool:
        try:
            self._checkpoints.require_seen()
        except CheckpointUnreachable as error:
            if self._holdings.count:
                self._say(str(error))
            return False
        return True

    def _evict(self, search: Asha, result: Result, term: int, some: int | None = None) -> bool:
        """True if there was something, and there may be more."""
        best = [*result.pareto_front, result.best, result.best_seen]
        keep = {one.checkpoint["path"] for one in best if one and one.checkpoint}
        surplus = self._holdings.surplus(search, keep, some)
        for first in range(0, len(surplus), BATCH):
            asked = surplus[first : first + BATCH]
            if self._store.evict(self._uid, term, [Eviction(*one) for one in asked]) != "ok":
                return False
            self._holdings.asked(asked)
        return bool(surplus)

    def _remove(self, age: float) -> bool:
        """True while files are removed whose checkpoints left the record `age` seconds ago."""
        if self._thread and self._thread.is_alive():
            return True
        if self._gone:
            self._store.removed(self._uid, self._gone)
            self._gone = []
        if self._trouble:
            self._say(self._trouble)
            self._trouble, self._next = "", time.monotonic() + AGAIN
            return False
        paths = self._store.removable(self._uid, age, BATCH)
        if paths:
            self._thread = threading.Thread(target=self._remove_files, args=(paths,), daemon=True)
            self._thread.start()
        return bool(paths)

    def _remove_files(self, paths: list[str]) -> None:
        try:
            for path in paths:
                self._checkpoints.remove(path)
                self._gone.append(path)
                self.removed += 1
        except CheckpointError as error:
            self._trouble = str(error)

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            name = self._specification.name
            log.warning("%s: checkpoints that are not needed stay: %s", name, reason)
