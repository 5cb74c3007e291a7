"""What an experiment's journal counts up to: ends of segments, promotions, and where time went.

Rules

* Folded like everything that is shown, in about a microsecond per entry; memory is bounded by the
  number of workers. Times are those of the entries: seconds on the server's clock.
* A worker trains one segment at a time, and is busy from `started` to the entry that ends the
  segment; to its next `started` if that entry never comes. A worker that dies counts as busy until
  that is noticed: nobody else could use its slot. `cancelled` ends what runs without an entry.
* The hand-off gap is what a worker takes from the end of a segment to the `started` of its next one
  in this experiment: deciding, publishing, claiming and restoring. It is measured after `completed`
  and after a `failed` that the program reported; after a loss or a drain the worker itself is new.
  Gaps across a pause or the end of the experiment, and those above LONGEST_GAP, are left out: there
  was nothing to do, or another experiment had the worker.
* The decision lag is what the coordinator takes from a result (`completed`, or a final `failed`) to
  the next decision: a `scheduled` with attempt 1. Results in a burst count once, from the last one:
  a decision is refused until that was folded. A result after which nothing could be decided before
  the next one counts nowhere, and neither does one that an order to the experiment came after.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

#: How a segment's attempt may end.
OUTCOMES: Final = ("completed", "suspended", "failed", "lost")
#: Seconds for which it is remembered when a worker was busy.
REMEMBERED: Final = 3600.0
#: Seconds within which the beginnings of short segments are remembered as one span.
GRAIN: Final = 10.0
#: Seconds of the longest hand-off gap that counts.
LONGEST_GAP: Final = 60.0
#: Upper bounds of a histogram's classes, in seconds.
BOUNDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0),
    *(2.5, 5.0, 10.0, 30.0, 60.0),
)


class Histogram:
    """How many durations there were up to each of BOUNDS, and their sum in seconds."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        seconds = max(0.0, seconds)  # another server's clock may be behind
        self._counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        return sum(self._counts)

    @property
    def cumulative(self) -> list[int]:
        """Durations up to each bound, and last of all of them."""
        return list(accumulate(self._counts))


@dataclass(slots=True)
class _Span:
    """Segments that began close together, and the seconds that they took."""

    start: float
    end: float
    busy: float

    def within(self, since: float, until: float) -> float:
        """The busy seconds of a part; those of a cut span are taken as evenly spread."""
        part = min(self.end, until) - max(self.start, since)
        return self.busy * part / (self.end - self.start) if part > 0 else 0.0


@dataclass(slots=True)
class WorkerTally:
    """A worker in this experiment: when it was first seen, and its segments that were lost."""

    since: float
    losses: int = 0
    _spans: deque[_Span] = field(default_factory=deque)
    #: The trial in training and since when, or None.
    _trial: int | None = None
    _began: float = 0.0
    #: When it was free for the next segment, if the gap counts.
    _freed: float | None = None

    def busy(self, since: float, now: float) -> float:
        """Seconds of [since, now] in which it trained; REMEMBERED back at most."""
        total = sum(span.within(since, now) for span in self._spans)
        if self._trial is not None:
            total += max(0.0, now - max(self._began, since))
        return total

    def start(self, trial: int, at: float) -> float | None:
        """Begins a segment; the seconds since it was free, if they count."""
        self.end(at)
        freed, self._freed = self._freed, None
        self._trial, self._began = trial, at
        return None if freed is None else at - freed

    def ends(self, trial: int, at: float, handed_off: bool) -> None:
        """Ends the segment, if it is the one in training."""
        if self._trial == trial:
            self.end(at)
            self._freed = at if handed_off else None

    def end(self, at: float) -> None:
        """Ends whatever is in training."""
        if self._trial is None:
            return
        start, end, spans = self._began, max(at, self._began), self._spans
        if spans and start - spans[-1].start < GRAIN:
            spans[-1].end, spans[-1].busy = max(end, spans[-1].end), spans[-1].busy + end - start
        else:
            spans.append(_Span(start, end, end - start))
        while spans[0].end < end - REMEMBERED:
            spans.popleft()
        self._trial = None

    def rest(self) -> None:
        """What is next is no hand-off."""
        self._freed = None


class Tally:
    """The counts of one experiment."""

    def __init__(self) -> None:
        #: Attempts by how they ended, one of OUTCOMES.
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.promotions = 0
        self.workers: dict[str, WorkerTally] = {}
        #: Seconds from the end of a worker's segment to the start of its next.
        self.gaps = Histogram()
        #: Seconds from a result to the decision after it.
        self.lags = Histogram()
        #: When the last result came, while no decision has followed it.
        self._undecided: float | None = None
        self._at = 0.0

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds one entry of the journal."""
        kind = entry["type"]
        at = self._at = entry.get("at", self._at)
        if kind == "scheduled":
            if entry.get("attempt", 1) == 1:
                self.promotions += entry["rung"] > 0
                if self._undecided is not None:
                    self.lags.add(at - self._undecided)
                    self._undecided = None
        elif kind == "started":
            if worker := self._worker(entry, at):
                gap = worker.start(entry["trial"], at)
                if gap is not None and gap <= LONGEST_GAP:
                    self.gaps.add(gap)
        elif kind in self.outcomes:
            self.outcomes[kind] += 1
            if kind == "completed" or entry.get("final"):
                self._undecided = at
            if worker := self._worker(entry, at):
                worker.losses += kind == "lost"
                reported = kind == "completed" or (kind == "failed" and "witness" not in entry)
                worker.ends(entry["trial"], at, reported)
        elif kind in ("paused", "resumed", "extended", "retried", "finished", "cancelled"):
            self._undecided = None
            for worker in self.workers.values() if kind != "retried" else ():
                worker.rest()
                if kind == "cancelled":
                    worker.end(at)

    def busy(self, worker: str, since: float, now: float) -> float:
        """Seconds of [since, now] in which a worker trained for this experiment, REMEMBERED back at
        most; exact to GRAIN at `since`."""
        known = self.workers.get(worker)
        return known.busy(since, now) if known else 0.0

    def _worker(self, entry: Mapping[str, Any], at: float) -> WorkerTally | None:
        name = entry.get("worker")
        if not name:
            return None
        known = self.workers.get(name)
        if known is None:
            known = self.workers[name] = WorkerTally(at)
        return known
