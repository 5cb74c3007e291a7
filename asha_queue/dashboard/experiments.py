"""What the pages show: each experiment folded once, and followed from then on.

Rules

* A journal is read from its start at the first look only; later ones read what came since.
* Every method may block, on the server or on another thread that looks at the same experiment:
  call it from a thread. What it returns is a copy that no other thread changes.
* One experiment that cannot be read does not hide the others.
"""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from asha_queue.choice import choose, row
from asha_queue.coordinator.fold import FullFold
from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.store.contract import Store
from asha_queue.views import LivePoints, overview, trial_view, verdict

#: Trials in the table of an experiment, at most.
TRIALS = 200


class _Followed:
    """One experiment; its lock is held by whoever looks at it."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._uid = uid
        self._lock = threading.Lock()
        self._fold: FullFold | None = None
        self._live = LivePoints(store, uid)

    @contextmanager
    def current(self) -> Iterator[tuple[FullFold, LivePoints]]:
        """The fold as of now, and the live points."""
        with self._lock:
            if self._fold is None:
                self._fold = FullFold(self._store, self._uid)
            self._fold.catch_up()
            yield self._fold, self._live


class Experiments:
    """All experiments of a store, for readers in several threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}

    def names(self) -> list[str]:
        """The names of all experiments."""
        return sorted(self._store.names())

    def all(self) -> list[dict[str, Any]]:
        """An overview of each experiment, or its name and what is wrong with it."""
        names = self._store.names()
        with self._lock:  # those that were deleted are forgotten
            self._followed = {
                uid: followed for uid, followed in self._followed.items() if uid in names.values()
            }
        workers = self._store.workers()
        found: list[dict[str, Any]] = []
        for name, uid in sorted(names.items()):
            try:
                with self._follow(uid).current() as (fold, _):
                    found.append(overview(fold.result, workers, {}))
            except StoreUnavailable:
                raise
            except UnknownExperiment:
                continue  # deleted a moment ago
            except AshaQueueError as error:
                found.append({"name": name, "error": str(error)})
        return found

    def experiment(self, name: str, state: str = "", newest: bool = False) -> dict[str, Any]:
        """An overview of one experiment, and those of its trials that its page shows: the best, or
        the newest, of all, or of those in one state."""
        with self._of(name) as (fold, live):
            result = fold.result
            glance = overview(result, self._store.workers(), live.refresh())
            leader = self._store.describe(fold.uid).leader
            refusals = self._store.refusals(fold.uid)
            sort = "trial" if newest else ""
            trials, matching = choose(
                result, state=state, sort=sort, descending=newest, limit=TRIALS
            )
            return {
                "view": glance,
                "notes": list(_notes(glance, leader, refusals)),
                "trials": [row(trial) for trial in trials],
                "matching": matching,
            }

    def trial(self, name: str, number: int) -> dict[str, Any]:
        """One trial, with the sentence that explains each of its rungs."""
        with self._of(name) as (fold, live):
            result = fold.result
            if number >= len(result.trials):
                raise UnknownExperiment(
                    f"experiment {name} has no trial {number}; "
                    f"{len(result.trials)} were started, numbered from 0"
                )
            view = trial_view(result.trials[number], fold.search)
            for rung in view["rungs"]:
                rung["why"] = verdict(rung, result.specification.reduction_factor)
            glance = overview(result, self._store.workers(), live.refresh())
            running = [one for one in glance["running"] if one["trial"] == number]
            return {"view": glance, "trial": view, "running": running}

    @contextmanager
    def _of(self, name: str) -> Iterator[tuple[FullFold, LivePoints]]:
        uid = self._store.uid(name)
        if uid is None:
            raise UnknownExperiment(f"no experiment is called {name!r}")
        with self._follow(uid).current() as current:
            yield current

    def _follow(self, uid: str) -> _Followed:
        with self._lock:
            return self._followed.setdefault(uid, _Followed(self._store, uid))


def _notes(glance: Mapping[str, Any], leader: str, refusals: Mapping[str, str]) -> Iterator[str]:
    """What keeps an experiment from going on, and what to do."""
    if glance["state"] == "running" and not leader:
        yield "No coordinator drives it. Start one: asha-queue coordinator"
    if glance["state"] == "running" and not glance["workers"]["alive"]:
        yield "No worker is alive. Start some: asha-queue worker"
    for worker, reason in sorted(refusals.items()):
        yield f"{worker} refuses it: {reason}"
