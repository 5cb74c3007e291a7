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
* An order to the whole experiment (`pause`, `resume`, `cancel`, `extend`, `retry`) carries a random
  `request` drawn by the caller. Once it had its effect, repeating it gives the same answer for as
  long as the experiment exists, whatever happened since.
* A deleted or never submitted uid is never created again, but by `restore`: calls that answer with
  a word say "unknown", calls that return data raise `UnknownExperiment` for a deleted one and
  `LostExperiment` for one that nobody deleted, and `published`, `refuse`, `resign`
  and `report` do nothing.
* Numbers inside configs, metrics, curves and checkpoints come back exactly as given, NaN and
  infinities as the strings that the journal has for them (see `journal.py`).

Times are seconds on the server's clock, `resource`, `start`, `target` and `reached` are in the
experiment's unit (steps).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from asha_queue.store.data import (
    Attendant,
    Changed,
    Claim,
    Claimant,
    Decided,
    Description,
    Eviction,
    Failed,
    Json,
    Lead,
    Outcome,
    QueuedSegment,
    Read,
    Renewed,
    RunningSegment,
    ScheduledSegment,
    Snapshot,
    State,
    Worker,
    Written,
)

__all__ = [
    "PIECE",
    "Attendant",
    "Changed",
    "Claim",
    "Claimant",
    "Decided",
    "Description",
    "Eviction",
    "Failed",
    "Json",
    "Lead",
    "Outcome",
    "QueuedSegment",
    "Read",
    "Renewed",
    "RunningSegment",
    "ScheduledSegment",
    "Snapshot",
    "State",
    "Store",
    "Worker",
    "Written",
]

#: Entries of a journal that are read in one go.
PIECE: Final = 1000


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

    def restore(self, entries: Sequence[Json]) -> str:
        """Rebuilds an experiment from its journal, all entries of it; returns the uid that holds
        its name now, as `submit` does. Visible at once or not at all: one that is killed on its way
        is simply called again. Raises `JournalError` for a journal that is none, and `NewerFormat`
        for a newer version's."""

    def finish(
        self, uid: str, last: str, request: str, by: str, reason: str, drain: bool = False
    ) -> Decided:
        """Journals `finished`; refused as `schedule` is, and illegal while a segment is open.

        With `drain` it may be: while some run the answer is "running", and until `extend` keepers
        hear "drain" and nothing is due or claimed, so ask again. What is queued then stays so, and
        is due again once the experiment is opened."""

    # -- orders to an experiment ---------------------------------------------------------------

    def pause(self, uid: str, request: str, by: str, reason: str, now: bool) -> Changed:
        """Journals `paused`: until `resume`, nothing is scheduled, due or claimed. What runs goes
        on to its end; with `now` its keepers hear "drain" instead. Pausing a paused experiment
        `now` drains it; else it is "unchanged"."""

    def resume(self, uid: str, request: str, by: str, reason: str) -> Changed:
        """Journals `resumed`; everything queued is due at once."""

    def cancel(self, uid: str, request: str, by: str, reason: str) -> Changed:
        """Journals `cancelled` and closes all open segments: their tokens are stale from now on,
        and their keepers hear "cancel"."""

    def extend(
        self, uid: str, request: str, by: str, reason: str, changed: Mapping[str, Any]
    ) -> Changed:
        """Journals `extended`: `changed` holds the new values of fields in `EXTENDABLE`. A finished
        experiment is open again and one that is ending goes on, with all that is queued; a paused
        one stays paused. Raises `ProtocolError` for a value below the present one, or of a budget
        that there is none of."""

    def retry(self, uid: str, request: str, by: str, trials: Sequence[int] | None) -> list[int]:
        """Schedules the trials that have failed for good once more, all of them or those among
        `trials`, with their counts of failures and losses at 0: journals `retried` and `scheduled`
        for each. A finished experiment is open again. Returns them by number; none of a cancelled
        experiment."""

    # -- the journal ---------------------------------------------------------------------------

    def read(self, uid: str, seen: str, count: int = PIECE) -> Read:
        """At most `count` entries after the id `seen` ("" or "0-0": from the start). Raises
        `NewerFormat` if one of them is a newer version's."""

    def await_entries(self, uid: str, seen: str, seconds: float) -> Read:
        """As `read`, once there may be a later entry, at the latest after `seconds`."""

    def keep_snapshot(self, uid: str, snapshot: Snapshot) -> None:
        """Keeps what a coordinator has folded, in the place of what was kept before; nothing
        happens if the journal does not have the entry `seen` (the store was rolled back)."""

    def snapshot(self, uid: str) -> Snapshot | None:
        """What was kept last; None if it was nothing that this version understands."""

    def wait(self, seen: Mapping[str, str], seconds: float) -> None:
        """Returns when one of these experiments (uid → id of the last entry read) may have a later
        entry, at the latest after `seconds`; may return early."""

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

    def schedule_and_read(
        self, uid: str, last: str, request: str, segments: Sequence[ScheduledSegment], seen: str
    ) -> tuple[Decided, Read]:
        """`schedule`, then `read` after `seen`, in one round trip: two steps."""

    def published(self, uid: str, segments: Sequence[tuple[int, int, int]]) -> None:
        """Marks what is due among these (trial, rung, attempt) as published: it is due again, if
        nobody claims it, in 30, 60, 120 … s."""

    def due(self, uid: str, limit: int = 1000) -> list[QueuedSegment]:
        """Queued segments to be published now, those that waited longest first; none unless the
        experiment is open, and not ending."""

    # -- one segment ---------------------------------------------------------------------------

    def claim(
        self,
        uid: str,
        trial: int,
        rung: int,
        attempt: int,
        claim: str,
        worker: str,
        ready: bool = False,
    ) -> Claim:
        """Takes a queued segment; `claim` is a random id drawn by the caller. If it is `ready` and
        there is no checkpoint to verify, the segment is started, too."""

    def start(
        self, uid: str, trial: int, token: int, start: int, dropped: Sequence[str] = ()
    ) -> Written:
        """Journals `started` once the checkpoint at `start` was verified; `dropped` are the paths
        of newer ones found corrupt: they leave the record, with a `warning`."""

    def renew(self, uid: str, trial: int, token: int) -> Renewed:
        """Extends the lease, and brings orders: "drain" (extends it too) while the experiment is
        paused `now` or ending, or its worker is to be drained, "cancel" when the segment was
        cancelled. "stale": end the child; "unknown": train on and ask again."""

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
        """Journals `failed`: "retry" while the experiment's `retries` last (the host it failed on
        is avoided for a minute while others live, else the worker), else "final".

        A worker on which several trials have failed in a row, one of which was then trained
        elsewhere, is set aside for a while; each time for longer, until it completes a segment."""

    def release(self, uid: str, trial: int, claim: str | int, reason: str, counts: bool) -> Written:
        """Gives up a claim, named by its claim id or token, whose process is gone: journals `lost`
        and the next attempt. `counts`: the process was seen to die unasked. A claim that never
        arrived is "stale"; what it was for is due again, as its message died with the process."""

    def release_worker(self, worker: str, reason: str) -> list[tuple[str, int]]:
        """Releases, as unasked deaths, all claims of a worker known to be dead: (uid, trial). What
        is published and unclaimed is due again: it may have taken a message and died with it."""

    def refuse(
        self, uid: str, trial: int, rung: int, attempt: int, worker: str, reason: str
    ) -> None:
        """This worker cannot run this segment, for `reason`: it is published again in a second.
        Gives back the worker's own claim, too, as long as that was not started."""

    def refusals(self, uid: str) -> dict[str, str]:
        """Worker to the reason why it refused last; forgotten when it starts a segment."""

    def reap(self, uid: str) -> list[int]:
        """Advances the lease clock and journals the trials whose lease ran out as `lost`."""

    def running(self, uid: str) -> list[RunningSegment]:
        """The claimed segments, by trial."""

    # -- checkpoints that are not needed any more ----------------------------------------------

    def evict(self, uid: str, term: int, evictions: Sequence[Eviction]) -> Written:
        """Takes checkpoints off the record, with an `evicted` entry for each trial that has lost
        some; their files are to be removed later (`removable`). "stale" once the experiment has
        ended, and unless `term` is that of the present leader. A trial that is open by now, or in
        another rung, is passed over."""

    def removable(self, uid: str, age: float, limit: int) -> list[str]:
        """Paths that left the record `age` seconds ago or earlier, oldest first."""

    def removed(self, uid: str, paths: Sequence[str]) -> None:
        """Forgets paths whose files are gone."""

    # -- the fleet -----------------------------------------------------------------------------

    def lead(self, uid: str, who: str, wants: int, claims: Json | None = None) -> Lead:
        """Takes or renews leadership; `wants` (slots it could use now) is kept for `claimants`, and
        so is what it `claims` of each queue, if given, which the next leader hears too.

        A leader that misses its renewals is replaced after LEADER_LEASE; after LEADER_SILENT if the
        server has seen the end of its connection, as it does when a process is killed."""

    def resign(self, uid: str, who: str) -> None:
        """Ends the leadership of `who`."""

    def claimants(self) -> list[Claimant]:
        """Open experiments with a live leader, in the order of their submission."""

    def beat(self, worker: str, info: Json) -> bool:
        """Says that a worker lives, and what it is; True if it is to be drained."""

    def leave(self, worker: str) -> None:
        """Says that a worker ended in good order; whoever is to be drained stays marked."""

    def workers(self) -> list[Worker]:
        """The workers heard within WORKER_TIMEOUT, by name."""

    def set_aside(self, worker: str, reason: str) -> None:
        """This worker cannot save at present: it is given nothing for a while, unless it is set
        aside already; each time for longer, until it saves a checkpoint or completes a segment."""

    def drain(self, workers: Sequence[str], by: str) -> None:
        """Marks workers that shall hand back their segments and end."""

    def undrain(self, worker: str) -> None:
        """Takes the mark back."""

    def drained(self) -> dict[str, str]:
        """The workers marked by `drain`, alive or not, and by whom."""

    def attend(self, who: str, info: Json) -> None:
        """Says that a coordinator lives, and what it is."""

    def absent(self, who: str) -> None:
        """Says that a coordinator ended in good order."""

    def attendants(self) -> list[Attendant]:
        """The coordinators heard within WORKER_TIMEOUT, by `who`."""

    def close(self) -> None:
        """Closes the connections."""
