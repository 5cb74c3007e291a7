"""A space as Optuna knows spaces, and configurations there and back.

Numbers keep their own scale, linear or logarithmic, and whole numbers stay whole. What Optuna lacks
is taken by another measure: multiples of q by their count, a normal domain and multiples on a
logarithmic scale by the share of the distribution below them, the options of a choice by their
place, for they may be lists or dicts.
"""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from asha_queue.search.domain import Domain, text
from asha_queue.search.domains import (
    Choice,
    GridSearch,
    LogRandInt,
    LogUniform,
    Normal,
    QLogUniform,
    QUniform,
    RandInt,
    Uniform,
)
from asha_queue.search.space import Space


@dataclass(frozen=True, slots=True)
class Parameter:
    """A domain's distribution; `told` takes one of its values to Optuna, `taken` brings one."""

    distribution: Any
    told: Callable[[Any], Any]
    taken: Callable[[Any], Any]

    @classmethod
    def of(cls, domain: Domain) -> "Parameter":
        match domain:
            case Choice():
                return _choice(domain)
            case QLogUniform():
                low, high = math.log(domain.low), math.log(domain.high)
                return _shares(domain, lambda value: (math.log(value) - low) / (high - low))
            case QUniform():
                return _multiples(domain)
            case LogUniform():
                return _numbers(FloatDistribution(domain.low, domain.high, log=True))
            case Uniform():
                return _numbers(FloatDistribution(domain.low, domain.high))
            case LogRandInt():
                return _numbers(IntDistribution(domain.low, domain.high - 1, log=True))
            case RandInt():
                return _numbers(IntDistribution(domain.low, domain.high - 1))
            case Normal():
                return _shares(domain, statistics.NormalDist(domain.mean, domain.sd).cdf)
        raise TypeError(f"Optuna has no distribution for {domain!r}")


def _numbers(distribution: Any) -> Parameter:
    kind = int if isinstance(distribution, IntDistribution) else float

    def inside(value: Any) -> Any:
        return kind(min(max(value, distribution.low), distribution.high))

    return Parameter(distribution, inside, inside)


def _multiples(domain: QUniform) -> Parameter:
    steps = round((domain.high - domain.low) / domain.q)
    return Parameter(
        IntDistribution(0, steps),
        lambda value: min(max(round((value - domain.low) / domain.q), 0), steps),
        lambda step: domain.accepted(min(domain.low + step * domain.q, domain.high)),
    )


def _shares(domain: Domain, share: Callable[[Any], float]) -> Parameter:
    return Parameter(
        FloatDistribution(0.0, 1.0),
        lambda value: min(max(share(value), 0.0), 1.0),
        lambda found: domain.at(min(found, math.nextafter(1.0, 0.0))),
    )


def _choice(domain: Choice) -> Parameter:
    different = {text(option): option for option in domain.options}
    places = {key: place for place, key in enumerate(different)}
    options = list(different.values())
    return Parameter(
        CategoricalDistribution(range(len(options))),
        lambda value: places[text(value)],
        lambda place: options[place],
    )


class Parameters:
    """The hyperparameters of a space that are drawn: all but grids."""

    def __init__(self, space: Space) -> None:
        self._space = space
        drawn = [one for one in space.hyperparameters if not isinstance(one.domain, GridSearch)]
        self._names = {one.key: text(one.key) for one in drawn}
        self._keys = {name: key for key, name in self._names.items()}
        self._parameters = {self._names[one.key]: Parameter.of(one.domain) for one in drawn}
        #: By the names that they have in studies.
        self.distributions = {
            name: parameter.distribution for name, parameter in self._parameters.items()
        }
        #: Names of numbers that every configuration has, and that are not always the same.
        self.numbers = [
            self._names[one.key]
            for one in drawn
            if one.condition is None
            and not isinstance(one.domain, Choice)
            and not self.distributions[self._names[one.key]].single()
        ]

    def told(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration as the parameters of a trial in a study, without inactive ones."""
        return {
            name: self._parameters[name].told(value)
            for key, value in self._space.values(config).items()
            if (name := self._names.get(key)) is not None
        }

    def config(self, params: Mapping[str, Any], trial: int, seed: int) -> dict[str, Any]:
        """The configuration of a trial with these parameters, at the trial's point of the grid."""
        values = self._space.values(self._space.draw(seed, trial))
        for name, value in params.items():
            values[self._keys[name]] = self._parameters[name].taken(value)
        return self._space.filled(values)
