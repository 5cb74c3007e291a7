"""Optuna: its pruners that halve, with trials in the usual order or drawn by its TPE.

`optuna-sh` is its successive halving, `optuna-hyperband` its Hyperband, which gives each trial one
of its brackets. Both play the reduction factor and the first level that this project has by
default. With `/default` they have what Optuna gives to whoever names none: Hyperband a factor of 3,
and both of them learn from the first trials how long trials are, and prune none of these.
"""

from collections.abc import Callable

import numpy as np
import optuna

from tests.benchmarks.quality.peers.stepwise import Stepwise
from tests.benchmarks.quality.play import Method, Sampler
from tests.benchmarks.quality.samplers import Nearest, Shuffled
from tests.benchmarks.quality.tables import Task

VERSION = optuna.__version__
#: From a task to a pruner.
Pruner = Callable[[Task], optuna.pruners.BasePruner]
#: From a task and a seed to who draws configurations.
Draw = Callable[[Task, int], optuna.samplers.BaseSampler]


class Halving:
    """A study with the pruner; what is not pruned goes on. Ranks NaN by itself."""

    def __init__(self, task: Task, seed: int, pruner: Pruner, draw: Draw) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._study = optuna.create_study(
            sampler=draw(task, seed),
            pruner=pruner(task),
            study_name=f"{task.name}-{seed}",  # decides the brackets of its trials
        )
        self._steps = task.steps
        self._trials: list[optuna.Trial] = []
        self._space = {
            f"x{number}": optuna.distributions.FloatDistribution(0, 1)
            for number in range(task.config.shape[1])
        }

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


class Drawing(Halving):
    """A study whose sampler draws the rows: each is the nearest one to what it drew.

    What it drew is a failed trial, from which it learns nothing, and its trial lies where the row
    does: of eight parameters a thousand rows lie far apart, and values of other places than those
    that it knows of would mislead it.
    """

    def __init__(self, task: Task, seed: int, pruner: Pruner, draw: Draw) -> None:
        super().__init__(task, seed, pruner, draw)
        self._rows = Nearest(task)
        self.row = -1

    def suggest(self, trial: int) -> int:
        drawn = self._study.ask(self._space)
        self._study.tell(drawn, state=optuna.trial.TrialState.FAIL)
        self.row = self._rows.take(np.array([drawn.params[name] for name in self._space]))
        point = self._rows.points[self.row].tolist()
        self._study.enqueue_trial(dict(zip(self._space, point, strict=True)))
        return super().suggest(trial)


class Drawn:
    """The row of the trial that was suggested last."""

    def __init__(self, drawing: Drawing) -> None:
        self._drawing = drawing

    def draw(self) -> int:
        return self._drawing.row

    def observe(self, row: int, step: int, value: float) -> None:
        """The study was told."""


def _given(pruner: Pruner) -> Callable[[Task, int], tuple[Method, Sampler]]:
    """Of rows in the usual order: the study draws, too, but nobody looks at it."""

    def made(task: Task, seed: int) -> tuple[Method, Sampler]:
        halving = Halving(task, seed, pruner, _at_random)
        return Stepwise(halving, task), Shuffled(task, seed)

    return made


def _drawn(pruner: Pruner) -> Callable[[Task, int], tuple[Method, Sampler]]:
    """Of rows by its TPE."""

    def made(task: Task, seed: int) -> tuple[Method, Sampler]:
        drawing = Drawing(task, seed, pruner, _tpe)
        return Stepwise(drawing, task), Drawn(drawing)

    return made


def _at_random(task: Task, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.RandomSampler(seed=seed)


def _tpe(task: Task, seed: int) -> optuna.samplers.BaseSampler:
    return optuna.samplers.TPESampler(seed=sum(task.seeds(seed)) % 2**32)


def _sh(task: Task) -> optuna.pruners.BasePruner:
    return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=4)


def _hyperband(task: Task) -> optuna.pruners.BasePruner:
    return optuna.pruners.HyperbandPruner(
        min_resource=1, max_resource=task.steps, reduction_factor=4
    )


METHODS = {
    "optuna-sh": _given(_sh),
    "optuna-tpe-sh": _drawn(_sh),
    "optuna-tpe-hyperband": _drawn(_hyperband),
    "optuna-tpe-sh/default": _drawn(lambda task: optuna.pruners.SuccessiveHalvingPruner()),
    "optuna-tpe-hyperband/default": _drawn(lambda task: optuna.pruners.HyperbandPruner()),
}
