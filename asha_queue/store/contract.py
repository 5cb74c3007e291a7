"""What a store can do: the protocol that the Redis store and its memory twin both keep.

Every method is one atomic step (`names`, `claimants` and `release_worker` are one per experiment).
Rules that hold for all of them:

* Called again with the same arguments, before anybody else moved the segment on, a method has no
  second effect and gives the same answer. So a caller that got no answer (`StoreUnavailable`)
  simply calls again. Later on, what had its effect is at worst "stale".
* Nothing is written unless everything was found legal. What only a bug in the caller can ask for
  (promoting a running trial, training beyond the target) raises `ProtocolError`.
* A write that names an old token, or one that was never started here (the store was rolled back to
  before), answers "stale", changes nothing and is counted in `Description.stale`.
* A deleted or never submitted uid is never created again: calls that answer with a word say
  "unknown", calls that return data raise `UnknownExperiment`, and `published`, `refuse`, `resign`
  and `report` do nothing.
* Numbers inside configs, metrics, curves and checkpoints come back exactly as given, NaN and
  infinities as the strings that the journal has for them (see `journal.py`).

Times are seconds on the server's clock, `resource`, `start`, `target` and `reached` are in the
experiment's unit (steps).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = dict[str, Any]

#: State of an experiment.
State = Literal["open", "finished", "cancelled"]
#: Answer to a write that is fenced by a token.
Written = Literal["ok", "stale", "unknown"]
#: Answer to a decision: written, taken on a stale fold, or too late.
Decided = Literal["ok", "stale", "finished", "cancelled", "unknown"]
#: Answer to a failure: scheduled again, failed for good, or nothing.
Failed = Literal["retry", "final", "stale", "unknown"]


@dataclass(frozen=True, slots=True)
class Description:
    """An experiment without its trials; `last` is the id of its last decision-relevant entry,
    `leader` is "" while nobody holds the leader's lease, `stale` counts refused zombie writes."""

    uid: str
    name: str
    specification: Json
    state: State
    last: str
    submitted_at: float
    leader: str
    term: int
    stale: int


@dataclass(frozen=True, slots=True)
class Read:
    """A piece of the journal; `gone`: the entry `seen` is no longer there, so fold anew from the
    start (the store was rolled back)."""

    entries: list[Json]
    gone: bool


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
    `start` first. "completed": a checkpoint stood at the target and its metrics were journalled.
    "refused": `reason` is a sentence for the log; the other fields are empty unless it is "run".
    """

    outcome: Literal["run", "completed", "refused"]
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
class Lead:
    """Who leads an experiment, in which term, and whether it is the caller."""

    term: int
    leader: str
    leading: bool


@dataclass(frozen=True, slots=True)
class Claimant:
    """An open experiment with a live leader, and the slots that it could use now."""

    uid: str
    wants: int
    submitted_at: float


@dataclass(frozen=True, slots=True)
class Worker:
    """A live worker, what it said of itself and when it was last heard."""

    name: str
    info: Json
    seen_at: float


class Store(Protocol):
    """The store as coordinators, workers, keepers and views see it."""

    # -- experiments ---------------------------------------------------------------------------

    def submit(self, uid: str, name: str, specification: Json) -> str:
        """Journals `submitted` under a new uid; returns the uid that holds `name` now: this one, or
        the one that had the name before (then nothing is written)."""

    def uid(self, name: str) -> str | None:
        """The uid of the experiment of this name."""

    def names(self) -> dict[str, str]:
        """Name to uid, of every experiment there is."""

    def describe(self, uid: str) -> Description:
        """Raises `UnknownExperiment`, and `NewerFormat` for what a newer version wrote."""

    def delete(self, uid: str) -> None:
        """Removes every key of an experiment, its journal and its name too."""

    def finish(self, uid: str, last: str, request: str, by: str, reason: str) -> Decided:
        """Journals `finished`; refused as `schedule` is, and illegal while a segment is open."""

    # -- the journal ---------------------------------------------------------------------------

    def read(self, uid: str, seen: str, count: int = 1000) -> Read:
        """At most `count` entries after the id `seen` ("" or "0-0": from the start)."""

    def wait(self, uid: str, seen: str, seconds: float) -> None:
        """Returns when an entry after `seen` may exist, at the latest after `seconds`; may return
        early."""

    def report(self, uid: str, points: list[Json]) -> None:
        """Adds to the bounded stream of live metrics: {"trial", "rung", "attempt", "step",
        "metrics"}."""

    def live(self, uid: str, seen: str, count: int = 1000) -> tuple[list[Json], str]:
        """At most `count` live points after `seen`, oldest first, and the new `seen`."""

    # -- decisions and publication ------------------------------------------------------------

    def schedule(
        self, uid: str, last: str, request: str, segments: Sequence[ScheduledSegment]
    ) -> Decided:
        """Writes all `segments` or none; "stale" unless `last` is still the last decision-relevant
        entry. `request` is a random id of this call: repeating it answers "ok" again."""

    def published(self, uid: str, segments: Sequence[tuple[int, int, int]]) -> None:
        """Marks what is due among these (trial, rung, attempt) as published: it is due again, if
        nobody claims it, in 30, 60, 120 … s."""

    def due(self, uid: str, limit: int = 1000) -> list[QueuedSegment]:
        """Queued segments to be published now, those that waited longest first."""

    # -- one segment ---------------------------------------------------------------------------

    def claim(
        self, uid: str, trial: int, rung: int, attempt: int, claim: str, worker: str
    ) -> Claim:
        """Takes a queued segment; `claim` is a random id drawn by the caller."""

    def start(
        self, uid: str, trial: int, token: int, start: int, dropped: Sequence[str] = ()
    ) -> Written:
        """Journals `started` once the checkpoint at `start` was verified; `dropped` are the paths
        of newer ones found corrupt: they leave the record, with a `warning`."""

    def renew(self, uid: str, trial: int, token: int) -> Written:
        """Extends the lease; "stale": end the child; "unknown": train on and ask again."""

    def checkpoint(self, uid: str, trial: int, token: int, checkpoint: Json) -> Written:
        """Makes a written checkpoint the trial's newest."""

    def complete(self, uid: str, trial: int, token: int, outcome: Outcome) -> Written:
        """Journals `completed` and the last checkpoint with it; the trial waits in its rung."""

    def suspend(self, uid: str, trial: int, token: int, outcome: Outcome) -> Written:
        """Journals `suspended` and schedules the rest as the next attempt; costs nothing."""

    def fail(
        self,
        uid: str,
        trial: int,
        token: int,
        error: str,
        reached: int,
        checkpoint: Json | None = None,
    ) -> Failed:
        """Journals `failed`: "retry" while the experiment's `retries` last (the worker it failed
        on is avoided for a minute while others live), else "final"."""

    def release(self, uid: str, trial: int, claim: str | int, reason: str, counts: bool) -> Written:
        """Gives up a claim, named by its claim id or token, whose process is gone: journals `lost`
        and the next attempt. `counts`: the process was seen to die unasked."""

    def release_worker(self, worker: str, reason: str) -> list[tuple[str, int]]:
        """Releases, as unasked deaths, all claims of a worker known to be dead: (uid, trial)."""

    def refuse(
        self, uid: str, trial: int, rung: int, attempt: int, worker: str, reason: str
    ) -> None:
        """This worker cannot run this segment, for `reason`: it is published again in 2 s. Gives
        back the worker's own claim, too, as long as that was not started."""

    def refusals(self, uid: str) -> dict[str, str]:
        """Worker to the reason why it refused last; forgotten when it starts a segment."""

    def reap(self, uid: str) -> list[int]:
        """Advances the lease clock and journals the trials whose lease ran out as `lost`."""

    def running(self, uid: str) -> list[RunningSegment]:
        """The claimed segments, by trial."""

    # -- the fleet -----------------------------------------------------------------------------

    def lead(self, uid: str, who: str, wants: int) -> Lead:
        """Takes or renews leadership; `wants` (slots it could use now) is kept for `claimants`."""

    def resign(self, uid: str, who: str) -> None:
        """Ends the leadership of `who`."""

    def claimants(self) -> list[Claimant]:
        """Open experiments with a live leader, in the order of their submission."""

    def beat(self, worker: str, info: Json) -> None:
        """Says that a worker lives, and what it is."""

    def leave(self, worker: str) -> None:
        """Says that a worker ended in good order."""

    def workers(self) -> list[Worker]:
        """The workers heard within WORKER_TIMEOUT, by name."""

    def close(self) -> None:
        """Closes the connections."""
