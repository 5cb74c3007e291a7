"""What the pages show: each experiment folded once, and followed from then on.

Rules

* A journal is read from its start once; later looks read what came since. `follow` does so ahead of
  the first look, and keeps all experiments at hand.
* Every method may block, on the server or on another thread that looks at the same experiment:
  call it from a thread. What it returns is a copy that no other thread changes.
* One experiment that cannot be read does not hide the others.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec

from asha_queue import where
from asha_queue.coordinator.standing import standing
from asha_queue.dashboard.followed import Followed, Look
from asha_queue.dashboard.query import EVERYTHING, Query
from asha_queue.errors import AshaQueueError, ChoiceError, StoreUnavailable, UnknownExperiment
from asha_queue.figures import (
    axes,
    columns_of,
    draw,
    most_results,
    parameters,
    plan_and_actual,
    preview,
    trial_curve,
)
from asha_queue.formats import version
from asha_queue.handle import uid_of
from asha_queue.importance import Importances
from asha_queue.logs import Logs, Tail
from asha_queue.result import Result
from asha_queue.search.limits import EXTENDABLE
from asha_queue.selection import choose, row
from asha_queue.storage import opened
from asha_queue.storage.patience import QUICK
from asha_queue.store.contract import Store, Worker
from asha_queue.tally import REMEMBERED
from asha_queue.views import fleet, trackers, trial_view, versions
from asha_queue.views.classes import unserved
from asha_queue.views.plans import Expected, rungs_planned
from asha_queue.views.verdict import verdict

#: Seconds between two looks of `follow` at all experiments.
FOLLOW_EVERY = 2.0
#: Trials on one page of an experiment's table.
ROWS = 50


class Experiments:
    """All experiments of a store, for readers in several threads."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._followed: dict[str, Followed] = {}
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
        """An overview of each experiment, or its name and what is wrong with it, and the fleet: who
        has which version of asha-queue, and what is to be done about it."""
        names = self._known_names()
        workers = self.store.workers()
        uids = {uid: name for name, uid in names.items()}
        slots = standing(self.store.claimants(), workers, uids)
        shares = Counter[str]()
        for queue in slots:
            shares.update({row["uid"]: row["slots"] for row in queue["experiments"]})
        claiming = {row["uid"] for queue in slots for row in queue["experiments"]}
        found: list[dict[str, Any]] = []
        for name, uid in sorted(names.items()):
            try:
                with self._follow(uid).current() as look:
                    glance = look.overview(workers)
                    age = max(0.0, time.time() - (look.fold.result.began or math.inf))
                    found.append(
                        glance | {"share": shares[uid] if uid in claiming else None, "age": age}
                    )
            except StoreUnavailable:
                raise
            except UnknownExperiment:
                continue  # deleted a moment ago
            except AshaQueueError as error:
                found.append({"name": name, "error": str(error)})
        whole = [glance for glance in found if "error" not in glance]
        coordinators = self.store.attendants()
        at_work = versions.at_work(workers, coordinators)
        mixed = " → ".join(filter(None, versions.mix(at_work, version())))
        return {
            "experiments": found,
            "workers": self._fleet(workers, whole),
            "slots": slots,
            "coordinators": [coordinator.who for coordinator in coordinators],
            "versions": at_work,
            "warnings": [
                *filter(None, [mixed]),
                *versions.left_alone(coordinators),
                *trackers.troubles(coordinators),
            ],
        }

    def experiment(self, name: str, query: Query = EVERYTHING) -> dict[str, Any]:
        """An overview of one experiment, what keeps it from going on, the trials that are asked
        for, and its workers."""
        with self.look(name) as look:
            result = look.fold.result
            trials = self._trials(result, query)
            queues = {*result.specification.every_queue}
            workers = [
                worker
                for worker in self.store.workers()
                if not queues.isdisjoint(worker.info.get("queues", ()))
            ]
            glance = look.overview(workers)
            leader = self.store.describe(look.fold.uid).leader
            refusals = self.store.refusals(look.fold.uid)
            specification, names = result.specification, axes(result)
            lost = {name: worker.losses for name, worker in result.tally.workers.items()}
        return {
            "view": glance,
            "notes": list(_notes(glance, leader, refusals)),
            "present": {field: getattr(specification, field) for field in EXTENDABLE},
            "axes": names,
            **trials,
            "workers": [
                one | {"lost": lost.get(one["worker"], 0)} for one in self._fleet(workers, [glance])
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
            "names": result.specification.parameters.names,
            "parameters": [parameter.name for parameter in parameters(result)],
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
            "metric": specification.leading.metric,
            "metrics": specification.metrics,
            "trial": view,
            "running": running,
            "devices": {worker.name: worker.info.get("device") or "" for worker in workers},
        }

    def figure(self, name: str, kind: str, options: Mapping[str, str]) -> bytes:
        """A figure of an experiment as JSON; `options` as `figures.draw` takes them. `plan` is
        one more: what was expected of its rungs beside what came of it."""
        if kind == "plan":
            return self._plan(name)
        with self.look(name) as look:
            result, more = look.fold.result, dict[str, Any](options)
            version = look.fold.seen
            if kind == "curves":
                more["live"] = look.live.series(result)
                version += f" {look.live.seen}"
            elif kind == "importance":
                _, results = most_results(result)
                more["known"] = self._importances.of(
                    look.fold.uid, results, lambda: columns_of(result)
                )
                version = repr(more["known"])

            def make() -> bytes:
                return msgspec.json.encode(draw(kind, result, **more))

            return look.drawn.get((kind, *sorted(options.items())), version, make)

    def _plan(self, name: str) -> bytes:
        with self.look(name) as look:
            expected = Expected.of(look.fold.result)
        rungs = rungs_planned(expected)  # may take seconds, once; whoever looks need not wait
        with self.look(name) as look:
            result = look.fold.result

            def make() -> bytes:
                return msgspec.json.encode(plan_and_actual(result, rungs))

            return look.drawn.get("plan", f"{look.fold.seen} {expected.fleet}", make)

    def preview(self, name: str) -> str:
        """The best value over time as SVG, for as long as plotly.js is not read."""
        with self.look(name) as look:

            def make() -> bytes:
                return preview(draw("best_over_time", look.fold.result)).encode()

            return look.drawn.get("preview", look.fold.seen, make).decode()

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
        return Logs(opened(storage, QUICK).below(name)).tail(trial, rung, attempt)

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

    def _follow(self, uid: str) -> Followed:
        with self._lock:
            return self._followed.setdefault(uid, Followed(self.store, uid))

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


def _notes(glance: Mapping[str, Any], leader: str, refusals: Mapping[str, str]) -> Iterator[str]:
    """What keeps an experiment from going on, and what to do."""
    if glance["state"] == "running" and not leader:
        yield "No coordinator drives it. Start one: asha-queue coordinator"
    if glance["state"] == "running" and not glance["workers"]["alive"]:
        yield "No worker is alive. Start some: asha-queue worker"
    elif glance["state"] == "running":
        yield from unserved(glance)
    for worker, reason in sorted(refusals.items()):
        yield f"{worker} refuses it: {reason}"
    yield from glance["notes"]
