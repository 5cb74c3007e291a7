"""An experiment as its journal tells it: what a store needs to go on from an exported file.

Rules

* Everything that a decision or a fence depends on is rebuilt exactly: states, rungs, attempts,
  tokens, and the counts of failures and losses. A running segment keeps its token, so that the
  worker that still trains it can end it.
* What was never journalled is lost: claims that had not started (they are queued again),
  checkpoints that neither an end nor a loss has named yet, the requests of orders.
* Entries keep their ids, so that readers of the journal go on where they were.
* Nothing here reads a clock: leases, and the time for which a retry avoids a worker, begin anew
  when the store takes this in.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Final

from asha_queue import formats
from asha_queue.errors import JournalError
from asha_queue.search.limits import modes_of, raised
from asha_queue.settings import NAME
from asha_queue.store.contract import Json, State
from asha_queue.store.journal import decides

#: Answer that a repeated end gets, by the type of its entry.
_ENDED: Final = {"completed": "completed", "suspended": "suspended", "lost": "lost"}


@dataclass
class Saved:
    """A checkpoint of a trial's record and the token of the claim that wrote it."""

    checkpoint: Json
    token: int


@dataclass
class TrialRecord:
    """A trial's record, as far as a journal tells it; names and states are those of
    `scripts/common.lua`."""

    trial: int
    config: Json
    bracket: int = 0
    rung: int = 0
    target: int = 0
    attempt: int = 1
    state: str = "QUEUED"
    token: int = 0
    worker: str = ""
    started: int = 0
    ended_token: int = 0
    ended_how: str = ""
    failures: int = 0
    losses: int = 0
    unwitnessed: int = 0
    lost_at: int = 0
    avoid: str = ""
    #: Resource of the newest checkpoint evicted since its last start.
    evicted: int = 0
    checkpoints: list[Saved] = field(default_factory=list)

    def evict(self, paths: Collection[str], had: int, left: int) -> None:
        """Takes checkpoints off the record; resources of the newest there was, and that stays."""
        self.checkpoints = [s for s in self.checkpoints if s.checkpoint["path"] not in paths]
        self.lost_at = min(self.lost_at, left)
        if left < had:
            self.evicted = max(self.evicted, had)


@dataclass
class RestoredTrial(TrialRecord):
    """A record while its journal is folded."""

    def forget_troubles(self) -> None:
        """Failures and losses are counted per rung, and from a retry on."""
        self.failures = self.losses = self.unwitnessed = 0
        self.avoid = ""

    def start(self, entry: Json) -> None:
        self.state, self.worker = "RUNNING", entry["worker"]
        self.token = self.started = int(entry["token"])
        while self.checkpoints and self.checkpoints[-1].checkpoint["resource"] > entry["start"]:
            self.checkpoints.pop()  # was found corrupt
        self.evicted = 0

    def end(self, entry: Json) -> None:
        """Applies completed, suspended, failed or lost."""
        kind, token = entry["type"], int(entry["token"])
        final = kind == "failed" and bool(entry["final"])
        witness = entry.get("witness", "asked")
        by_loss = kind == "lost" or "witness" in entry
        # a coordinator reads them later on, when it could not be refused any more
        int(entry["reached"])
        if kind in ("completed", "suspended"):
            float(entry["seconds"])
        if entry["checkpoint"]:
            # a loss names the newest checkpoint there is, whoever wrote it
            self._push(entry["checkpoint"], self.started if by_loss else token)
        if kind == "completed" and self.state != "RUNNING":
            self.ended_token, self.ended_how = 0, "found"  # of a claim that never started
        else:
            self.token, self.worker, self.ended_token = token, entry["worker"], token
            self.ended_how = _ENDED.get(kind) or ("final" if final else "retry")
        if by_loss:
            self._lose(entry["reached"], witness)
            self.ended_how = "lost"
        elif kind == "failed":
            self.failures += 1
            self.avoid = self.avoid if final else entry["worker"]
        self.state = "IDLE" if kind == "completed" else "FINAL" if final else "QUEUED"

    def cancel(self) -> None:
        if self.state == "RUNNING":
            self.ended_token, self.ended_how = self.token, "cancelled"
        if self.state in ("RUNNING", "QUEUED"):
            self.state = "CANCELLED"

    def _push(self, checkpoint: Json, token: int) -> None:
        last = self.checkpoints[-1].checkpoint if self.checkpoints else None
        if last is None or not (
            last["path"] == checkpoint["path"] or last["resource"] > checkpoint["resource"]
        ):
            self.checkpoints.append(Saved(checkpoint, token))

    def _lose(self, reached: int, witness: str) -> None:
        if reached > self.lost_at:
            self.losses = self.unwitnessed = 0
        self.losses += witness == "death"
        self.unwitnessed += witness == "nobody"
        self.lost_at = reached


@dataclass
class RestoredExperiment:
    """What `submit` and all that followed have made of an experiment."""

    uid: str
    name: str
    specification: Json
    submitted_at: float
    entries: list[Json]
    state: State = "open"
    draining: bool = False
    #: The present num_samples, max_t and budgets, as far as they were raised.
    extended: Json = field(default_factory=dict)
    #: Id of the last decision-relevant entry.
    last: str = ""
    trials: list[RestoredTrial] = field(default_factory=list)

    def _apply(self, entry: Json) -> None:
        kind = entry["type"]
        if decides(entry):
            self.last = entry["id"]
        if kind == "scheduled":
            self._schedule(entry)
        elif kind == "started":
            self.trials[entry["trial"]].start(entry)
        elif kind in ("completed", "suspended", "failed", "lost"):
            self.trials[entry["trial"]].end(entry)
        elif kind == "evicted":
            self.trials[entry["trial"]].evict(entry["checkpoints"], entry["reached"], entry["left"])
        elif kind == "retried":
            self.trials[entry["trial"]].forget_troubles()
            self._open()
        elif kind == "paused":
            self.state, self.draining = "paused", bool(entry["now"])
        elif kind == "resumed":
            self.state = "open"
        elif kind == "extended":
            present = self.specification | self.extended
            modes = modes_of(present)
            self.extended |= {
                name: value
                for name, value in entry["changed"].items()
                if raised(name, present.get(name), value, modes) > 0
            }
            self._open()
        elif kind == "finished":
            self.state = "finished"
        elif kind == "cancelled":
            self.state = "cancelled"
            for trial in self.trials:
                trial.cancel()
        elif kind not in ("submitted", "warning"):
            raise formats.unknown(entry)

    def _schedule(self, entry: Json) -> None:
        if entry["trial"] == len(self.trials):
            self.trials.append(RestoredTrial(entry["trial"], entry["config"]))
        trial = self.trials[entry["trial"]]
        if entry["attempt"] == 1:
            trial.forget_troubles()
        trial.bracket, trial.rung = entry["bracket"], entry["rung"]
        trial.target, trial.attempt = entry["target"], entry["attempt"]
        trial.state = "QUEUED"

    def _open(self) -> None:
        if self.state == "finished":
            self.state = "open"


def rebuilt(entries: Iterable[Json]) -> RestoredExperiment:
    """The experiment of a journal that keeps the rules of the search (`search.rules.check`).

    Raises `JournalError`, naming the entry, for one that cannot follow those before it.
    """
    journal = list(entries)
    if not journal or journal[0]["type"] != "submitted":
        raise JournalError("the journal does not begin with `submitted`: its start is missing")
    first = journal[0]
    try:
        uid, name = str(first["uid"]), str(first["experiment"]["name"])
    except (KeyError, TypeError) as error:
        raise _malformed(first, error) from None
    for word in (uid, name):
        if not re.fullmatch(NAME, word):  # they become parts of keys and paths
            raise JournalError(f"entry {first['id']} names {word!r}: letters, digits, '_' and '-'")
    restored = RestoredExperiment(uid, name, first["experiment"], first["at"], journal)
    before = (0, 0)
    for entry in journal:
        try:
            formats.require(entry["v"], f"journal entry {entry['id']}")
            place = _position(entry["id"])
            restored._apply(entry)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise _malformed(entry, error) from None
        if place <= before:
            raise JournalError(f"entry {entry['id']} does not come after the one before it")
        before = place
    return restored


def _position(stream_id: str) -> tuple[int, int]:
    milliseconds, sequence = stream_id.split("-")
    return int(milliseconds), int(sequence)


def _malformed(entry: Json, error: Exception) -> JournalError:
    return JournalError(f"entry {entry['id']} ({entry['type']}) is malformed: {error!r}")
