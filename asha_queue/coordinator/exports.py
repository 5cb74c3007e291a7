"""The files of a run, for people and other programs: journal.jsonl, trials.csv, best.json.

Rules

* Only the leader writes them. A new term, or a store that was rolled back, writes a new journal
  file and renames it over the old one, so that a deposed leader goes on writing into a file nobody
  reads.
* What a coordinator of this process folds is heard as it does, and read from the store only to
  catch up with it.
* Deciding comes first: a journal is followed in pieces, between which decisions are taken, and what
  takes long to write is written seldom. Files that cannot be written, as on a full disk, are left
  alone for a while and then written anew.
* An object store is sent all three as whole objects whenever the shown files are due, and at the
  end. One that was deposed in the midst of that may put back an older journal, until the leader
  sends the next.
"""

import contextlib
import csv
import io
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from asha_queue.coordinator.retention import Retention
from asha_queue.result import Result
from asha_queue.search.configuration import flatten
from asha_queue.settings import TICK
from asha_queue.specification import Specification
from asha_queue.storage import AnyStorage, opened
from asha_queue.storage.patience import QUICK
from asha_queue.store import journal
from asha_queue.store.contract import PIECE, Json, Read, Store
from asha_queue.store.journal import dump
from asha_queue.views import best_file

JOURNAL_FILE = "journal.jsonl"
#: Seconds until files are written anew that could not be written.
AGAIN = 10.0
#: The files are written so many times more seldom than it takes to write them.
RARELY = 50
#: Rows of trials.csv that are made in one go.
ROWS = 500
#: Entries that are kept for want of time to follow them: more are read from the store again.
MOST_HEARD = 10 * PIECE

log = logging.getLogger("coordinator")


class Exports:
    """Follows the journal of `uid`: its `result`, and as the leader the files in `folder`."""

    def __init__(
        self, store: Store, uid: str, specification: Specification, folder: AnyStorage
    ) -> None:
        self._store = store
        self._uid = uid
        self._specification = specification
        self._storage = opened(folder, QUICK)
        #: Where the files are written, before they are put into an object store.
        self._folder = self._storage.local
        self._term: int | None = None
        self._journal: TextIO | None = None
        self._next_write = 0.0
        self._seen = "0-0"
        self._grown = False
        #: Entries that were heard and not followed yet, and the id of the one before.
        self._heard: list[Json] = []
        self._heard_after = ""
        #: Whether there is more of the journal than was followed last.
        self.behind = False
        #: When to try again, if the files cannot be written.
        self._again_at: float | None = None
        self.retention = Retention(store, uid, specification, folder)
        #: The rest of trials.csv, the part that is made, and the seconds that it took; None: none.
        self._rows: Iterator[str] | None = None
        self._table, self._took = io.StringIO(), 0.0
        self._begin()

    def hear(self, entry: Json) -> None:
        """Takes note of the next entry of the journal that the coordinator has folded."""
        if entry["type"] == "submitted":  # it begins anew
            self._heard, self._heard_after = [entry], "0-0"
        elif self._term is None or len(self._heard) >= MOST_HEARD:
            self._heard, self._heard_after = [], entry["id"]
        else:
            self._heard.append(entry)

    @property
    def plenty(self) -> bool:
        """Whether enough was heard for a piece."""
        return len(self._heard) >= PIECE

    def follow(self, term: int | None) -> bool:
        """Folds the next piece of the journal; False if there was none, and the files are complete.

        `term`: that of the leader which this process is, or None, then nothing is written.
        """
        if term != self._term:
            self._term = term
            self.close()
            if term is not None:
                self._begin()
        if self._again_at and time.monotonic() >= self._again_at:
            self._begin()
        read = self._next()
        self.behind = read.gone or len(read.entries) == PIECE
        if read.gone:
            self._begin()
            return True
        for entry in read.entries:
            self.result.apply(entry)
            self.retention.apply(entry)
            self._seen = entry["id"]
        self._grown = self._grown or bool(read.entries)
        if self._writes:
            with self._forgiven():
                self._write_journal(read.entries)
        return bool(read.entries)

    def _next(self) -> Read:
        """The next piece of the journal: what was heard, if that is it."""
        if self._heard_after != self._seen:
            known = next((n for n, one in enumerate(self._heard) if one["id"] == self._seen), None)
            if known is None:
                return self._store.read(self._uid, self._seen, PIECE)
            del self._heard[: known + 1]
        piece, self._heard = self._heard[:PIECE], self._heard[PIECE:]
        self._heard_after = piece[-1]["id"] if piece else self._seen
        return Read(piece, gone=False)

    def write(self) -> None:
        """Writes the files that show the result as it is now, if it is another."""
        if (self._grown or self._rows) and self._writes:
            self._rows = None
            while self._write_piece():
                pass

    def write_if_due(self) -> bool:
        """As `write`, but in pieces and seldom enough that a large result delays no decision by
        much; True while the next piece is due."""
        if self._rows is None and not (self._grown and time.monotonic() >= self._next_write):
            return False
        return self._writes and self._write_piece()

    def _write_piece(self) -> bool:
        """Writes the next rows of trials.csv, and both files once they are whole; True until
        then."""
        began = time.monotonic()
        with self._forgiven():
            path = self._folder / "trials.csv"
            if self._rows is None:
                self._rows, self._took, self._grown = csv_rows(self.result), 0.0, False
                self._table = io.StringIO()
            piece = next(self._rows, None)
            if piece is not None:
                self._table.write(piece)
                self._took += time.monotonic() - began
                return True
            _replace(path, self._table.getvalue())
            best = json.dumps(best_file(self.result), indent=2, ensure_ascii=False)
            _replace(self._folder / "best.json", best + "\n")
            for name in (JOURNAL_FILE, "trials.csv", "best.json") if self._storage.remote else ():
                self._storage.put(name)
        self._rows, now = None, time.monotonic()
        self._next_write = now + max(TICK, (now - began + self._took) * RARELY)
        return False

    def close(self) -> None:
        if self._journal:
            self._journal.close()
            self._journal = None

    def _begin(self) -> None:
        """From the first entry, into a new journal file."""
        self.close()
        self.result = Result(self._specification)
        self.retention.begin()
        self._seen = "0-0"
        self._grown = False
        self._rows = None
        self._complete = False
        self._again_at = None

    @property
    def _writes(self) -> bool:
        return self._term is not None and self._again_at is None

    @contextlib.contextmanager
    def _forgiven(self) -> Iterator[None]:
        """Leaves the files alone for a while when they cannot be written."""
        try:
            yield
        except OSError as error:
            log.warning(
                "%s: its files cannot be written (%s: %s); tried again in %.0f s",
                *(self._specification.name, error.filename or self._folder, error.strerror, AGAIN),
            )
            with contextlib.suppress(OSError):  # what it has in its buffer cannot be written either
                self.close()
            self._journal = None
            self._again_at = time.monotonic() + AGAIN

    def _write_journal(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Appends to the journal file; a new one replaces the one before it once complete."""
        temporary = self._folder / f"{JOURNAL_FILE}.{os.getpid()}"
        if self._journal is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._journal = temporary.open("w", encoding="utf-8")
        self._journal.writelines(dump(entry) for entry in entries)
        if self._complete:
            self._journal.flush()
        elif not self.behind:
            self._journal.flush()
            os.fsync(self._journal.fileno())
            self._keep_what_is_only_there()
            temporary.replace(self._folder / JOURNAL_FILE)
            self._storage.put(JOURNAL_FILE)
            self._complete = True

    def _keep_what_is_only_there(self) -> None:
        """Puts aside an old file that holds more than the store has: of a run that it has lost, or
        the tail of one that was rolled back. It may be all that is left of it."""
        if not self._storage.exists(JOURNAL_FILE):
            return
        ends = journal.ends(self._storage, JOURNAL_FILE)
        if ends is None:
            self._storage.move(JOURNAL_FILE, "journal-unreadable.jsonl")
            return
        first, last = ends
        if first.get("uid") != self._uid or self._store.read(self._uid, last["id"], 1).gone:
            self._storage.move(JOURNAL_FILE, f"journal-until-{last['id']}.jsonl")


def falls_short(folder: AnyStorage, last: str) -> bool:
    """Whether the journal of an ended experiment was not exported to its `last` entry, as its
    leader died just then. One that is not there at all was removed: it is none."""
    ends = journal.ends(opened(folder, QUICK), JOURNAL_FILE)
    return ends is not None and _place(ends[1]["id"]) < _place(last)


def _place(stream_id: str) -> list[int]:
    return [int(part) for part in stream_id.split("-")]


def trials_csv(result: Result) -> str:
    """One line per trial: number, state, last rung, resource, metrics, configuration; where it is
    asked for, whether it meets the constraints and is on the front."""
    return "".join(csv_rows(result))


def csv_rows(result: Result) -> Iterator[str]:
    """The table in pieces, each a few milliseconds of work; trials that come up meanwhile are in
    the next table."""
    count = len(result.trials)
    parameters, metrics = dict[str, None](), dict[str, None]()
    for number, trial in enumerate(result.trials[:count]):
        parameters |= dict.fromkeys(flatten(trial.config))
        metrics |= dict.fromkeys(trial.metrics)
        if number % ROWS == ROWS - 1:
            yield ""
    goal, front = result.specification.goal, {one.trial for one in result.pareto_front}
    marks = [*["feasible"][: len(goal.constraints)], *["front"][: len(goal.objectives) - 1]]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["trial", "state", "rung", "resource", *marks, *metrics, *parameters])
    for number, trial in enumerate(result.trials[:count]):
        marked = {
            "feasible": trial.results[-1].violation == 0.0 if trial.results else None,
            "front": trial.number in front,
        }
        config = flatten(trial.config)
        writer.writerow(
            [
                trial.number,
                trial.state,
                trial.rung,
                trial.resource,
                *(marked[mark] for mark in marks),
                *(trial.metrics.get(name) for name in metrics),
                *(config.get(name) for name in parameters),
            ]
        )
        if number % ROWS == ROWS - 1:
            yield out.getvalue()
            out.seek(out.truncate(0))
    yield out.getvalue()


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)
