"""The coordinator's memory: a fold over the journal, and nothing else."""

from typing import Any

from asha_queue.errors import StoreError
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.specification import Specification
from asha_queue.store.contract import Store
from asha_queue.store.journal import decides


class Fold:
    """Follows one experiment's journal: `search` decides from it, `result` shows it.

    When the store no longer has the entry read last (it was rolled back), everything is folded
    anew from the start, and `generation` counts up.
    """

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self.uid = uid
        description = store.describe(uid)
        self.specification = Specification.from_json(description.specification)
        self.generation = 0
        self._begin()

    def _begin(self) -> None:
        specification = self.specification
        self.search = Asha(
            specification.ladder,
            specification.mode,
            specification.metric,
            specification.num_trials,
            specification.parameters.grid_size,
        )
        self.result = Result(specification)
        self.seen = "0-0"
        #: Id of the last entry that a decision depends on; `schedule` is refused without it.
        self.last = ""

    def catch_up(self) -> list[dict[str, Any]]:
        """Reads and folds all entries after the last one seen, and returns them."""
        folded: list[dict[str, Any]] = []
        while True:
            read = self._store.read(self.uid, self.seen)
            if read.gone:
                self._store.describe(self.uid)  # raises when the experiment is gone altogether
                self._begin()
                self.generation += 1
                folded.clear()
                continue
            if not read.entries:
                return folded
            for entry in read.entries:
                self._apply(entry)
            folded += read.entries

    def _apply(self, entry: dict[str, Any]) -> None:
        if not self.last and entry["type"] != "submitted":
            raise StoreError(
                f"the journal of experiment {self.specification.name} begins with "
                f"{entry['type']!r} instead of 'submitted': its first entries are lost. "
                f"Restore it from journal.jsonl, or start anew with --fresh."
            )
        self.search.apply(entry)
        self.result.apply(entry)
        self.seen = entry["id"]
        if decides(entry):
            self.last = entry["id"]
