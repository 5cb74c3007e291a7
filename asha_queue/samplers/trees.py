"""Suggestions by trees that have learnt from every result of every rung.

Rules

* The first trials are drawn at random, until FIRST results are in; of the others, one in EVERY for
  good: no model, however wrong, keeps a configuration from being found.
* Each other trial follows one tree of the forest (`forest.py`), chosen by its number, and takes the
  one of few CANDIDATES of which that tree expects most at max_t. So what is suggested is spread
  over all that looks promising rather than heaped on what looks best: the lowest rung compares
  suggestions with each other, and a model that has learnt mostly from early results must not
  decide alone what gets further. It keeps trials apart that are suggested together, too.
* With several metrics each trial has weights of its own, drawn at random, by which its tree's
  expectations become one number (Knowles, "ParEGO", 2006): together they look for the whole front.
  In every metric a result that violates the constraints ranks behind all that violate them less.
* Candidates are drawn from the space; for one in NEAR they are neighbours of a good configuration:
  draws that keep some of its values and move others a little.
* The forest is grown anew when the results have grown by GROWTH: it is that of the first k results,
  k depending on their number alone. So a suggestion is a function of the seed, the trial's number
  and the results, as `sampler.py` asks of all; what is kept here only saves time. What other
  experiments found (`warm_start`) are the first results, where one plain metric counts.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from asha_queue.samplers import forest
from asha_queue.samplers.encoding import Encoding, Rows
from asha_queue.samplers.forest import Floats, Forest
from asha_queue.samplers.history import History, Observation
from asha_queue.samplers.sampler import Sampler
from asha_queue.search.domains import GridSearch
from asha_queue.search.goal import scalarised
from asha_queue.search.rung import Standing
from asha_queue.specification import Specification

#: Results before the first forest, and their growth until the next one.
FIRST = 8
GROWTH = 0.15
#: One in so many trials is drawn at random.
EVERY = 5
#: Configurations of which the best is taken.
CANDIDATES = 32
#: One in so many trials has candidates near one of the best NEAREST configurations.
NEAR = 3
NEAREST = 8
#: Chance that a neighbour keeps a value, and how far a number is moved: the standard deviation of
#: its share of the domain.
KEPT = 0.5
MOVED = 0.1
#: The greatest share below 1.
LAST = 1 - 2.0**-53
#: The weight of a single metric.
ALONE = np.ones(1)
#: Tells the random numbers here from those of first draws and redraws.
STREAM = 2


def due(results: int) -> int:
    """How many of so many results the forest has learnt from; 0 before the first one."""
    if results < FIRST:
        return 0
    count = FIRST
    while (following := max(count + 1, math.floor(count * (1 + GROWTH)))) <= results:
        count = following
    return count


class Learner:
    """The forest that is due, and which candidate it takes.

    Args:
        seed: of the experiment.
        signs: of each metric, 1 if a smaller value is better, -1 if a larger one is.
    """

    def __init__(self, seed: int, signs: Sequence[float] = (1.0,)) -> None:
        self._seed = seed
        self._signs = np.array(signs)
        self._learnt: list[Observation] = []
        self._forest: Forest | None = None
        #: Those of what it has learnt.
        self._trials: list[int] = []

    def learn(self, results: list[Observation], row: Callable[[int], Rows]) -> None:
        """Grows the forest that is due after these results, if it is not the one at hand; `row`
        brings the encoded configuration of a trial."""
        learnt = results[: due(len(results))]
        if learnt == self._learnt:
            return
        self._learnt, self._forest = learnt, None
        if not learnt:
            return
        rng = np.random.default_rng([self._seed, len(learnt), STREAM])
        resources = np.array([result.resource for result in learnt], np.float64)
        losses = losses_of(learnt, self._signs)
        chosen = forest.learnt(resources, losses.mean(1), rng)
        self._trials = [learnt[number].trial for number in chosen]
        rows = np.vstack([row(trial) for trial in self._trials])
        self._forest = Forest(rows, resources[chosen], losses[chosen], int(rng.integers(2**31)))

    def guides(self, trial: int) -> bool:
        """Whether the trial's configuration is chosen, not drawn."""
        return self._forest is not None and trial % EVERY != 0

    def random(self, trial: int) -> np.random.Generator:
        """Random numbers for the choice of a trial's configuration."""
        return np.random.default_rng([self._seed, trial, len(self._learnt), STREAM])

    def weights(self, rng: np.random.Generator) -> Floats:
        """How much each metric counts for a trial."""
        several = len(self._signs) > 1
        return rng.dirichlet(np.ones(len(self._signs))) if several else ALONE

    def best(self, weights: Floats) -> list[int]:
        """The best trials of what was learnt, the best one first."""
        assert self._forest is not None, "a trial is guided"
        order = np.argsort(scalarised(self._forest.ranks, weights), kind="stable")
        return list(dict.fromkeys(self._trials[place] for place in order))[:NEAREST]

    def choose(
        self, rows: Rows, resource: float, rng: np.random.Generator, weights: Floats = ALONE
    ) -> int:
        """Which of some encoded candidates one of the trees expects most of."""
        assert self._forest is not None, "a trial is guided"
        tree = int(rng.integers(forest.TREES))
        return int(scalarised(self._forest.predict(tree, rows, resource), weights).argmin())


def losses_of(results: Sequence[Observation], signs: Floats) -> Floats:
    """Results × metrics, smaller is better. Where constraints or several metrics count, each is the
    place of the result by violation, then by value; what cannot be ranked is infinite."""
    if results[0].standing is None:
        return signs * np.array([[result.value] for result in results], np.float64)
    held = np.array([[one.violation, *one.values] for one in map(_standing, results)])
    strange = ~np.isfinite(held).all(1)
    held[strange] = 0.0
    held[:, 1:] *= signs
    held += 0.0  # which makes -0 a 0
    losses = np.empty((len(held), len(signs)))
    for metric in range(len(signs)):
        pairs = held[:, [0, 1 + metric]]
        losses[:, metric] = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
    losses[strange] = np.inf
    return losses


def _standing(result: Observation) -> Standing:
    assert result.standing is not None, "all results are of one goal"
    return result.standing


class Trees(Sampler):
    """Follows trees grown on configurations and resources."""

    learns: ClassVar[bool] = True

    def __init__(self, specification: Specification) -> None:
        super().__init__(specification)
        self._space = specification.parameters
        self._seed = specification.drawn_seed
        self._encoding = Encoding(self._space)
        modes = [goal.mode for goal in specification.goal.objectives]
        self._learner = Learner(self._seed, [-1.0 if mode == "max" else 1.0 for mode in modes])
        self._max_t = specification.max_t
        self._prior: list[Observation] = []
        self._rows: dict[int, Rows] = {}

    @staticmethod
    def load() -> None:
        forest.load()

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        if len(self._prior) < len(history.prior):
            # what other experiments found is of trials with numbers below 0
            self._prior = [
                Observation(~number, 0, known.resource, known.value)
                for number, known in enumerate(history.prior)
            ]
        self._learner.learn(self._prior + history.results, lambda trial: self._row(history, trial))
        return [self._config(history, trial) for trial in range(first, first + n)]

    def _config(self, history: History, trial: int) -> dict[str, Any]:
        if not self._learner.guides(trial):
            return self._space.draw(self._seed, trial)
        rng = self._learner.random(trial)
        weights = self._learner.weights(rng)
        candidates = [self._space.sample(rng, trial) for _ in range(CANDIDATES)]
        if trial % NEAR == 0:
            best = self._learner.best(weights)
            near = _config_of(history, best[int(rng.integers(len(best)))])
            candidates = [self._near(near, one, rng) for one in candidates]
        rows = self._encoding.rows(candidates)
        return candidates[self._learner.choose(rows, self._max_t, rng, weights)]

    def _row(self, history: History, trial: int) -> Rows:
        if trial not in self._rows:
            self._rows[trial] = self._encoding.rows([_config_of(history, trial)])
        return self._rows[trial]

    def _near(
        self, best: dict[str, Any], drawn: dict[str, Any], rng: np.random.Generator
    ) -> dict[str, Any]:
        """A neighbour of a good configuration; `drawn` is at the trial's point of the grid."""
        values = {one.key: one.domain.sample(rng) for one in self._space.hyperparameters}
        values |= self._space.values(drawn)
        held = self._space.values(best)
        known = [
            (one, held[one.key])
            for one in self._space.hyperparameters
            if one.key in held and not isinstance(one.domain, GridSearch)
        ]
        # at least this one, a number if there is one: a choice may be drawn as it was, and a
        # configuration that was trained before tells nothing
        places = range(len(known))
        numbers = [place for place in places if known[place][0].key in self._encoding.shares]
        moving = int(rng.choice(numbers or places)) if known else 0
        for place, (one, value) in enumerate(known):
            if place != moving and rng.random() < KEPT:
                values[one.key] = value
            elif one.key in self._encoding.shares:
                share = self._encoding.shares[one.key](value)
                values[one.key] = one.domain.at(_moved(share, rng))
        return self._space.filled(values)


def _moved(share: float, rng: np.random.Generator) -> float:
    """Another share nearby, reflected at both ends: at them, values would pile up."""
    moved = abs(share + MOVED * float(rng.standard_normal()))
    return min(moved if moved < 1 else max(2 - moved, 0.0), LAST)


def _config_of(history: History, trial: int) -> dict[str, Any]:
    return history.prior[~trial].config if trial < 0 else history.configs[trial]
