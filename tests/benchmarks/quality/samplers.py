"""Who chooses the rows of new trials. A model-based sampler chooses among those not used yet."""

from collections.abc import Callable, Iterator

import numpy as np

from tests.benchmarks.quality.play import Sampler
from tests.benchmarks.quality.tables import Task


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


#: By the name that a method's option has.
SAMPLERS: dict[str, Callable[[Task, int], Sampler]] = {"random": Shuffled}
