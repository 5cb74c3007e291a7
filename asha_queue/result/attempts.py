"""The attempts of one trial, in the order in which they were scheduled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from asha_queue.search.rooms import QUEUE

ENDS = ("completed", "suspended", "failed", "lost")


@dataclass(slots=True)
class Attempt:
    """One try at a segment; `rung` counts from 0 in the trial's own bracket, as in the journal and
    in the names of logs. `state` is "queued", "running", or the way it ended: "completed",
    "suspended", "failed", "lost" or "cancelled". `why` is the error, or the reason of a loss;
    `queue` is where it was queued, if that is another than usual; `notes` are warnings, and that
    checkpoints were evicted after it; the times are those of the journal, in seconds."""

    rung: int
    attempt: int
    target: int
    state: str = "queued"
    worker: str | None = None
    start: int | None = None
    reached: int | None = None
    why: str = ""
    scheduled_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    checkpoint: dict[str, Any] | None = None
    bracket: int = 0
    queue: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def started(self) -> bool:
        return self.start is not None

    @property
    def ended(self) -> bool:
        return self.state not in ("queued", "running")

    @property
    def reason(self) -> str:
        """The first line of `why`."""
        return self.why.partition("\n")[0]

    @property
    def place(self) -> str:
        """Which it is and how it ended, without the reason."""
        worker = f"  {self.worker}" if self.worker else ""
        reached = f" at {self.reached}" if self.reached is not None else ""
        bracket = f"bracket {self.bracket} " if self.bracket else ""
        on = f" on {self.queue}" if self.queue and self.state == "queued" else ""
        return (
            f"{bracket}rung {self.rung} attempt {self.attempt}{worker}  "
            f"{self.start or 0} → {self.target}  {self.state}{reached}{on}"
        )

    def __str__(self) -> str:
        return f"{self.place}{self.reason and ': '}{self.reason}"


@dataclass(slots=True)
class Attempts:
    """Follows the attempts of one trial."""

    trial: int
    all: list[Attempt] = field(default_factory=list)

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds one entry of the journal, of whichever trial."""
        kind = entry["type"]
        if kind == "cancelled":
            self.cancel(entry.get("at"))
        if entry.get("trial") != self.trial:
            return
        if self.all and kind == "warning" and entry.get("what"):
            self.all[-1].notes.append(entry["what"])
        elif self.all and kind == "evicted":
            self.all[-1].notes.append(_evicted(entry))
        if "attempt" not in entry:
            return
        at = entry.get("at")
        if kind == "scheduled":
            attempt = Attempt(entry["rung"], entry["attempt"], entry["target"], scheduled_at=at)
            attempt.bracket = entry.get("bracket", 0)
            self.all.append(attempt)
        elif known := self._find(entry["rung"], entry["attempt"]):
            known.worker = entry.get("worker") or known.worker
            if kind == "started":
                known.state, known.start, known.started_at = "running", entry["start"], at
            elif kind in ENDS:
                known.state, known.reached, known.ended_at = kind, entry.get("reached"), at
                known.why = entry.get("error") or entry.get("reason") or ""
                known.checkpoint = entry.get("checkpoint")

    def send(self, queue: str) -> None:
        """The last one was scheduled for this queue."""
        if queue != QUEUE and self.all:
            self.all[-1].queue = queue

    def cancel(self, at: float | None) -> None:
        """Ends what is open: the experiment was cancelled."""
        for attempt in self.all:
            if not attempt.ended:
                attempt.state, attempt.ended_at = "cancelled", at

    def _find(self, rung: int, attempt: int) -> Attempt | None:
        for known in reversed(self.all):  # the last one, unless a journal is none
            if known.rung == rung and known.attempt == attempt:
                return known
        return None


def _evicted(entry: Mapping[str, Any]) -> str:
    """What the leader took off the record, as it is not needed, and what is left."""
    reached, left = entry["reached"], entry["left"]
    if left == reached:
        return f"older checkpoints than that at {left} were evicted: they are not needed"
    rest = f"training would go on from {left}" if left else "training would begin anew"
    return f"its checkpoint at {reached} was evicted: it is not needed; {rest}"
