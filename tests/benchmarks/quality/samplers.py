"""Who chooses the rows of new trials. What learns does so in `suggested.py`."""

from collections.abc import Iterator

import numpy as np

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


class Nearest:
    """The rows of a task in the unit cube: each parameter is the share of rows with less of it."""

    def __init__(self, task: Task) -> None:
        ranks = np.argsort(np.argsort(task.config, axis=0, kind="stable"), axis=0, kind="stable")
        #: Rows × parameters.
        self.points: Floats = (ranks + 0.5) / task.rows
        self._unused = np.ones(task.rows, dtype=bool)

    def take(self, point: Floats) -> int:
        """The unused row that is nearest; it is used from then on."""
        distances = ((self.points - point) ** 2).sum(axis=1)
        row = int(np.argmin(np.where(self._unused, distances, np.inf)))
        self._unused[row] = False
        return row
