"""What `status` looks at: everything, an experiment, or a trial. Each may be looked at again, and
then reads only what came since."""

from abc import ABC, abstractmethod
from typing import Any

from rich.console import RenderableType

from asha_queue import where
from asha_queue.coordinator.loop import ENDED
from asha_queue.coordinator.loss import remedy, unknown_journals
from asha_queue.dashboard.experiments import Experiments
from asha_queue.store.contract import Store
from asha_queue.terminal.fleet import FleetPicture
from asha_queue.terminal.picture import Picture
from asha_queue.terminal.trial import TrialPicture
from asha_queue.views import trial_view

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


class EverythingLook(Look):
    """All experiments, workers and coordinators."""

    def __init__(self, store: Store) -> None:
        self._experiments = Experiments(store)
        self._notes: list[str] = []

    def take(self) -> Facts:
        facts = self._experiments.all()
        if not facts["experiments"]:
            self._notes = ["no experiments; start one with: asha-queue run FILE"]
            root = where.storage().url
            for name, path in unknown_journals(self._experiments.store, root):
                self._notes.append(f"{name}: unknown to this server. {remedy(path)}")
        return facts

    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        return FleetPicture(facts, self._notes, fit)


class ExperimentLook(Look):
    """The experiment that is called so, also when it was begun anew meanwhile."""

    def __init__(self, store: Store, name: str) -> None:
        self._experiments = Experiments(store)
        self._name = name

    def take(self) -> Facts:
        facts = self._experiments.overview(self._name)
        self.ended = facts["state"] in ENDED
        return facts

    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        return Picture(facts, fit)


class TrialLook(Look):
    """One trial of an experiment."""

    def __init__(self, store: Store, name: str, trial: int) -> None:
        self._experiments = Experiments(store)
        self._name = name
        self._trial = trial
        self._metric = ""
        self._eta = 0
        self._running: Facts | None = None

    def take(self) -> Facts:
        with self._experiments.look(self._name) as look:
            self._metric = look.fold.specification.leading.metric
            self._eta = look.fold.specification.reduction_factor
            found = look.trial(self._trial)
            facts = trial_view(found, look.fold.search)
            self._running = look.running(found)
            ended = look.fold.search.state in ENDED
        self.ended = ended or facts["state"] in FINAL
        return facts

    def drawn(self, facts: Facts, fit: bool = False) -> RenderableType:
        return TrialPicture(facts, self._metric, self._eta, self._running, fit)
