"""The project's samplers that learn choose among the rows that are not used yet.

A model sees a parameter as the share of the table's rows that have less of it: what an experiment's
space says of a value, whose rows these were drawn from. Trees choose among rows; Optuna's samplers
suggest a point, of which the nearest row is taken and its own point told.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from asha_queue.samplers import trees
from asha_queue.samplers.encoding import Rows
from asha_queue.samplers.history import History, Observation
from asha_queue.samplers.optuna import OPTUNA
from asha_queue.search.goal import Goal
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from tests.benchmarks.quality.play import Sampler
from tests.benchmarks.quality.samplers import Nearest, Shuffled
from tests.benchmarks.quality.tables import Floats, Task


class Guided(Shuffled):
    """Rows that the project's trees choose among some that are not used yet, in random order."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed)
        self._task = task
        self._columns = np.stack([_shares(column) for column in task.config.T], axis=1)
        name, number = task.seeds(seed)
        self._learner = trees.Learner(name + number)
        self._used = np.zeros(task.rows, dtype=bool)
        self._trials: list[int] = []
        self._numbers: dict[int, int] = {}
        self._results: list[Observation] = []

    def draw(self) -> int:
        trial = len(self._trials)
        self._learner.learn(self._results, lambda trial: self._columns[self._trials[trial]][None])
        row = self._guided(trial) if self._learner.guides(trial) else self._random()
        self._used[row] = True
        self._numbers[row] = trial
        self._trials.append(row)
        return row

    def observe(self, row: int, step: int, value: float) -> None:
        self._results.append(Observation(self._numbers[row], 0, step, value))

    def _random(self) -> int:
        while self._used[row := super().draw()]:
            pass
        return row

    def _guided(self, trial: int) -> int:
        rng = self._learner.random(trial)
        unused = np.flatnonzero(~self._used)
        candidates = rng.permutation(unused)[: trees.CANDIDATES]
        chosen = self._learner.choose(self._columns[candidates], self._task.steps, rng)
        return int(candidates[chosen])


def _shares(column: Floats) -> Rows:
    """The share of values that are smaller; equal ones have the same."""
    different, place, counts = np.unique(column, return_inverse=True, return_counts=True)
    shares: Rows = ((np.cumsum(counts) - counts / 2) / len(column)).astype(np.float32)
    return shares[place] if len(different) > 1 else np.zeros(len(column), np.float32)


class Suggested:
    """Rows near what a sampler suggests. A failure it does not hear of."""

    def __init__(self, name: str, task: Task, seed: int) -> None:
        self._names = [f"x{number:03}" for number in range(task.config.shape[1])]
        specification = Specification(
            name="quality",
            train="table.py:train",
            space=dict.fromkeys(self._names, uniform(0, 1)),
            metric="loss",
            mode="min",
            max_t=task.steps,
            seed=int(np.random.default_rng(task.seeds(seed)).integers(2**31)),
            sampler=name,
        )
        self._sampler = OPTUNA[name](specification)
        self._history = History(Goal("loss", "min"))
        self._rows = Nearest(task)
        #: The trial that has each row.
        self._trials: dict[int, int] = {}

    def draw(self) -> int:
        trial = len(self._trials)
        [config] = self._sampler.suggest(self._history, trial, 1)
        row = self._rows.take(np.array([config[name] for name in self._names]))
        point = self._rows.points[row].tolist()
        self._history.configs.append(dict(zip(self._names, point, strict=True)))
        self._history.running[trial] = 1
        self._trials[row] = trial
        return row

    def observe(self, row: int, step: int, value: float) -> None:
        trial = self._trials[row]
        self._history.running.pop(trial, None)
        self._history.results.append(Observation(trial, 0, step, value))


#: By the name that a method's option has.
SAMPLERS: dict[str, Callable[[Task, int], Sampler]] = {
    "random": Shuffled,
    "trees": Guided,
    **{name: partial(Suggested, name) for name in OPTUNA},
}
