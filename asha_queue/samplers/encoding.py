"""Configurations as rows of numbers, for models.

Rules

* A number becomes the share of its domain's distribution that lies below it, from 0 to 1: values
  that are drawn alike often are as far from each other wherever they lie. So a logarithmic domain
  is taken in its logarithm, and one of huge values is no wider than any other.
* The options of a choice have a column if all are numbers, in whose order they stand, else one
  column each, 1 for the one that was taken.
* What is not active in a configuration, inside an option that was not taken, is ABSENT, which no
  value is. So is a value that is none of its domain's.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.search.domain import Domain, is_number, text
from asha_queue.search.domains import (
    Choice,
    LogRandInt,
    LogUniform,
    Normal,
    QLogUniform,
    RandInt,
    Uniform,
)
from asha_queue.search.hyperparameters import Hyperparameter, Key
from asha_queue.search.space import Space

Rows = NDArray[np.float32]

#: Stands for a value that is not there.
ABSENT = -1.0


class Encoding:
    """The columns of a space."""

    def __init__(self, space: Space) -> None:
        self._space = space
        self._parts = [(one.key, *_columns(one)) for one in space.hyperparameters]
        #: The distribution function of each domain of numbers.
        self.shares = {
            one.key: _share(one.domain)
            for one in space.hyperparameters
            if not isinstance(one.domain, Choice)
        }
        #: Columns of a row.
        self.width = sum(width for _, width, _ in self._parts)

    def rows(self, configs: Iterable[Mapping[str, Any]]) -> Rows:
        """Configurations × columns."""
        rows = [self._row(self._space.values(config)) for config in configs]
        return np.array(rows, np.float32).reshape(len(rows), self.width)

    def _row(self, values: Mapping[Key, Any]) -> list[float]:
        row: list[float] = []
        for key, width, encoded in self._parts:
            row += encoded(values[key]) if key in values else [ABSENT] * width
        return row


def _columns(one: Hyperparameter) -> tuple[int, Callable[[Any], list[float]]]:
    """How many columns a hyperparameter has, and what a value has there."""
    if isinstance(one.domain, Choice):
        return _options(one.domain.options, ordered=one.labels is None)
    share = _share(one.domain)
    return 1, lambda value: [share(value)]


def _share(domain: Domain) -> Callable[[Any], float]:
    """The distribution function of a domain of numbers; ABSENT for what is none of its values."""
    unbounded = _distribution(domain)

    def share(value: Any) -> float:
        try:
            return min(max(unbounded(value), 0.0), 1.0)
        except (TypeError, ValueError, OverflowError):
            return ABSENT

    return share


def _distribution(domain: Domain) -> Callable[[Any], float]:
    if isinstance(domain, Normal):
        return statistics.NormalDist(domain.mean, domain.sd).cdf
    if not isinstance(domain, Uniform | RandInt):
        raise TypeError(f"a model cannot read values of {domain!r}")
    if isinstance(domain, LogUniform | QLogUniform | LogRandInt):
        least, greatest = math.log(domain.low), math.log(domain.high)
        return lambda value: (math.log(value) - least) / (greatest - least)
    low, high = domain.low, domain.high
    # halves: the width of the widest domain of floats is no float
    return lambda value: (value / 2 - low / 2) / (high / 2 - low / 2)


def _options(options: Iterable[Any], ordered: bool) -> tuple[int, Callable[[Any], list[float]]]:
    different = {text(option): option for option in options}
    if ordered and all(map(is_number, different.values())):
        order = sorted(different, key=lambda key: different[key])
        places = {key: (place + 0.5) / len(order) for place, key in enumerate(order)}
        return 1, lambda value: [places.get(text(value), ABSENT)]
    numbers = {key: number for number, key in enumerate(different)}

    def encoded(value: Any) -> list[float]:
        row = [0.0] * len(numbers)
        if (number := numbers.get(text(value))) is None:
            return [ABSENT] * len(numbers)
        row[number] = 1.0
        return row

    return len(numbers), encoded
