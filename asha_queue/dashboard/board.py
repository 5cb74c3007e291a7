"""What the pages show, from folds that are kept between two requests.

Called from several threads. A fold is read and shown under its own lock, and what is handed out
are plain values: pages are rendered while another request folds on.
"""

import math
import threading
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asha_queue.coordinator.fold import Fold
from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.result import Result, TrialResult
from asha_queue.search.configuration import flatten
from asha_queue.store.contract import Store
from asha_queue.views import LivePoints, overview, trial_view, verdict

Facts = dict[str, Any]

#: Trials on one page.
TRIALS = 50
#: Orders of the table of trials.
ORDERS = ("best", "newest")


class Followed:
    """An experiment whose journal is followed."""

    def __init__(self, store: Store, uid: str) -> None:
        self.lock = threading.Lock()
        self.fold = Fold(store, uid)
        self.live = LivePoints(store, uid)


class Board:
    """The facts of each page. All methods raise StoreUnavailable while the store is away, those
    that name an experiment or a trial UnknownExperiment when there is none."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followed: dict[str, Followed] = {}
        self._lock = threading.Lock()

    def names(self) -> list[str]:
        """The names of all experiments."""
        return sorted(self._store.names())

    def experiments(self) -> Facts:
        """All experiments; one that cannot be read has an `error`, and is no harm to the others."""
        names = self._store.names()
        self._forget(names.values())
        workers = self._store.workers()
        rows = []
        for name, uid in sorted(names.items()):
            try:
                followed = self._follow(uid)
                with followed.lock:
                    followed.fold.catch_up()
                    facts = overview(followed.fold.result, workers, {})
                rows.append(facts | {"percent": _percent(facts)})
            except StoreUnavailable:
                raise
            except UnknownExperiment:
                continue  # deleted a moment ago
            except AshaQueueError as error:
                rows.append({"name": name, "error": str(error)})
        return {"experiments": rows, "alive": len(workers)}

    def experiment(self, name: str, order: str, page: int) -> Facts:
        """One experiment, and a page of its trials, counted from 1."""
        followed = self._named(name)
        uid = followed.fold.uid
        workers, refusals = self._store.workers(), self._store.refusals(uid)
        leader = self._store.describe(uid).leader
        with followed.lock:
            followed.fold.catch_up()
            result = followed.fold.result
            facts = overview(result, workers, followed.live.refresh())
            trials = ordered(result, order)
            pages = max(1, math.ceil(len(trials) / TRIALS))
            page = min(max(1, page), pages)
            shown = trials[(page - 1) * TRIALS : page * TRIALS]
            rows = [_row(trial, result.specification.metric) for trial in shown]
        return {
            "experiment": facts,
            "config": flatten(facts["best"]["config"]) if facts["best"] else {},
            "notes": list(_notes(facts, leader, refusals)),
            "trials": rows,
            "order": order,
            "page": page,
            "pages": pages,
        }

    def trial(self, name: str, number: int) -> Facts:
        """One trial, and for each of its rungs why it was promoted or not."""
        followed = self._named(name)
        with followed.lock:
            followed.fold.catch_up()
            trials = followed.fold.result.trials
            specification = followed.fold.result.specification
            if number >= len(trials):
                raise UnknownExperiment(
                    f"experiment {name} has no trial {number}; {len(trials)} were started, "
                    f"numbered from 0"
                )
            view = trial_view(trials[number], followed.fold.search)
        for rung in view["rungs"]:
            rung["why"] = verdict(rung, specification.reduction_factor)
        return {
            "name": name,
            "trial": view,
            "config": flatten(view["config"]),
            "metric": specification.metric,
        }

    def _named(self, name: str) -> Followed:
        names = self._store.names()
        if name not in names:
            raise UnknownExperiment(f"no experiment is called {name!r}")
        return self._follow(names[name])

    def _follow(self, uid: str) -> Followed:
        with self._lock:
            if uid not in self._followed:
                self._followed[uid] = Followed(self._store, uid)
            return self._followed[uid]

    def _forget(self, uids: Iterable[str]) -> None:
        """Drops the folds of experiments that were deleted."""
        with self._lock:
            for uid in self._followed.keys() - set(uids):
                del self._followed[uid]


def ordered(result: Result, order: str) -> list[TrialResult]:
    """The trials, newest first, or best first: by the highest rung with a result, then by value."""
    if order == "newest":
        return result.trials[::-1]
    sign = 1.0 if result.specification.mode == "min" else -1.0

    def place(trial: TrialResult) -> tuple[int, float, int]:
        if not trial.results:
            return 1, math.inf, trial.number
        last = trial.results[-1]
        return -last.rung, math.inf if math.isnan(last.value) else sign * last.value, trial.number

    return sorted(result.trials, key=place)


def _row(trial: TrialResult, metric: str) -> Facts:
    return {
        "number": trial.number,
        "state": trial.state,
        "rung": trial.rung,
        "resource": trial.resource,
        "value": trial.metrics.get(metric),
        "config": trial.config,
    }


def _percent(facts: Facts) -> int:
    """How far an experiment is, by the resource that it is expected to spend."""
    if facts["state"] == "finished":
        return 100
    return int(100 * facts["resource"]["spent"] / facts["resource"]["expected"])


def _notes(facts: Facts, leader: str, refusals: Mapping[str, str]) -> Iterator[str]:
    """What keeps an experiment from going on, and what to do."""
    if facts["state"] == "running" and not leader:
        yield "No coordinator drives it. Start one: asha-queue coordinator"
    if facts["state"] == "running" and not facts["workers"]["alive"]:
        yield "No worker is alive. Start some: asha-queue worker"
    for worker, reason in sorted(refusals.items()):
        yield f"{worker} refuses it: {reason}"
