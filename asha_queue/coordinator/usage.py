"""How long workers trained for an experiment: folded from its journal, by queue.

Rules

* The time of a segment is that between its entries, on the server's clock; of one in training what
  has passed here since it was read, until its end says it exactly.
* What was begun before the fold's snapshot is not in the entries read: it counts from when it is
  seen among the running ones.
* A journal that is read anew (it begins with `submitted`) counts anew: nothing is charged twice.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asha_queue.store.contract import RunningSegment

#: How much the last segment counts in the mean of what segments take.
PACE = 0.1
ENDS = ("completed", "suspended", "failed", "lost")


class Usage:
    """Worker-seconds of one experiment; `queue_of` is the queue of a target, `clock` that of who
    asks."""

    def __init__(self, queue_of: Callable[[int], str], clock: Callable[[], float]) -> None:
        self._queue_of = queue_of
        self._clock = clock
        #: Seconds that completed segments took lately, by queue.
        self.seconds: dict[str, float] = {}
        self._forget()

    def _forget(self) -> None:
        self._targets: dict[int, int] = {}
        #: Segments in training by target.
        self.training = Counter[int]()
        #: By trial in training: since when, here and on the server's clock (None: unknown).
        self._since: dict[int, tuple[float, float | None]] = {}
        self._ended = defaultdict[str, float](float)
        self._taken: dict[str, float] = {}

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal."""
        kind = entry["type"]
        if kind == "submitted":
            self._forget()
        elif kind == "scheduled":
            self._targets[entry["trial"]] = entry["target"]
        elif kind == "started":
            self._begin(entry["trial"], entry["at"])
        elif kind in ENDS:
            self._end(entry["trial"], entry["at"], kind == "completed")
        elif kind == "cancelled":
            for trial in [*self._since]:
                self._end(trial, None, False)

    def see(self, running: Iterable[RunningSegment]) -> None:
        """Takes up what is in training and whose start was not read."""
        for segment in running:
            if segment.trial not in self._since:
                self._targets[segment.trial] = segment.target
                self._begin(segment.trial, None)
            elif segment.trial not in self._targets:
                self._targets[segment.trial] = segment.target
                self.training[segment.target] += 1

    def take(self, queue: str) -> float | None:
        """Worker-seconds since the last call; None at the first one."""
        total, now = self._ended[queue], self._clock()
        for trial, (here, _) in self._since.items():
            if self._queue_of(self._targets[trial]) == queue:
                total += now - here
        before, self._taken[queue] = self._taken.get(queue), total
        return None if before is None else total - before

    def _begin(self, trial: int, at: float | None) -> None:
        if trial not in self._since and trial in self._targets:
            self.training[self._targets[trial]] += 1
        self._since[trial] = self._clock(), at

    def _end(self, trial: int, at: float | None, completed: bool) -> None:
        here, there = self._since.pop(trial, (None, None))
        target = self._targets.pop(trial, None)
        if here is None or target is None:
            return
        self.training[target] -= 1
        seconds = self._clock() - here if at is None or there is None else at - there
        queue = self._queue_of(target)
        self._ended[queue] += seconds
        if completed:
            before = self.seconds.get(queue, seconds)
            self.seconds[queue] = before + PACE * (seconds - before)
