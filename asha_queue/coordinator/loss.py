"""Experiments that a server has lost: seen by their journals, which are exported outside of it.

A store tells what was deleted from what is gone without that (`LostExperiment`). Nothing is begun
anew here: people are told where the journal is and how it is restored.
"""

import contextlib
from collections.abc import Iterator

from asha_queue.coordinator.exports import JOURNAL_FILE
from asha_queue.coordinator.loop import ENDED
from asha_queue.errors import LostExperiment
from asha_queue.storage import AnyStorage, opened
from asha_queue.storage.patience import QUICK
from asha_queue.store.contract import Store
from asha_queue.store.journal import ends


def told(error: LostExperiment, name: str, folder: AnyStorage) -> LostExperiment:
    """The error as people need it: which experiment, where its journal is, and what to do."""
    storage = opened(folder, QUICK)
    path = storage.at(JOURNAL_FILE)
    if storage.exists(JOURNAL_FILE):
        return LostExperiment(f"experiment {name}: {error}. {remedy(path)}")
    return LostExperiment(
        f"experiment {name}: {error}. There is no {path} here; if another machine has it, "
        f"`asha-queue restore FILE` there rebuilds the experiment"
    )


def remedy(path: str) -> str:
    """What to do about a journal that no store knows."""
    return f"Its journal is {path}: `asha-queue restore {path}` rebuilds it, and it goes on"


def unknown_journals(store: Store, root: AnyStorage) -> Iterator[tuple[str, str]]:
    """Name and journal of each run below `root` that had not ended and that the store does not
    know."""
    known = set(store.names().values())
    storage = opened(root, QUICK)
    with contextlib.suppress(OSError):  # it is said by whoever has to use it
        for name in storage.names():
            first, last = ends(storage.below(name), JOURNAL_FILE) or ({}, {})
            if first.get("uid") not in {None, *known} and last.get("type") not in ENDED:
                yield name, storage.below(name).at(JOURNAL_FILE)
