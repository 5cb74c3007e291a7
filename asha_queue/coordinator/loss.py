"""Experiments that a server has lost: seen by their journals, which are exported outside of it.

A store tells what was deleted from what is gone without that (`LostExperiment`). Nothing is begun
anew here: people are told where the journal is and how it is restored.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from asha_queue.coordinator.exports import JOURNAL_FILE
from asha_queue.coordinator.loop import ENDED
from asha_queue.errors import JournalError, LostExperiment, NewerFormat
from asha_queue.store.contract import Json, Store
from asha_queue.store.journal import load

#: Bytes at the end of a journal among which its last entry is.
TAIL: Final = 1_000_000


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


def unknown_journals(store: Store, root: Path) -> Iterator[tuple[str, Path]]:
    """Name and journal of each run below `root` that had not ended and that the store does not
    know."""
    known = set(store.names().values())
    for path in sorted(root.glob(f"*/{JOURNAL_FILE}")):
        first, last = _ends(path)
        if first.get("uid") not in {None, *known} and last.get("type") not in ENDED:
            yield path.parent.name, path


def _ends(path: Path) -> tuple[Json, Json]:
    """The first and the last entry of a journal.jsonl; empty where that cannot be read."""
    try:
        with path.open("rb") as file:
            first = file.readline()
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().splitlines()
    except OSError:
        return {}, {}
    return _entry(first), _entry(lines[-1] if lines else b"")


def _entry(line: bytes) -> Json:
    try:
        return load(line.decode(errors="replace"))
    except (JournalError, NewerFormat):
        return {}
