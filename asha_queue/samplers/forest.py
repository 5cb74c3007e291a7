"""Extremely randomised trees that learn from the results of all rungs at once.

Rules

* A row is a configuration and the logarithm of the resource it was trained to: early results, of
  which there are many, say what later ones, of which there are few, do not (multi-fidelity).
* Learnt is a result's rank among all, whatever their resource: no scale and no outlier of a metric
  changes anything, and what diverged or failed is the worst. Of several metrics each has ranks of
  its own, and the same trees learn them all.
* n results of one resource weigh as much as the square root of n of them, each alike: else the
  many early ones would have the say where early values mislead.
* At most LEARNT results are learnt from: those of the highest resources, up to half of them; then
  the best of the others; the rest are drawn from what is left.
* Trees are grown to the end and differ by the random splits alone. Each is a guess at what might be
  so: to follow another one for each trial is Thompson sampling.

Sources: Geurts, Ernst, Wehenkel, "Extremely randomized trees", Machine Learning 63, 2006; Hutter,
Hoos, Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm Configuration",
LION 5, 2011, for trees as a model of performance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.samplers.encoding import Rows

Floats = NDArray[np.float64]
Numbers = NDArray[np.intp]

TREES = 16
#: Results that are learnt from, at most.
LEARNT = 1500


def load() -> Any:
    """scikit-learn's trees; importing them takes seconds."""
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor


def learnt(resources: Floats, losses: Floats, rng: np.random.Generator) -> Numbers:
    """Which results are learnt from, in their order."""
    count = len(losses)
    if count <= LEARNT:
        return np.arange(count)
    by_loss = np.lexsort((losses, -resources))
    highest, others = by_loss[: LEARNT // 2], by_loss[LEARNT // 2 :]
    others = others[np.argsort(losses[others], kind="stable")]
    best, left = others[: LEARNT // 4], others[LEARNT // 4 :]
    drawn = rng.choice(left, LEARNT - len(highest) - len(best), replace=False)
    return np.sort(np.concatenate([highest, best, drawn]))


class Forest:
    """Trees fitted to results.

    Args:
        rows: results × columns, the configurations.
        resources: what each was trained to.
        losses: results × metrics; smaller is better, whatever is not finite is the worst.
        seed: of the splits.
    """

    def __init__(self, rows: Rows, resources: Floats, losses: Floats, seed: int) -> None:
        forest = load()(n_estimators=TREES, max_features=1.0, random_state=seed, n_jobs=1)
        _, place, counts = np.unique(resources, return_inverse=True, return_counts=True)
        weights = 1 / np.sqrt(counts)[place]
        #: Of what was learnt, results × metrics.
        self.ranks = np.stack([ranks(column) for column in losses.T], axis=1)
        alone = self.ranks.shape[1] == 1  # of which scikit-learn wants a flat array
        forest.fit(_beside(rows, resources), self.ranks.ravel() if alone else self.ranks, weights)
        self._trees = [tree.tree_ for tree in forest.estimators_]

    def predict(self, tree: int, rows: Rows, resource: float) -> Floats:
        """What one tree makes of configurations trained to a resource, in each metric; smaller is
        better."""
        table = _beside(rows, np.full(len(rows), resource))
        predicted: Floats = self._trees[tree].predict(table)
        return predicted.reshape(len(rows), -1)


def ranks(losses: Floats) -> Floats:
    """From above 0 to 1; equal ones share the mean of theirs."""
    losses = np.where(np.isfinite(losses), losses, np.inf)
    _, place, counts = np.unique(losses, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    shares: Floats = (ends - (counts - 1) / 2) / len(losses)
    return shares[place]


def _beside(rows: Rows, resources: Floats) -> Rows:
    return np.hstack([rows, np.log(resources)[:, None]]).astype(np.float32)
