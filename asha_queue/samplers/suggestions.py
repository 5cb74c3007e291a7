"""The configurations of new trials: what the user wants first, then what the sampler suggests.

Rules

* Trial i gets `initial_configs[i]` if there is one; what that leaves open is the sampler's. A
  sampler that does not learn would make nothing of what `warm_start` knows: the best few
  configurations of that, up to one for each `reduction_factor` of `num_samples`, come next;
  also where several metrics or constraints count, as no sampler learns from a single value there.
* In a small discrete space (`started.py`) a suggestion that was started before is drawn again at
  random, at most REDRAWS times; then the next new configuration is taken. What the user wants is
  never exchanged.
* Everything is a function of the specification and the entries folded: the same suggestions one by
  one, in blocks and after a restart. Only what is needed is folded: nothing for most.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from asha_queue.errors import SpecificationError
from asha_queue.samplers.ahead import Ahead
from asha_queue.samplers.grid import Grid
from asha_queue.samplers.history import History
from asha_queue.samplers.optuna import OPTUNA
from asha_queue.samplers.sampler import Random, Sampler
from asha_queue.samplers.sobol import Sobol
from asha_queue.samplers.started import Points, Soon, Started
from asha_queue.samplers.trees import Trees
from asha_queue.search.domain import text
from asha_queue.search.goal import Goal
from asha_queue.search.rung import number
from asha_queue.specification import Specification

#: Random draws in search of a new configuration, before the next one is taken instead.
REDRAWS = 10
#: Configurations of other experiments that are tried at most, where they are not learnt from.
TRIED = 10
#: Tells the random numbers of a trial's redraws from those of its first draw.
AGAIN = 1

SAMPLERS: dict[str, type[Sampler]] = {
    "random": Random,
    "sobol": Sobol,
    "grid": Grid,
    "trees": Trees,
    **OPTUNA,
}


def require(specification: Specification) -> None:
    """Raises SpecificationError when what its sampler needs is not installed here."""
    if missing := SAMPLERS[specification.sampler].missing():
        raise SpecificationError(missing)


def prepare(specification: Specification) -> None:
    """Imports what its sampler needs, which takes seconds, before anything waits for a suggestion.

    Nothing happens when that is not installed: then suggesting says so.
    """
    if not (sampler := SAMPLERS[specification.sampler]).missing():
        sampler.load()


class Suggestions:
    """Follows an experiment's journal as far as needed, and suggests the next configurations.

    With `ahead` a sampler that learns does so in a thread of its own (`ahead.py`), and what it has
    not ready in time is drawn at random.
    """

    def __init__(self, specification: Specification, ahead: bool = False) -> None:
        self._specification = specification
        self._space = specification.parameters
        self._sampler = SAMPLERS[specification.sampler](specification)
        learnt = self._sampler.learns and isinstance(specification.goal, Goal)
        self._history = History(specification.goal, specification.prior if learnt else ())
        self._ahead = (
            Ahead(specification, self._sampler) if ahead and self._sampler.learns else None
        )
        self._first = [*specification.initial_configs]
        if not learnt:
            self._first += self._best_known()
        self._points = Points.of(self._space)
        self._started = Started(self._points.size) if self._points else None

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal, which the search has accepted."""
        if self._sampler.learns:
            self._history.apply(entry)
        if self._points is None or self._started is None or entry["type"] != "scheduled":
            return
        if entry["rung"] == 0 and entry["attempt"] == 1:
            number = self._points.number(entry["config"])
            if number is not None:
                self._started.add(number)

    def look_ahead(self, first: int, n: int) -> None:
        """Has suggestions made for trials that may soon be asked for; returns at once."""
        if self._ahead is not None:
            self._ahead.want(self._history, first, n)

    def suggest(self, first: int, n: int, fresh: bool = True) -> list[dict[str, Any]]:
        """The configurations of the next `n` trials, of which the first has number `first`.

        Without `fresh`, those made ahead need not know the last results.

        Raises SpecificationError when what the sampler needs is not installed here.
        """
        require(self._specification)
        if self._ahead is not None:
            configs = self._ahead.take(self._history, first, n, fresh)
        else:
            configs = self._sampler.suggest(self._history, first, n)
        for trial, part in enumerate(self._first[first : first + n], first):
            rng = np.random.default_rng([self._specification.drawn_seed, trial])
            configs[trial - first] = self._space.overlaid(configs[trial - first], part, rng)
        if self._points is None or self._started is None:
            return configs
        soon = Soon(self._started)
        return [
            self._new(self._points, soon, trial, config)
            for trial, config in enumerate(configs, first)
        ]

    def snapshot(self) -> dict[str, Any]:
        """What was folded, as JSON; empty when nothing is."""
        state: dict[str, Any] = {}
        if self._sampler.learns:
            state["history"] = self._history.snapshot()
        if self._started is not None:
            state["started"] = list(self._started)
        return state

    def restore(self, snapshot: Mapping[str, Any]) -> bool:
        """Goes on from a snapshot; False, and nothing changed, if it lacks what is needed."""
        if not self.snapshot().keys() <= snapshot.keys():
            return False
        if self._sampler.learns:
            self._history.restore(snapshot["history"])
        if self._started is not None:
            self._started = Started(self._started.size, snapshot["started"])
        return True

    def _best_known(self) -> list[dict[str, Any]]:
        """The best configurations of other experiments, without those tried first anyway."""
        made = self._specification
        numbers = (one for one in made.prior if math.isfinite(number(one["value"])))
        told = set(map(text, made.initial_configs))
        best = {text(one["config"]): one["config"] for one in numbers}
        new = [config for written, config in best.items() if written not in told]
        return new[: min(TRIED, made.num_samples // made.reduction_factor)]

    def _new(
        self, points: Points, soon: Soon, trial: int, config: dict[str, Any]
    ) -> dict[str, Any]:
        """The configuration, or another one if it was started before."""
        number = points.number(config)
        if number is None:
            return config
        if trial >= len(self._first) and number in soon:
            rng = np.random.default_rng([self._specification.drawn_seed, trial, AGAIN])
            for _ in range(REDRAWS):
                config = self._space.sample(rng, trial)
                drawn = points.number(config)
                assert drawn is not None, "the space holds what is drawn from it"
                if (number := drawn) not in soon:
                    break
            else:
                number = soon.outside(number)
                config = points.config(number)
        soon.add(number)
        return config
