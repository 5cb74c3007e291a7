"""When what a fault has hit was as before, and how long workers had nothing to do: read off the
journals.

Times in journals are the server's, those of faults the driver's: one machine, one clock.
"""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.scene import Hit
from tests.chaos.witness import ENDS, Attempt, Entry, attempt_of

#: Seconds between two segments of a worker that are no idleness: one ends, the next one starts.
HANDOVER = 0.1


class Journals:
    """The journals of a run, by what is asked of them."""

    def __init__(self, journals: Mapping[str, Sequence[Entry]]) -> None:
        #: Times at which each worker started or ended something.
        self._signs: dict[str, list[float]] = {}
        #: Times of decisions in each experiment.
        self._decisions: dict[str, list[float]] = {}
        #: Start and end of each attempt; the end is missing while it is open.
        self._starts: dict[Attempt, float] = {}
        self._ends: dict[Attempt, float] = {}
        #: Attempts of each segment, those that were started or ended.
        self._attempts: dict[tuple[str, int, int], list[int]] = {}
        #: When segments waited for a worker: +1 scheduled, -1 started (or ended without).
        self._queue: list[tuple[float, int]] = []
        self._busy: dict[str, list[tuple[float, float]]] = {}
        #: What each worker started, and when.
        self._held: dict[str, list[tuple[float, Attempt]]] = {}
        for uid, entries in journals.items():
            for entry in entries:
                self._take(uid, entry)
        for signs in self._signs.values():
            signs.sort()
        for spans in self._busy.values():
            spans.sort()
        for held in self._held.values():
            held.sort()
        self._queue.sort()

    def _take(self, uid: str, entry: Entry) -> None:
        kind, at = entry["type"], entry["at"]
        if kind in ("scheduled", "finished") and entry.get("attempt", 1) == 1:
            self._decisions.setdefault(uid, []).append(at)
        if kind == "scheduled":
            self._queue.append((at, 1))
            return
        if kind != "started" and kind not in ENDS:
            return
        attempt = attempt_of(uid, entry)
        self._attempts.setdefault(attempt[:3], []).append(attempt.attempt)
        if kind == "started":
            self._starts[attempt] = at
            self._queue.append((at, -1))
            self._signs.setdefault(entry["worker"], []).append(at)
            self._held.setdefault(entry["worker"], []).append((at, attempt))
            return
        self._ends[attempt] = at
        if attempt not in self._starts:
            self._queue.append((at, -1))
            return
        self._busy.setdefault(entry["worker"], []).append((self._starts[attempt], at))
        if kind in ("completed", "suspended"):
            self._signs.setdefault(entry["worker"], []).append(at)

    def recovery(self, hit: Hit) -> float | None:
        """Seconds until everything that was hit was as before; None if something never was (it may
        have had nothing to do any more)."""
        since = hit.at if hit.over is None else hit.over
        times: list[float | None] = []
        times += [self._restored(worker, hit.at, since) for worker in hit.struck]
        times += [self._again(attempt, since, 0) for attempt in hit.queued]
        times += [_next(self._signs.get(worker, []), since) for worker in hit.workers]
        times += [_next(self._decisions.get(uid, []), since) for uid in hit.led]
        known = [time for time in times if time is not None]
        if not times or len(known) < len(times):
            return None
        return max(0.0, max(known) - since)

    def _restored(self, worker: str, at: float, since: float) -> float | None:
        """When what a worker trained at a time was started again, or, if it trained nothing then,
        when it started something."""
        held = self._held.get(worker, [])
        index = bisect.bisect_right(held, (at, Attempt("~", 0, 0, 0))) - 1
        if index >= 0 and self._ends.get(held[index][1], math.inf) > at:
            return self._again(held[index][1], since, 1)
        return _next(self._signs.get(worker, []), since)

    def _again(self, attempt: Attempt, since: float, later: int) -> float | None:
        """When this segment was started by an attempt `later` than that, or had its result."""
        for number in sorted(set(self._attempts.get(attempt[:3], []))):
            found = attempt._replace(attempt=number)
            if number >= attempt.attempt + later:
                return self._starts.get(found, self._ends.get(found))
            if number == attempt.attempt and self._ends.get(found, 0.0) < since:
                return since  # it had ended before
        ended = self._ends.get(attempt)
        last = max(self._attempts.get(attempt[:3], [0]))
        return ended if last == attempt.attempt else None  # it went on: the fault missed it

    def idle(self, workers: Sequence[str]) -> "Idle":
        """How long these workers had nothing to do while segments waited for one."""
        total = worst = 0.0
        first = min((span[0][0] for span in self._busy.values()), default=0.0)
        last = max((end for spans in self._busy.values() for _, end in spans), default=0.0)
        waiting = self._waiting()
        for worker in workers:
            free = first
            for start, end in [*self._busy.get(worker, []), (last, last)]:
                seconds = _overlap(waiting, free, start)
                if seconds > HANDOVER:
                    total += seconds
                    worst = max(worst, seconds)
                free = max(free, end)
        return Idle(total, worst, (last - first) * len(workers))

    def gaps(self, workers: Sequence[str], since: float, until: float) -> float:
        """The longest time for which one of these workers had nothing to do between two times,
        whether a segment waited or not."""
        worst = 0.0
        for worker in workers:
            spans = [s for s in self._busy.get(worker, []) if s[1] > since and s[0] < until]
            ends = [since, *(end for _, end in spans)]
            starts = [*(start for start, _ in spans), until]
            worst = max([worst, *(b - a for a, b in zip(ends, starts, strict=True))])
        return worst

    def _waiting(self) -> list[tuple[float, float]]:
        """The times in which a segment waited for a worker."""
        spans, depth, since = [], 0, 0.0
        for at, change in self._queue:
            if depth == 0 and change > 0:
                since = at
            depth += change
            if depth == 0 and change < 0:
                spans.append((since, at))
        return spans


@dataclass(frozen=True, slots=True)
class Idle:
    """Worker-seconds without a segment though one waited, the longest in one piece, and all."""

    seconds: float
    longest: float
    of: float


def _next(times: Sequence[float], since: float) -> float | None:
    index = bisect.bisect_right(times, since)
    return times[index] if index < len(times) else None


def _overlap(spans: Sequence[tuple[float, float]], since: float, until: float) -> float:
    index = max(0, bisect.bisect_right(spans, (since, float("inf"))) - 1)
    total = 0.0
    for start, end in spans[index:]:
        if start >= until:
            break
        total += max(0.0, min(end, until) - max(start, since))
    return total
