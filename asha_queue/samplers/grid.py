"""Every combination of a discrete space, once.

Rules

* The combinations are those of all discrete domains, what is inactive left out. A continuous domain
  has none: the specification refuses it.
* They come in an order that the seed decides: a search that is ended early has seen some of all.
* `num_samples` counts them, so the specification lowers it to their number. When a search is
  extended beyond it they begin again, in another order.
* A point of a `grid_search` is tried with each of them.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.samplers.history import History
from asha_queue.samplers.sampler import Sampler
from asha_queue.specification import Specification


class Grid(Sampler):
    """All combinations, in an order drawn from the seed."""

    def __init__(self, specification: Specification) -> None:
        super().__init__(specification)
        self._seed = specification.drawn_seed
        self._space = specification.parameters
        #: Number of the round that is kept, and its order.
        self._round = -1
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        return [self._config(trial) for trial in range(first, first + n)]

    def _config(self, trial: int) -> dict[str, Any]:
        combinations = self._space.combinations
        assert combinations is not None, "the specification refuses such a space"
        turn, place = divmod(trial // self._space.grid_size, combinations.size)
        if turn != self._round:
            rng = np.random.default_rng([self._seed, turn])
            self._round, self._order = turn, rng.permutation(combinations.size)
        return self._space.combined(int(self._order[place]), trial)
