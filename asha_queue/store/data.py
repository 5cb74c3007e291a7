"""What a store takes and gives: the words and records of its contract.

Times are seconds on the server's clock, `resource`, `start`, `target` and `reached` are in the
experiment's unit (steps).
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Json = dict[str, Any]

#: State of an experiment. Only "cancelled" is for ever: `extend` and `retry` open what is finished.
State = Literal["open", "paused", "finished", "cancelled"]
#: Answer to a write that is fenced by a token.
Written = Literal["ok", "stale", "unknown"]
#: Answer to a renewal: go on; end the child; save, hand the segment back and go on with others; end
#: the child, its segment was cancelled.
Renewed = Literal["ok", "stale", "drain", "cancel", "unknown"]
#: Answer to a decision: written, taken on a stale fold, or not now ("running": what runs is handed
#: back first).
Decided = Literal["ok", "running", "stale", "paused", "finished", "cancelled", "unknown"]
#: Answer to an order to an experiment: done, as it was already, or the state that forbids it.
Changed = Literal["ok", "unchanged", "finished", "cancelled", "unknown"]
#: Answer to a failure: scheduled again, failed for good, or nothing.
Failed = Literal["retry", "final", "stale", "unknown"]


@dataclass(frozen=True, slots=True)
class Description:
    """An experiment without its trials; `last` is the id of its last decision-relevant entry,
    `leader` is "" while nobody holds the leader's lease, `stale` counts refused zombie writes.

    `specification` is what was submitted; `extended` holds the present `num_samples`, `max_t` and
    budgets, as far as they were raised since.
    """

    uid: str
    name: str
    specification: Json
    state: State
    last: str
    submitted_at: float
    leader: str
    term: int
    stale: int
    extended: Json


@dataclass(frozen=True, slots=True)
class Read:
    """A piece of the journal; `gone`: the entry `seen` is no longer there, so fold anew from the
    start (the store was rolled back)."""

    entries: list[Json]
    gone: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the entries of a journal up to and with the id `seen` add up to; `last` is the id of the
    last decision-relevant one among them."""

    seen: str
    last: str
    state: Json


@dataclass(frozen=True, slots=True)
class ScheduledSegment:
    """A decision to be written: rung 0 starts the next trial with `config`, a higher rung promotes
    (and keeps the config that the trial began with)."""

    trial: int
    bracket: int
    rung: int
    target: int
    config: Json


@dataclass(frozen=True, slots=True)
class QueuedSegment:
    """A scheduled segment whose message is to be published now."""

    trial: int
    bracket: int
    rung: int
    target: int
    attempt: int
    config: Json


@dataclass(frozen=True, slots=True)
class RunningSegment:
    """A claimed segment and who holds it."""

    trial: int
    rung: int
    attempt: int
    token: int
    worker: str
    target: int


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer to a claim.

    "run": train from `start` (the resource of the newest checkpoint, or 0) to `target`, call
    `start` first unless it has `begun`. "completed": a checkpoint stood at the target and its
    metrics were journalled. "refused": `reason` is a sentence for the log. "aside": this worker is
    set aside for `reason`, and shall ask for nothing for `aside_for` seconds. Other fields are
    empty unless it is "run".
    """

    outcome: Literal["run", "completed", "refused", "aside"]
    reason: str = ""
    token: int = 0
    bracket: int = 0
    rung: int = 0
    target: int = 0
    attempt: int = 0
    start: int = 0
    config: Json = field(default_factory=dict)
    #: Newest last, each {"path", "resource", "metrics", "bytes", "digest"}.
    checkpoints: list[Json] = field(default_factory=list)
    aside_for: float = 0.0
    begun: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How far a segment came: the metrics of its last report, the step reached, the checkpoint
    written last (or None), the seconds it trained, and its curve as [[step, metrics], …]."""

    metrics: Json
    reached: int
    checkpoint: Json | None
    seconds: float
    curve: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Eviction:
    """What stays of a resting trial's checkpoints: so many of the `newest`, and those in `keep`."""

    trial: int
    rung: int
    newest: int
    keep: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Lead:
    """Who leads an experiment, in which term, and whether it is the caller; what was claimed for it
    last, by whoever led it then; and the server's time."""

    term: int
    leader: str
    leading: bool
    claims: Json = field(default_factory=dict)
    now: float = 0.0


@dataclass(frozen=True, slots=True)
class Claimant:
    """An open experiment with a live leader, the slots that it could use now, its weight beside the
    others and the queue whose workers serve it; and what its leader claims of each queue, which
    leaders alone understand."""

    uid: str
    wants: int
    submitted_at: float
    weight: float
    queue: str
    claims: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Worker:
    """A live worker, what it said of itself, when it was last heard, and why it is set aside."""

    name: str
    info: Json
    seen_at: float
    aside: str = ""


@dataclass(frozen=True, slots=True)
class Attendant:
    """A live coordinator, what it said of itself and when it was last heard."""

    who: str
    info: Json
    seen_at: float
