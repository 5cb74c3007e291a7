"""One experiment that is followed: folded once, then read on.

Rules

* A journal is read from its start once; later looks read what came since.
* Whoever looks holds its lock; what is drawn from a look is drawn within it.
* The collector of reference cycles stops all threads, Flower's event loop too, for the longer the
  more is remembered: what a long journal was folded to holds no cycles, and is taken off its hands.
"""

import gc
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from asha_queue.coordinator.fold import FullFold
from asha_queue.errors import UnknownExperiment
from asha_queue.result import TrialResult
from asha_queue.store.contract import Store, Worker
from asha_queue.tally import REMEMBERED
from asha_queue.views import LivePoints, overview, running_view

#: Figures of one experiment that are kept as they were sent.
FIGURES_KEPT = 16
#: Seconds that what is known of another experiment is waited for.
KNOWN_WITHIN = 0.2


class Look(NamedTuple):
    """An experiment as of now."""

    fold: FullFold
    live: LivePoints
    drawn: "Drawn"

    def overview(self, workers: Sequence[Worker]) -> dict[str, Any]:
        """It at a glance."""
        return overview(self.fold.result, workers, self.live.last)

    def trial(self, number: int) -> TrialResult:
        """A trial; UnknownExperiment tells how many there are."""
        trials = self.fold.result.trials
        if number >= len(trials):
            raise UnknownExperiment(
                f"experiment {self.fold.specification.name} has no trial {number}; "
                f"{len(trials)} were started, numbered from 0"
            )
        return trials[number]

    def running(self, trial: TrialResult) -> dict[str, Any] | None:
        """The segment of a trial that is in training, if one is."""
        if trial.state != "running":
            return None
        return running_view(
            trial, self.live.last.get(trial.number), self.fold.specification.leading.metric
        )


class Drawn:
    """The figures of an experiment that were asked for last, as bytes; each is drawn again only
    when its version is another one."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[str, bytes]] = {}

    def get(self, key: Hashable, version: str, make: Callable[[], bytes]) -> bytes:
        """The bytes of a figure, from `make` if they are not at hand."""
        kept = self._kept.pop(key, None)
        if kept is None or kept[0] != version:
            kept = version, make()
        self._kept[key] = kept  # as the newest
        while len(self._kept) > FIGURES_KEPT:
            del self._kept[next(iter(self._kept))]
        return kept[1]


class Followed:
    """One experiment; its lock is held by whoever looks at it."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._uid = uid
        self._lock = threading.Lock()
        self._fold: FullFold | None = None
        self._live = LivePoints(store, uid)
        self._drawn = Drawn()

    @contextmanager
    def current(self) -> Iterator[Look]:
        """What the experiment is now."""
        with self._lock:
            if self._fold is None:
                fold = FullFold(self._store, self._uid)
                with _without_collector():
                    fold.catch_up()
                self._fold = fold
            self._fold.catch_up()
            self._live.refresh()
            yield Look(self._fold, self._live, self._drawn)

    def busy(self, workers: Sequence[Worker]) -> dict[str, tuple[float, float]]:
        """For each of these workers that has trained it: since when it is known, and the seconds of
        the last hour that it was busy, as of the last look. Nothing while another thread looks."""
        if not self._lock.acquire(timeout=KNOWN_WITHIN):
            return {}
        try:
            known = self._fold.result.tally.workers if self._fold else {}
            return {
                worker.name: (
                    known[worker.name].since,
                    known[worker.name].busy(worker.seen_at - REMEMBERED, worker.seen_at),
                )
                for worker in workers
                if worker.name in known
            }
        finally:
            self._lock.release()


@contextmanager
def _without_collector() -> Iterator[None]:
    """For making many objects that stay, without cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
