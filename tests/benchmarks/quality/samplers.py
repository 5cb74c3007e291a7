"""Who chooses the rows of new trials. A model-based sampler chooses among those not used yet.

A model sees a parameter as the share of the table's rows that have less of it: what an experiment's
space says of a value, whose rows these were drawn from.
"""

from collections.abc import Callable, Iterator

import numpy as np

from asha_queue.samplers import trees
from asha_queue.samplers.encoding import Rows
from asha_queue.samplers.history import Observation
from tests.benchmarks.quality.play import Sampler
from tests.benchmarks.quality.tables import Floats, Task


class Shuffled:
    """Rows in random order: the same for all methods that draw at random, by task and seed."""

    def __init__(self, task: Task, seed: int) -> None:
        self._rows: Iterator[int] = iter(
            np.random.default_rng(task.seeds(seed)).permutation(task.rows).tolist()
        )

    def draw(self) -> int:
        return next(self._rows)

    def observe(self, row: int, step: int, value: float) -> None:
        """Nothing is learned from it."""


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


#: By the name that a method's option has.
SAMPLERS: dict[str, Callable[[Task, int], Sampler]] = {"random": Shuffled, "trees": Guided}
