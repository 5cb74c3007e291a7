"""A journal folded: what the coordinator decides from, and what those who look at it see.

Rules

* The journal is the truth. A fold is remembered only as a snapshot in the same store, beside the
  journal and as old as it if the store is rolled back, and says up to which entry it goes.
* A snapshot spares a new coordinator the entries before it. One that is missing, of another format
  or another version that made more of it, or of entries that the journal no longer has, or that is
  none at all, costs time and nothing else.
"""

from collections.abc import Callable
from typing import Any

from asha_queue.coordinator.garbage import uncollected
from asha_queue.errors import StoreError
from asha_queue.result import Result
from asha_queue.samplers import Suggestions
from asha_queue.search.asha import Asha
from asha_queue.specification import Specification
from asha_queue.store.contract import PIECE, Read, Snapshot, Store
from asha_queue.store.journal import decides

#: Entries after which the next snapshot is due, and as part of the trials started: what a new
#: coordinator has to fold stays small beside the snapshot that it reads.
SNAPSHOT_AFTER = 10_000
SNAPSHOT_GROWTH = 0.25
#: Trials of a snapshot that is believed: for each of them there is room in memory at once.
MOST_TRIALS = 10**8


class Fold:
    """Follows one experiment's journal, from its snapshot on; `search` decides from it, and
    `suggestions` has the configurations of new trials."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self.uid = uid
        description = store.describe(uid)
        self.specification = Specification.from_json(description.specification)
        self.submitted_at = description.submitted_at
        #: Hears each entry that is folded.
        self.hears: Callable[[dict[str, Any]], None] = lambda entry: None
        self._begin()
        self._resume()

    def _begin(self) -> None:
        self.search = Asha(self.specification.plan)
        self.suggestions = Suggestions(self.specification, ahead=True)
        self.seen = "0-0"
        #: Id of the last entry that a decision depends on; `schedule` is refused without it.
        self.last = ""
        self._since = 0

    @uncollected()
    def _resume(self) -> None:
        """Begins with the snapshot that a coordinator has kept, if there is one."""
        snapshot = self._store.snapshot(self.uid)
        if snapshot is None:
            return
        try:
            if not self.suggestions.restore(snapshot.state.get("sampler", {})):
                return
            if snapshot.state["started"] > min(snapshot.state["trials"], MOST_TRIALS):
                raise ValueError("no search has started so many trials")
            self.search = Asha.restore(self.specification.plan, snapshot.state)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            self._begin()
            return
        self.seen, self.last = snapshot.seen, snapshot.last

    @uncollected()
    def catch_up(self, read: Read | None = None) -> bool:
        """Reads and folds all entries after the last one seen, of which some may be `read`; False
        if there are none."""
        news = False
        while True:
            read = read or self._store.read(self.uid, self.seen)
            if read.gone:
                self._store.describe(self.uid)  # raises when the experiment is gone altogether
                self._begin()
                news, read = True, None
                continue
            for entry in read.entries:
                self._apply(entry)
            self._since += len(read.entries)
            news = news or bool(read.entries)
            if len(read.entries) < PIECE:
                return news
            read = None

    @uncollected()
    def keep(self) -> None:
        """Leaves a snapshot in the store, if much was folded since the last one."""
        if self._since >= SNAPSHOT_AFTER + SNAPSHOT_GROWTH * self.search.started:
            state = self.search.snapshot() | {"sampler": self.suggestions.snapshot()}
            self._store.keep_snapshot(self.uid, Snapshot(self.seen, self.last, state))
            self._since = 0

    def _apply(self, entry: dict[str, Any]) -> None:
        if not self.last and entry["type"] != "submitted":
            raise StoreError(
                f"the journal of experiment {self.specification.name} begins with "
                f"{entry['type']!r} instead of 'submitted': its first entries are lost. "
                f"Restore it from journal.jsonl, or start anew with --fresh."
            )
        self.search.apply(entry)
        self.suggestions.apply(entry)
        self.seen = entry["id"]
        if decides(entry):
            self.last = entry["id"]
        self.hears(entry)


class FullFold(Fold):
    """A fold from the first entry on, with the `result` too."""

    def _begin(self) -> None:
        super()._begin()
        self.result = Result(self.specification)

    def _resume(self) -> None:
        """A snapshot holds no result."""

    def _apply(self, entry: dict[str, Any]) -> None:
        super()._apply(entry)
        self.result.apply(entry)
