"""The files of a run, for people and other programs: journal.jsonl, trials.csv, best.json.

Only the leader writes them. A new term, or a store that was rolled back, writes a new journal file
and renames it over the old one, so that a deposed leader goes on writing into a file nobody reads.
"""

import csv
import io
import json
import os
from pathlib import Path
from typing import TextIO

from asha_queue.coordinator.fold import Fold
from asha_queue.result import Result
from asha_queue.search.configuration import flatten
from asha_queue.store.contract import Store
from asha_queue.store.journal import dump
from asha_queue.views import best_view

JOURNAL_FILE = "journal.jsonl"


class Exports:
    """Keeps the files in `folder` up to date with the journal of `uid`."""

    def __init__(self, store: Store, uid: str, folder: Path) -> None:
        self._store = store
        self._uid = uid
        self._folder = folder
        self._journal: TextIO | None = None
        self._mark: tuple[int, int] | None = None
        self._seen = "0-0"

    def update(self, fold: Fold, term: int) -> None:
        """Appends what is new in the journal; call it as the leader, once a second or so."""
        if self._mark != (term, fold.generation):
            self._begin()
            self._mark = (term, fold.generation)
        assert self._journal is not None
        grown = False
        while entries := self._store.read(self._uid, self._seen).entries:
            self._journal.writelines(dump(entry) for entry in entries)
            self._seen = entries[-1]["id"]
            grown = True
        if grown:
            self._journal.flush()
            _replace(self._folder / "trials.csv", trials_csv(fold.result))
            best = json.dumps(best_view(fold.result.best), indent=2, ensure_ascii=False)
            _replace(self._folder / "best.json", best + "\n")

    def close(self) -> None:
        if self._journal:
            self._journal.close()
            self._journal = None
            self._mark = None

    def _begin(self) -> None:
        """Starts a new journal file under another name; it replaces the old one once complete."""
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        temporary = self._folder / f"{JOURNAL_FILE}.{os.getpid()}"
        self._journal = temporary.open("w", encoding="utf-8")
        self._seen = "0-0"
        while entries := self._store.read(self._uid, self._seen).entries:
            self._journal.writelines(dump(entry) for entry in entries)
            self._seen = entries[-1]["id"]
        self._journal.flush()
        os.fsync(self._journal.fileno())
        temporary.replace(self._folder / JOURNAL_FILE)


def trials_csv(result: Result) -> str:
    """One line per trial: number, state, last rung, resource, metrics, configuration."""
    configs = [flatten(trial.config) for trial in result.trials]
    parameters = list(dict.fromkeys(name for config in configs for name in config))
    metrics = list(dict.fromkeys(name for trial in result.trials for name in trial.metrics))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "state", "rung", "resource", *metrics, *parameters])
    for trial, config in zip(result.trials, configs, strict=True):
        writer.writerow(
            [
                trial.number,
                trial.state,
                trial.rung,
                trial.resource,
                *(trial.metrics.get(name) for name in metrics),
                *(config.get(name) for name in parameters),
            ]
        )
    return out.getvalue()


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
