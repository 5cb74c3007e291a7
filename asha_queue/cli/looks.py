"""What `status` looks at: everything, an experiment, or a trial. Each may be looked at again, and
then reads only what came since."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from asha_queue import where
from asha_queue.coordinator.fold import FullFold
from asha_queue.coordinator.loop import ENDED
from asha_queue.coordinator.loss import remedy, unknown_journals
from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.handle import uid_of
from asha_queue.store.contract import Store
from asha_queue.terminal.fleet import FleetPicture
from asha_queue.terminal.picture import Picture
from asha_queue.terminal.trial import TrialPicture
from asha_queue.views import LivePoints, fleet, overview, trial_view

Facts = dict[str, Any]
#: States after which nothing more happens to a trial, unless somebody asks for it.
FINAL = ("done", "failed", "diverged", "cancelled", "stopped")


class Look(ABC):
    """Something to be looked at; `take` returns what `--json` prints."""

    #: Whether nothing more will happen to it.
    ended = False

    @abstractmethod
    def take(self) -> Facts:
        """The facts as of now."""

    @abstractmethod
    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        """Their picture; with `fit` no higher than the terminal."""


def look_at(store: Store, name: str | None, trial: int | None) -> Look:
    """The look that `status NAME TRIAL` takes."""
    if name is None:
        return EverythingLook(store)
    return ExperimentLook(store, name) if trial is None else TrialLook(store, name, trial)


class _Followed:
    """An experiment, folded as far as its journal goes."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._live = LivePoints(store, uid)
        self.uid = uid
        self.fold = FullFold(store, uid)

    def overview(self) -> Facts:
        self.fold.catch_up()
        return overview(self.fold.result, self._store.workers(), self._live.refresh())


class EverythingLook(Look):
    """All experiments, workers and coordinators."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._followed: dict[str, _Followed] = {}
        self._notes: list[str] = []

    def take(self) -> Facts:
        store, names = self._store, self._store.names()
        self._followed = {uid: f for uid, f in self._followed.items() if uid in names.values()}
        views = []
        for name, uid in sorted(names.items()):
            try:
                if uid not in self._followed:
                    self._followed[uid] = _Followed(store, uid)
                views.append(self._followed[uid].overview())
            except StoreUnavailable:
                raise
            except UnknownExperiment:
                continue  # deleted a moment ago
            except AshaQueueError as error:  # it does not hide the others
                views.append({"name": name, "error": str(error)})
        if not views:
            self._notes = ["no experiments; start one with: asha-queue run FILE"]
            for name, path in unknown_journals(store, Path(where.storage().url)):
                self._notes.append(f"{name}: unknown to this server. {remedy(path)}")
        sound = [view for view in views if "error" not in view]
        return {
            "experiments": views,
            "workers": fleet(store.workers(), store.drained(), sound),
            "coordinators": [attendant.who for attendant in store.attendants()],
        }

    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        return FleetPicture(facts, self._notes, fit)


class ExperimentLook(Look):
    """The experiment that is called so, also when it was begun anew meanwhile."""

    def __init__(self, store: Store, name: str) -> None:
        self._store = store
        self.name = name
        self._followed: _Followed | None = None

    def take(self) -> Facts:
        facts = self.followed().overview()
        self.ended = facts["state"] in ENDED
        return facts

    def followed(self) -> _Followed:
        uid = uid_of(self._store, self.name)
        if self._followed is None or self._followed.uid != uid:
            self._followed = _Followed(self._store, uid)
        return self._followed

    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        return Picture(facts, fit)


class TrialLook(Look):
    """One trial of an experiment."""

    def __init__(self, store: Store, name: str, trial: int) -> None:
        self._experiment = ExperimentLook(store, name)
        self._trial = trial
        self._metric = ""
        self._eta = 0
        self._running: Facts | None = None

    def take(self) -> Facts:
        glance = self._experiment.take()
        fold = self._experiment.followed().fold
        trials = fold.result.trials
        if self._trial >= len(trials):
            raise UnknownExperiment(
                f"experiment {self._experiment.name} has no trial {self._trial}; "
                f"{len(trials)} were started, numbered from 0"
            )
        running = (one for one in glance["running"] if one["trial"] == self._trial)
        self._running = next(running, None)
        self._metric = fold.specification.metric
        self._eta = fold.specification.reduction_factor
        facts = trial_view(trials[self._trial], fold.search)
        self.ended = self._experiment.ended or facts["state"] in FINAL
        return facts

    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        return TrialPicture(facts, self._metric, self._eta, self._running, fit)
