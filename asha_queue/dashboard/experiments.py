"""What the pages show: each experiment folded once, and followed from then on.

Rules

* A journal is read from its start once; later looks read what came since. `follow` does so ahead of
  the first look, and keeps all experiments at hand.
* Every method may block, on the server or on another thread that looks at the same experiment:
  call it from a thread. What it returns is a copy that no other thread changes.
* One experiment that cannot be read does not hide the others.
* The collector of reference cycles stops all threads, Flower's event loop too, for the longer the
  more is remembered: what a long journal was folded to holds no cycles, and is taken off its hands.
"""

import gc
import math
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from asha_queue import where
from asha_queue.choice import choose, row
from asha_queue.coordinator.fold import FullFold
from asha_queue.coordinator.slots import Want, divide
from asha_queue.errors import AshaQueueError, ChoiceError, StoreUnavailable, UnknownExperiment
from asha_queue.figures import columns_of, draw, most_results, trial_curve
from asha_queue.handle import uid_of
from asha_queue.importance import Importances
from asha_queue.logs import Logs, Tail
from asha_queue.result import Result, TrialResult
from asha_queue.search.configuration import flatten
from asha_queue.store.contract import Store, Worker
from asha_queue.tally import REMEMBERED
from asha_queue.views import LivePoints, fleet, overview, running_view, trial_view, verdict

#: Seconds between two looks of `follow` at all experiments.
FOLLOW_EVERY = 2.0
#: Trials on one page of an experiment's table.
ROWS = 50
#: Seconds that what is known of another experiment is waited for.
KNOWN_WITHIN = 0.2


class Look(NamedTuple):
    """An experiment as of now."""

    fold: FullFold
    live: LivePoints

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
        return running_view(trial, self.live.last.get(trial.number), self.fold.specification.metric)


class _Followed:
    """One experiment; its lock is held by whoever looks at it."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._uid = uid
        self._lock = threading.Lock()
        self._fold: FullFold | None = None
        self._live = LivePoints(store, uid)

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
            yield Look(self._fold, self._live)

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


@dataclass(frozen=True, slots=True)
class Query:
    """Which trials the page of an experiment shows, see `choice`; pages count from 1."""

    state: str = ""
    search: str = ""
    sort: str = ""
    descending: bool = False
    page: int = 1

    def __str__(self) -> str:
        """As a query of an address, without what is left at its default."""
        return self.but()

    def but(self, **changed: Any) -> str:
        """The query with something changed; on its first page unless that is what changed."""
        other = replace(self, **{"page": 1, **changed})
        given = {
            "state": other.state,
            "search": other.search,
            "sort": other.sort,
            "order": "desc" if other.descending else "",
            "page": other.page if other.page > 1 else "",
        }
        return urlencode({name: value for name, value in given.items() if value})


class Experiments:
    """All experiments of a store, for readers in several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._followed: dict[str, _Followed] = {}
        self._importances = Importances()

    def names(self) -> list[str]:
        """The names of all experiments."""
        return sorted(self.store.names())

    def follow(self) -> None:
        """Looks at all experiments again and again, for ever, so that pages find them folded."""
        while True:
            try:
                for _, uid in sorted(self._known_names().items()):
                    try:
                        with self._follow(uid).current():
                            pass
                    except StoreUnavailable:
                        raise
                    except AshaQueueError:
                        continue  # whoever looks at it is told
            except StoreUnavailable:
                pass
            time.sleep(FOLLOW_EVERY)

    def all(self) -> dict[str, Any]:
        """An overview of each experiment, or its name and what is wrong with it, and the fleet."""
        names = self._known_names()
        workers = self.store.workers()
        shares = _shares(self.store, workers)
        found: list[dict[str, Any]] = []
        for name, uid in sorted(names.items()):
            try:
                with self._follow(uid).current() as look:
                    glance = look.overview(workers)
                    age = max(0.0, time.time() - (look.fold.result.began or math.inf))
                    found.append(glance | {"share": shares.get(uid), "age": age})
            except StoreUnavailable:
                raise
            except UnknownExperiment:
                continue  # deleted a moment ago
            except AshaQueueError as error:
                found.append({"name": name, "error": str(error)})
        whole = [glance for glance in found if "error" not in glance]
        return {
            "experiments": found,
            "workers": self._fleet(workers, whole),
            "coordinators": [attendant.who for attendant in self.store.attendants()],
        }

    def experiment(self, name: str, query: Query = Query()) -> dict[str, Any]:
        """An overview of one experiment, what keeps it from going on, the trials that are asked
        for, and its workers."""
        with self.look(name) as look:
            result = look.fold.result
            trials = self._trials(result, query)
            workers = [
                worker
                for worker in self.store.workers()
                if result.specification.queue in worker.info.get("queues", ())
            ]
            glance = look.overview(workers)
            leader = self.store.describe(look.fold.uid).leader
            refusals = self.store.refusals(look.fold.uid)
            specification = result.specification
            lost = {name: worker.losses for name, worker in result.tally.workers.items()}
        return {
            "view": glance,
            "notes": list(_notes(glance, leader, refusals)),
            "present": {"num_samples": specification.num_samples, "max_t": specification.max_t},
            **trials,
            "workers": [
                row | {"lost": lost.get(row["worker"], 0)} for row in self._fleet(workers, [glance])
            ],
        }

    @staticmethod
    def _trials(result: Result, query: Query) -> dict[str, Any]:
        """A page of rows, how many match, and what is wrong with what is asked for."""
        wrong = ""
        try:
            trials, matching = choose(
                result,
                state=query.state,
                search=query.search,
                sort=query.sort,
                descending=query.descending,
                offset=(query.page - 1) * ROWS,
                limit=ROWS,
            )
        except ChoiceError as error:
            trials, matching, wrong = [], 0, str(error)
        return {
            "trials": [row(trial) for trial in trials],
            "matching": matching,
            "pages": max(1, -(-matching // ROWS)),
            "wrong": wrong,
            "parameters": list(flatten(result.trials[0].config)) if result.trials else [],
        }

    def overview(self, name: str) -> dict[str, Any]:
        """One experiment at a glance."""
        with self.look(name) as look:
            return look.overview(self.store.workers())

    def trial(self, name: str, number: int) -> dict[str, Any]:
        """One trial, with the sentence that explains each of its rungs, and the devices of the
        workers that live."""
        with self.look(name) as look:
            specification = look.fold.specification
            found = look.trial(number)
            view = trial_view(found, look.fold.search)
            running = look.running(found)
        for rung in view["rungs"]:
            rung["why"] = verdict(rung, specification.reduction_factor)
        workers = self.store.workers()
        return {
            "name": name,
            "metric": specification.metric,
            "trial": view,
            "running": running,
            "devices": {worker.name: worker.info.get("device") or "" for worker in workers},
        }

    def figure(self, name: str, kind: str, options: Mapping[str, str]) -> bytes:
        """A figure of an experiment as JSON; `options` as `figures.draw` takes them."""
        with self.look(name) as look:
            result, more = look.fold.result, dict[str, Any](options)
            if kind == "curves":
                more["live"] = look.live.series(result)
            elif kind == "importance":
                _, results = most_results(result)
                more["known"] = self._importances.of(
                    look.fold.uid, results, lambda: columns_of(result)
                )
            figure = draw(kind, result, **more)
        return msgspec.json.encode(figure)

    def trial_figure(self, name: str, number: int) -> bytes:
        """The curve of one trial as JSON."""
        with self.look(name) as look:
            result = look.fold.result
            look.trial(number)
            return msgspec.json.encode(trial_curve(result, number, look.live.series(result)))

    def log(self, name: str, trial: int, rung: int, attempt: int) -> Tail:
        """The end of what an attempt has printed, or why it cannot be shown."""
        uid = uid_of(self.store, name)
        storage = where.storage(None, self.store.describe(uid).specification["storage"]).url
        return Logs(Path(storage) / name).tail(trial, rung, attempt)

    @contextmanager
    def look(self, name: str) -> Iterator[Look]:
        """The experiment called `name`, for as long as nobody else needs it."""
        with self._follow(uid_of(self.store, name)).current() as look:
            yield look

    def _known_names(self) -> dict[str, str]:
        """Name to uid; those that were deleted are forgotten."""
        names = self.store.names()
        with self._lock:
            self._followed = {
                uid: followed for uid, followed in self._followed.items() if uid in names.values()
            }
        return names

    def _follow(self, uid: str) -> _Followed:
        with self._lock:
            return self._followed.setdefault(uid, _Followed(self.store, uid))

    def _fleet(
        self, workers: Sequence[Worker], overviews: Sequence[Mapping[str, Any]]
    ) -> list[dict[str, Any]]:
        """These workers: what each trains, and the share of the last hour that it was busy, for all
        experiments that are followed."""
        with self._lock:
            followed = list(self._followed.values())
        found = [one.busy(workers) for one in followed]
        rows = fleet(workers, self.store.drained(), overviews)
        for one, worker in zip(rows, workers, strict=True):
            known = [seen[worker.name] for seen in found if worker.name in seen]
            one["utilisation"] = _utilisation(known, worker.seen_at)
        return rows


def _utilisation(known: Sequence[tuple[float, float]], now: float) -> float | None:
    """The busy share of the last hour, or of a worker's life if that is shorter; None before it has
    trained anything. `known`: since when each experiment knows it, and how long it was busy."""
    span = min(REMEMBERED, now - min((since for since, _ in known), default=now))
    return min(1.0, sum(busy for _, busy in known) / span) if span > 0 else None


def _shares(store: Store, workers: Sequence[Worker]) -> dict[str, int]:
    """The slots that each open experiment gets now, by uid; as their leaders compute them."""
    claims: dict[str, list[Want]] = {}
    for claimant in store.claimants():
        want = Want(claimant.uid, claimant.wants, claimant.weight)
        claims.setdefault(claimant.queue, []).append(want)
    shares: dict[str, int] = {}
    for queue, wants in claims.items():
        able = sum(not w.aside and queue in w.info.get("queues", ()) for w in workers)
        shares |= divide(able, wants)
    return shares


def _notes(glance: Mapping[str, Any], leader: str, refusals: Mapping[str, str]) -> Iterator[str]:
    """What keeps an experiment from going on, and what to do."""
    if glance["state"] == "running" and not leader:
        yield "No coordinator drives it. Start one: asha-queue coordinator"
    if glance["state"] == "running" and not glance["workers"]["alive"]:
        yield "No worker is alive. Start some: asha-queue worker"
    for worker, reason in sorted(refusals.items()):
        yield f"{worker} refuses it: {reason}"
    yield from glance["notes"]


@contextmanager
def _without_collector() -> Iterator[None]:
    """For making many objects that stay, without cycles."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
