"""Points that fill the space more evenly than random ones do.

Rules

* Trial i gets point i of one scrambled Sobol sequence (Owen, "Scrambling Sobol' and
  Niederreiter-Xing points", Journal of Complexity 14, 1998), whose scrambling the experiment's seed
  decides. A point of the unit cube becomes a configuration by the inverse distribution function of
  each domain.
* With a grid, a point serves all points of the grid before the next one is taken. Every second
  point of the sequence lies in one half of the cube: an option of the grid would see that half
  only.
* Points are made in blocks and the last block is kept: in order, each point is made once; any other
  costs what skipping to its block costs, 0.03 s for a million points.

SciPy is imported by `load`, at the latest at the first suggestion: that takes seconds.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.samplers.history import History
from asha_queue.samplers.sampler import Sampler
from asha_queue.specification import Specification

#: Points in a block; a power of two, so that SciPy finds the sequence balanced.
BLOCK = 256


class Sobol(Sampler):
    """A scrambled Sobol sequence, mapped to the space."""

    @staticmethod
    def load() -> None:
        _qmc()

    def __init__(self, specification: Specification) -> None:
        super().__init__(specification)
        self._space = specification.parameters
        self._engine: Any = None
        #: Number of the block that is kept, and its points.
        self._block = -1
        self._points: NDArray[np.float64] = np.empty((0, 0))

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        return [self._config(trial) for trial in range(first, first + n)]

    def _config(self, trial: int) -> dict[str, Any]:
        block, index = divmod(trial // self._space.grid_size, BLOCK)
        if block != self._block:
            self._points = self._make(block)
            self._block = block
        return self._space.at(self._points[index].tolist(), trial)

    def _make(self, block: int) -> NDArray[np.float64]:
        if self._engine is None or block <= self._block:
            self._engine = self._begin()
        skipped = block * BLOCK - self._engine.num_generated
        if skipped:
            self._engine.fast_forward(skipped)
        points: NDArray[np.float64] = self._engine.random(BLOCK)
        return points

    def _begin(self) -> Any:
        rng = np.random.default_rng(self._specification.drawn_seed)
        return _qmc().Sobol(self._space.dimensions, scramble=True, seed=rng)


def _qmc() -> Any:
    """SciPy's module of such sequences."""
    from scipy.stats import qmc

    return qmc
