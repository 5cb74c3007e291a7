"""Optuna: its successive halving pruner, with trials in the usual order or drawn by its TPE."""

import numpy as np
import optuna

from tests.benchmarks.quality.peers.stepwise import Nearest, Stepwise
from tests.benchmarks.quality.play import Method, Sampler
from tests.benchmarks.quality.samplers import Shuffled
from tests.benchmarks.quality.tables import Task

VERSION = optuna.__version__
FACTOR = 4


class Halving:
    """A study with the pruner; what is not pruned goes on. Ranks NaN by itself."""

    def __init__(self, task: Task, sampler: optuna.samplers.BaseSampler) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
        self._study = optuna.create_study(sampler=sampler, pruner=pruner)
        self._steps = task.steps
        self._trials: list[optuna.Trial] = []
        self._space = {
            f"x{number}": optuna.distributions.FloatDistribution(0, 1)
            for number in range(task.config.shape[1])
        }

    @property
    def point(self) -> "np.ndarray":
        """Of the trial asked for last."""
        return np.array([self._trials[-1].params[name] for name in self._space])

    def suggest(self, trial: int) -> int:
        self._trials.append(self._study.ask(self._space))
        return trial

    def report(self, trial: int, step: int, value: float) -> bool:
        asked = self._trials[trial]
        asked.report(value, step)
        if asked.should_prune():
            self._study.tell(asked, state=optuna.trial.TrialState.PRUNED)
            return False
        if step == self._steps:
            # a study takes no NaN as a result
            failed = np.isnan(value)
            state = optuna.trial.TrialState.FAIL if failed else None
            self._study.tell(asked, None if failed else value, state=state)
        return True


class Drawn:
    """The rows nearest to what the study's sampler draws."""

    def __init__(self, task: Task, halving: Halving) -> None:
        self._halving, self._rows = halving, Nearest(task)

    def draw(self) -> int:
        return self._rows.take(self._halving.point)

    def observe(self, row: int, step: int, value: float) -> None:
        """The study was told."""


def halving(task: Task, seed: int) -> tuple[Method, Sampler]:
    scheduler = Halving(task, optuna.samplers.RandomSampler(seed=seed))
    return Stepwise(scheduler, task), Shuffled(task, seed)


def tpe(task: Task, seed: int) -> tuple[Method, Sampler]:
    scheduler = Halving(task, optuna.samplers.TPESampler(seed=sum(task.seeds(seed)) % 2**32))
    return Stepwise(scheduler, task), Drawn(task, scheduler)


METHODS = {"optuna-sh": halving, "optuna-tpe-sh": tpe}
