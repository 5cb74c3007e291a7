"""Experiments that a server has lost: seen by their journals, which are exported outside of it.

A store tells what was deleted from what is gone without that (`LostExperiment`). Nothing is begun
anew here: people are told where the journal is and how it is restored.
"""

from collections.abc import Iterator
from pathlib import Path

from asha_queue.coordinator.exports import JOURNAL_FILE
from asha_queue.errors import JournalError, LostExperiment, NewerFormat
from asha_queue.store.contract import Json, Store
from asha_queue.store.journal import load


def told(error: LostExperiment, name: str, folder: Path) -> LostExperiment:
    """The error as people need it: which experiment, where its journal is, and what to do."""
    path = folder / JOURNAL_FILE
    if path.exists():
        return LostExperiment(f"experiment {name}: {error}. {remedy(path)}")
    return LostExperiment(
        f"experiment {name}: {error}. There is no {path} here; if another machine has it, "
        f"`asha-queue restore FILE` there rebuilds the experiment"
    )


def remedy(path: Path) -> str:
    """What to do about a journal that no store knows."""
    return f"Its journal is {path}: `asha-queue restore {path}` rebuilds it, and it goes on"


def first_entry(path: Path) -> Json | None:
    """The first entry of a journal.jsonl, if it is the beginning of one."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            entry = load(file.readline())
    except (OSError, JournalError, NewerFormat):
        return None
    return entry if entry["type"] == "submitted" and "uid" in entry else None


def unknown_journals(store: Store, root: Path) -> Iterator[tuple[str, Path]]:
    """Name and journal of each run below `root` that the store does not know."""
    known = set(store.names().values())
    for path in sorted(root.glob(f"*/{JOURNAL_FILE}")):
        entry = first_entry(path)
        if entry and entry["uid"] not in known:
            yield path.parent.name, path
