"""Syne Tune: its asynchronous halving, promotion, stopping and PASHA, as it was until 0.13.

Its own default is a reduction factor of 3 from the first step on; 4 is this project's.
"""

import math
from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import Any

from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import uniform
from syne_tune.optimizer.scheduler import SchedulerDecision
from syne_tune.optimizer.schedulers.hyperband import HyperbandScheduler

from tests.benchmarks.quality.peers.stepwise import BEYOND, Stepwise
from tests.benchmarks.quality.play import Method, Sampler
from tests.benchmarks.quality.samplers import Shuffled
from tests.benchmarks.quality.tables import Task

VERSION = version("syne-tune")


class Halving:
    """Its scheduler of one type, with configurations that nobody looks at."""

    def __init__(self, kind: str, eta: int, task: Task, seed: int) -> None:
        self._scheduler = HyperbandScheduler(
            {"x": uniform(0, 1), "epochs": task.steps},
            searcher="random",
            type=kind,
            metric="loss",
            mode="min",
            resource_attr="epoch",
            max_resource_attr="epochs",
            grace_period=1,
            reduction_factor=eta,
            random_seed=sum(task.seeds(seed)) % 2**31,
        )
        self._steps = task.steps
        self._trials: list[Any] = []

    def suggest(self, trial: int) -> int | None:
        suggestion = self._scheduler.suggest(trial)
        if suggestion is None:
            return None
        if not suggestion.spawn_new_trial_id:
            return int(suggestion.checkpoint_trial_id)
        self._trials.append(Trial(trial, suggestion.config, datetime.now()))
        self._scheduler.on_trial_add(self._trials[-1])
        return trial

    def report(self, trial: int, step: int, value: float) -> bool:
        result = {"loss": BEYOND if math.isnan(value) else value, "epoch": step}
        decision = self._scheduler.on_trial_result(self._trials[trial], result)
        if step == self._steps:
            self._scheduler.on_trial_complete(self._trials[trial], result)
        elif decision == SchedulerDecision.STOP:
            self._scheduler.on_trial_remove(self._trials[trial])
        return bool(decision == SchedulerDecision.CONTINUE)


def _of(kind: str, eta: int) -> Callable[[Task, int], tuple[Method, Sampler]]:
    return lambda task, seed: (
        Stepwise(Halving(kind, eta, task, seed), task),
        Shuffled(task, seed),
    )


KINDS = ("promotion", "stopping", "pasha")
METHODS = {f"syne-tune-{kind}": _of(kind, 4) for kind in KINDS}
METHODS |= {f"syne-tune-{kind}/eta=3": _of(kind, 3) for kind in KINDS}
