"""Permutation importance of hyperparameters in a random forest.

Rules

* A forest learns from configurations the rank of their results, so that a few values that are far
  worse than all others do not decide, and a diverged result is simply the worst.
* What a hyperparameter matters is how much worse the forest predicts results that it has not seen
  once this parameter's values are shuffled among them (Breiman, "Random Forests", Machine Learning
  45, 2001, section 10), over three folds. Shares add up to 1.
* Where the forest predicts no better than the mean does, there is no importance to speak of, and
  none is told. The same columns give the same shares.

scikit-learn is imported when it is used: that takes seconds.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.errors import AshaQueueError

#: Results below which nothing is computed.
LEAST = 20
#: Rows that are learnt from, at most: every k-th result if there are more.
ROWS = 2000
TREES = 60
FOLDS = 3
#: Times that each column is shuffled in each fold.
SHUFFLES = 3
#: Share of the variance that has to be explained for importances to mean anything.
EXPLAINED = 0.05

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Columns:
    """Hyperparameters and the loss of one rung's results: `values` by parameter, the number of the
    option for one of `categories`; NaN where there is none."""

    rung: int
    results: int
    values: dict[str, list[float]]
    categories: list[str]
    losses: list[float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def compute(columns: Columns) -> list[tuple[str, float]]:
    """Each parameter with its share, the largest first.

    Raises AshaQueueError, saying why, when there is nothing to tell.
    """
    if len(columns.losses) < LEAST:
        raise AshaQueueError(f"needs {LEAST} results in one rung, there are {len(columns.losses)}")
    from sklearn.ensemble import RandomForestRegressor

    names, blocks = _encoded(columns)
    target = _ranks(np.array(columns.losses, np.float64)[_rows(columns)])
    rng = np.random.default_rng(0)
    fold = rng.permutation(len(target)) % FOLDS
    worse = np.zeros(len(names))
    errors = 0.0
    for held in range(FOLDS):
        forest = RandomForestRegressor(TREES, min_samples_leaf=2, random_state=0, n_jobs=1)
        forest.fit(np.hstack([block[fold != held] for block in blocks]), target[fold != held])
        seen = [block[fold == held] for block in blocks]
        truth = target[fold == held]
        error = float(((forest.predict(np.hstack(seen)) - truth) ** 2).sum())
        errors += error
        for place, block in enumerate(seen):
            for _ in range(SHUFFLES):
                shuffled = [*seen[:place], rng.permutation(block), *seen[place + 1 :]]
                wrong = ((forest.predict(np.hstack(shuffled)) - truth) ** 2).sum()
                worse[place] += (float(wrong) - error) / SHUFFLES
    worse = np.maximum(worse, 0.0)
    if errors > (1 - EXPLAINED) * len(target) * target.var() or not worse.any():
        raise AshaQueueError("no hyperparameter explains the results so far")
    shares = zip(names, (worse / worse.sum()).tolist(), strict=True)
    return sorted(shares, key=lambda one: (-one[1], one[0]))


def _rows(columns: Columns) -> slice:
    return slice(None, None, -(-len(columns.losses) // ROWS) or 1)


def _encoded(columns: Columns) -> tuple[list[str], list[Matrix]]:
    """The names of the parameters, and the matrix of each: one column for a number, one per option
    for a category, so that shuffling its rows shuffles all of it."""
    names, blocks = [], []
    for name, values in columns.values.items():
        column = np.array(values, np.float64)[_rows(columns)]
        if name in columns.categories:
            places = np.where(np.isnan(column), -1, column)
            blocks.append((places[:, None] == np.unique(places)[None, :]).astype(np.float64))
        else:
            middle = np.nanmedian(column) if not np.isnan(column).all() else 0.0
            blocks.append(np.where(np.isnan(column), middle, column)[:, None])
        names.append(name)
    return names, blocks


def _ranks(losses: Matrix) -> Matrix:
    """Ranks from 0 to 1; equal losses, the infinite ones too, share the mean of theirs."""
    _, place, counts = np.unique(losses, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - (counts + 1) / 2) / len(losses))[place]
