"""Ray Tune: its ASHA scheduler, which stops trials by comparing them with earlier results.

Its own defaults are those of this project: a reduction factor of 4 from the first step on.
"""

import math
from collections.abc import Callable
from types import SimpleNamespace

import ray
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

from tests.benchmarks.quality.peers.stepwise import BEYOND, Stepwise
from tests.benchmarks.quality.play import Method, Sampler
from tests.benchmarks.quality.samplers import Shuffled
from tests.benchmarks.quality.tables import Task

VERSION = ray.__version__


class Halving:
    """Its scheduler, with trials that are no more than the name it asks them for.

    It would never stop a trial that reports NaN, so it is told a number.
    """

    def __init__(self, task: Task, eta: int) -> None:
        self._scheduler = ASHAScheduler(
            time_attr="step",
            metric="loss",
            mode="min",
            max_t=task.steps,
            grace_period=1,
            reduction_factor=eta,
        )
        self._steps = task.steps
        self._trials: list[SimpleNamespace] = []

    def suggest(self, trial: int) -> int:
        self._trials.append(SimpleNamespace(trial_id=str(trial)))
        self._scheduler.on_trial_add(None, self._trials[-1])
        return trial

    def report(self, trial: int, step: int, value: float) -> bool:
        result = {"loss": BEYOND if math.isnan(value) else value, "step": step}
        answer = self._scheduler.on_trial_result(None, self._trials[trial], result)
        goes_on = bool(answer == TrialScheduler.CONTINUE) and step < self._steps
        if not goes_on:
            self._scheduler.on_trial_complete(None, self._trials[trial], result)
        return goes_on


def _of(eta: int) -> Callable[[Task, int], tuple[Method, Sampler]]:
    return lambda task, seed: (Stepwise(Halving(task, eta), task), Shuffled(task, seed))


METHODS = {"ray-tune-asha": _of(4), "ray-tune-asha/eta=3": _of(3)}
