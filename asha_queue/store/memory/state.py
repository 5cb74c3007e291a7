"""What the memory twin holds, and the rules of a trial's record: `scripts/common.lua` in Python."""

from dataclasses import dataclass, field

from asha_queue import settings
from asha_queue.errors import ProtocolError
from asha_queue.store import journal
from asha_queue.store.contract import Attendant, Decided, Json, Snapshot, State, Worker
from asha_queue.store.restoration import Saved, TrialRecord


@dataclass
class Record(TrialRecord):
    """One trial; the states and what moves them are the table in `scripts/common.lua`."""

    due: float = 0.0
    publications: int = 0
    deadline: int = 0
    claim: str = ""
    ended_claim: str = ""
    avoid_until: float = 0.0

    @property
    def reached(self) -> int:
        return int(self.checkpoints[-1].checkpoint["resource"]) if self.checkpoints else 0

    @property
    def newest(self) -> Json | None:
        return self.checkpoints[-1].checkpoint if self.checkpoints else None

    def head(self, token: int, worker: str) -> Json:
        """The fields that begin every entry of a claimed segment."""
        own = {"trial": self.trial, "rung": self.rung, "attempt": self.attempt}
        return {**own, "token": token, "worker": worker}

    def push(self, checkpoint: Json) -> None:
        """Adds a checkpoint unless it is a late or doubled one."""
        last = self.newest
        late = last is not None and (
            last["path"] == checkpoint["path"] or last["resource"] > checkpoint["resource"]
        )
        if not late:
            self.checkpoints.append(Saved(checkpoint, self.token))

    def check(self, reached: int, checkpoint: Json | None) -> None:
        """Raises `ProtocolError` if a segment cannot end, or be saved, like this."""
        name = f"trial {self.trial} rung {self.rung}"
        if reached > self.target:
            raise ProtocolError(f"{name} reached {reached}, beyond its target {self.target}")
        if checkpoint is not None and checkpoint["resource"] > self.target:
            raise ProtocolError(
                f"{name} has a checkpoint at {checkpoint['resource']}, "
                f"beyond its target {self.target}"
            )

    def refused(self, now: float) -> None:
        """Its message came, to a worker that cannot take it."""
        self.publications, self.due = 0, now + settings.REFUSED_AGAIN

    def close(self, state: str, how: str) -> None:
        """Ends the present claim; `how` answers those who ask again."""
        self.state = state
        self.ended_token, self.ended_claim, self.ended_how = self.token, self.claim, how


@dataclass
class Experiment:
    """One experiment with all that belongs to it."""

    uid: str
    name: str
    specification: Json
    tick: int
    v: int = settings.FORMAT
    state: State = "open"
    #: Whether what runs is to be drained while the experiment is paused.
    draining: bool = False
    #: Whether what runs is drained, and nothing due, before it finishes early.
    ending: bool = False
    #: The present num_samples, max_t and budgets, as far as they were extended.
    extended: Json = field(default_factory=dict)
    #: Requests of the orders that had their effect; for `retry` with its answer.
    orders: set[str] = field(default_factory=set)
    retries: dict[str, list[int]] = field(default_factory=dict)
    submitted_at: float = 0.0
    last: str = ""
    request: str = ""
    #: The lease clock and its last tick, in whole microseconds: leases end exactly as on a server.
    clock: int = 0
    leader: str = ""
    leader_until: float = 0.0
    term: int = 0
    wants: int = 0
    #: What was claimed last of each queue, and by which leader.
    claims: Json = field(default_factory=dict)
    claims_of: str = ""
    stale: int = 0
    journal: list[Json] = field(default_factory=list)
    snapshot: Snapshot | None = None
    live: list[tuple[str, Json]] = field(default_factory=list)
    records: dict[int, Record] = field(default_factory=dict)
    #: Those that may be queued or running: most of many are neither.
    lively: set[int] = field(default_factory=set)
    refusals: dict[str, str] = field(default_factory=dict)
    #: Path of an evicted checkpoint to when it left the record.
    removals: dict[str, float] = field(default_factory=dict)

    def append(self, now: float, kind: str, fields: Json) -> None:
        previous = self.journal[-1]["id"] if self.journal else "0-0"
        entry = {
            "v": settings.FORMAT,
            "id": stream_id(now, previous),
            "type": kind,
            "at": round(now, 6),
            **clean(fields),
        }
        self.journal.append(entry)
        if journal.decides(entry):
            self.last = entry["id"]

    def all_due(self, now: float) -> None:
        """Everything that is queued is due now, as if never sent."""
        for record in self.held("QUEUED"):
            record.due, record.publications = now, 0

    def held(self, state: str) -> list[Record]:
        """The trials that are QUEUED, or RUNNING, in the order of their records."""
        self.lively = {n for n in self.lively if self.records[n].state in ("QUEUED", "RUNNING")}
        held = (self.records[trial] for trial in sorted(self.lively))
        return [record for record in held if record.state == state]

    def undecidable(self, last: str, request: str) -> Decided | None:
        """Why a decision cannot be written, or None; the request comes first, as a repeated call
        must hear "ok" although its own entries have moved `last`."""
        if self.request == request:
            return "ok"
        if self.state != "open":
            return self.state
        return None if self.last == last else "stale"

    def fenced(
        self, trial: int, token: int, repeated: dict[str, str], starting: bool = False
    ) -> Record | str:
        """The record that `token` holds and has started (or is `starting`), or the answer to a
        repeated call or a zombie."""
        record = self.records.get(trial)
        held = record and record.state == "RUNNING" and record.token == token
        if record and held and (starting or record.started == token):
            return record
        if record and record.ended_token == token and record.ended_how in repeated:
            return repeated[record.ended_how]
        self.stale += 1
        return "stale"

    def open(self, now: float, record: Record) -> None:
        """Opens an attempt: journals `scheduled`; due for publication now."""
        fields = ("trial", "bracket", "rung", "target", "attempt", "config")
        self.append(now, "scheduled", {name: getattr(record, name) for name in fields})
        record.state, record.publications, record.due = "QUEUED", 0, now
        self.lively.add(record.trial)

    def again(self, now: float, record: Record) -> None:
        record.attempt += 1
        self.open(now, record)

    def lose(self, now: float, record: Record, reason: str, witness: str) -> None:
        """Ends a claim whose process is gone; schedules again or, at a limit, fails for good."""
        reached = record.reached
        if reached > record.lost_at:
            record.losses = record.unwitnessed = 0
        record.losses += witness == "death"
        record.unwitnessed += witness == "nobody"
        record.lost_at = reached
        error = None
        if record.losses >= settings.POISON_LIMIT:
            error = f"its process died {record.losses} times without progress, last: {reason}"
        elif record.unwitnessed >= settings.UNWITNESSED_LIMIT:
            error = f"it was lost {record.unwitnessed} times without progress, last: {reason}"
        head = record.head(record.token, record.worker)
        rest = {"witness": witness, "reached": reached, "checkpoint": record.newest}
        record.close("FINAL" if error else "QUEUED", "lost")
        if error:
            self.append(now, "failed", {**head, "error": error, "final": True, **rest})
        else:
            self.append(now, "lost", {**head, "reason": reason, **rest})
            self.again(now, record)


@dataclass
class Troubles:
    """What is wrong with a worker: `blame` and `rest` in `scripts/common.lua`."""

    failed: int = 0
    trial: tuple[str, int] | None = None
    blamed: str = ""
    reason: str = ""
    pause: float = 0.0
    till: float = 0.0

    def rest(self, now: float, reason: str) -> None:
        self.pause = min(max(settings.ASIDE, 2 * self.pause), settings.ASIDE_MAX)
        self.till, self.reason = now + self.pause, reason

    def judge(self, now: float) -> None:
        if self.failed >= settings.IN_A_ROW and self.blamed:
            row = f"{self.failed} trials in a row have failed on it, of which {self.blamed}"
            self.rest(now, f"{row} was trained elsewhere: look at its device and its log")


@dataclass
class Memory:
    """Everything; a test copies it to roll the store back."""

    names: dict[str, str] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    #: The uids of experiments that were deleted.
    deleted: set[str] = field(default_factory=set)
    workers: dict[str, Worker] = field(default_factory=dict)
    troubles: dict[str, Troubles] = field(default_factory=dict)
    drains: dict[str, str] = field(default_factory=dict)
    coordinators: dict[str, Attendant] = field(default_factory=dict)


def microseconds(seconds: float) -> int:
    """Seconds as whole microseconds."""
    return round(seconds * 1e6)


def clean(value: Json) -> Json:
    """A copy as the server would give it back: JSON, NaN and infinities as strings."""
    copied: Json = journal.decode(journal.encode(value))
    return copied


def stream_id(now: float, previous: str) -> str:
    """The id that a stream gives to an entry added `now`: it always grows."""
    milliseconds, sequence = (int(part) for part in previous.split("-"))
    if int(now * 1000) > milliseconds:
        return f"{int(now * 1000)}-0"
    return f"{milliseconds}-{sequence + 1}"


def position(stream_id: str) -> tuple[int, int]:
    """A stream's id, comparable."""
    milliseconds, sequence = stream_id.split("-")
    return int(milliseconds), int(sequence)
