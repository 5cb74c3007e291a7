"""The space of hyperparameters: domains, constants and nested dicts, and how a trial's is drawn.

A configuration that is drawn depends on the seed and the trial's number alone, never on the order
in which trials are started. Each grid multiplies the number of trials.

An option of a choice or of a grid may be a dict that holds domains, or be a domain: those of an
option are part of a configuration only if the choice has taken it. `hyperparameters.py` says how
such a space is to be read.

In JSON, constants and nested dicts stand as they are, and a domain is a dict with its name as the
only key: `{"loguniform": [0.0001, 1.0]}`, `{"choice": [16, 32]}`, `{"grid_search": [1, 2]}`.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asha_queue.errors import SpecificationError
from asha_queue.search.combinations import SMALL, Combinations
from asha_queue.search.domain import Domain
from asha_queue.search.domains import (
    Choice,
    GridSearch,
    choice,
    domains_in,
    grid_search,
    lograndint,
    loguniform,
    normal,
    parse,
    qloguniform,
    quniform,
    randint,
    to_json,
    uniform,
)
from asha_queue.search.fitting import accepted, apart, lacking, option_of
from asha_queue.search.hyperparameters import INACTIVE, Hyperparameter, Key, hyperparameters

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "Choice",
    "Domain",
    "GridSearch",
    "Space",
    "choice",
    "grid_search",
    "lograndint",
    "loguniform",
    "normal",
    "qloguniform",
    "quniform",
    "randint",
    "uniform",
]


class Space:
    """The validated space of an experiment.

    `mapping` holds domains (as objects or in their JSON form), constants and nested dicts of
    these. Raises SpecificationError naming the path of what is wrong, such as `space.model.lr`.
    """

    def __init__(self, mapping: Mapping[str, Any]) -> None:
        if not isinstance(mapping, Mapping) or not mapping:
            raise SpecificationError(
                f"space={mapping!r}: must be a dict with at least one hyperparameter, "
                f"such as {{'lr': loguniform(1e-4, 1.0)}}"
            )
        tree = parse(mapping, "space")
        if not isinstance(tree, dict):
            raise SpecificationError(
                f"space={mapping!r}: must be a dict of hyperparameters, not a single domain; give "
                f"it a name, such as {{'x': {mapping!r}}}"
            )
        self._tree: dict[str, Any] = tree
        #: In the order in which they were written, a choice before those inside its options.
        self.hyperparameters = hyperparameters(tree)
        # Sorted, so that a configuration does not depend on the order in which keys are written.
        in_order = sorted(self.hyperparameters, key=lambda one: one.key)
        self._drawn_ones = [one for one in in_order if not isinstance(one.domain, GridSearch)]
        # The first grid is the one that varies fastest.
        self._grid = Combinations(
            [
                (one, one.domain.options)
                for one in reversed(in_order)
                if isinstance(one.domain, GridSearch)
            ]
        )
        #: Number of points of the product of all grids; 1 when there is none.
        self.grid_size = self._grid.size

    @property
    def dimensions(self) -> int:
        """Hyperparameters that are drawn: all domains but grids, active or not."""
        return len(self._drawn_ones)

    @property
    def unlisted(self) -> list[Hyperparameter]:
        """Those that are drawn and continuous, or of more than SMALL values."""
        return [one for one in self._drawn_ones if one.domain.listed(SMALL) is None]

    @cached_property
    def combinations(self) -> Combinations | None:
        """Those of all that is drawn, in a fixed order; None if they are more than SMALL."""
        listed = [(one, one.domain.listed(SMALL)) for one in self._drawn_ones]
        known = [(one, values) for one, values in listed if values is not None]
        combinations = Combinations(known) if len(known) == len(listed) else None
        return combinations if combinations and combinations.size <= SMALL else None

    @property
    def names(self) -> list[str]:
        """The dotted names that configurations have, constants too, those of any option."""
        return list(dict.fromkeys(_names(self._tree, "")))

    @property
    def ambiguous(self) -> bool:
        """Whether some value may fit two options of a conditional choice."""
        choices = [domain for domain in _choices(self._tree) if domain.conditional]
        return not all(
            apart(one, other)
            for choice in choices
            for place, one in enumerate(choice.options)
            for other in choice.options[:place]
        )

    def draw(self, seed: int, trial: int) -> dict[str, Any]:
        """The configuration of trial number `trial`, from `seed` and that number alone."""
        from numpy.random import default_rng  # by those who draw, not by all who name a space

        return self.sample(default_rng([seed, trial]), trial)

    def sample(self, rng: "np.random.Generator", trial: int) -> dict[str, Any]:
        """A configuration from `rng`, at the trial's point of the grid."""
        return self.filled(self._drawn(trial, lambda domain: domain.sample(rng)))

    def combined(self, number: int, trial: int) -> dict[str, Any]:
        """The configuration of that combination, at the trial's point of the grid; only where
        there are `combinations`."""
        assert self.combinations is not None, "the combinations are not listed"
        point = self._grid.values(trial % self.grid_size)
        return self.filled(point | self.combinations.values(number))

    def at(self, shares: Sequence[float], trial: int) -> dict[str, Any]:
        """The configuration at a point of the unit cube of `dimensions`, and at the trial's point
        of the grid."""
        coordinates = iter(shares)
        return self.filled(self._drawn(trial, lambda domain: domain.at(next(coordinates))))

    def filled(self, values: Mapping[Key, Any]) -> dict[str, Any]:
        """The configuration with these values of all hyperparameters that are active in it."""
        config: dict[str, Any] = _fill(self._tree, (), values)
        return config

    def values(self, config: Mapping[str, Any]) -> dict[Key, Any]:
        """The values of the hyperparameters that are active in a configuration, or in a part of
        one; without those of a choice whose value is none of its options."""
        return _values(self._tree, (), config)

    def value(self, config: Any, key: Key) -> Any:
        """The value of one hyperparameter; INACTIVE in a configuration that lacks it."""
        tree: Any = self._tree
        for step in key:
            if isinstance(step, int):
                if option_of(tree, config) != step:
                    return INACTIVE
                tree = tree.options[step]
            elif isinstance(config, Mapping) and step in config:
                tree, config = tree[step], config[step]
            else:
                return INACTIVE
        if isinstance(tree, Choice) and tree.conditional:
            option = option_of(tree, config)
            return INACTIVE if option is None else option
        return config

    def accepted(self, given: Any, path: str) -> dict[str, Any]:
        """A part of a configuration, or a whole one, as given by a user, with the values as they
        would be drawn.

        Raises SpecificationError naming the path (below `path`) and the value of what is wrong.
        """
        config: dict[str, Any] = accepted(self._tree, given, path)
        return config

    def whole(self, given: Any, path: str) -> dict[str, Any]:
        """As `accepted`, and refuses a configuration that lacks something."""
        config = self.accepted(given, path)
        if missing := lacking(self._tree, config):
            raise SpecificationError(f"{path}.{missing}: is missing")
        return self.filled(self.values(config))

    def overlaid(
        self, config: Mapping[str, Any], part: Mapping[str, Any], rng: "np.random.Generator"
    ) -> dict[str, Any]:
        """A configuration with those values that `part`, an accepted one, gives; what else is in
        the options that `part` takes in the place of others is drawn from `rng`."""
        drawn = self._drawn(0, lambda domain: domain.sample(rng))
        return self.filled(drawn | self.values(config) | self.values(part))

    def _drawn(self, trial: int, value: Callable[[Domain], Any]) -> dict[Key, Any]:
        """A value of each hyperparameter, of inactive ones too: that each takes its turn keeps
        the others' values independent of what a choice has taken."""
        values = self._grid.values(trial % self.grid_size)
        for one in self._drawn_ones:
            values[one.key] = value(one.domain)
        return values

    def to_json(self) -> dict[str, Any]:
        """The space with its domains in their JSON form, which `Space` accepts."""
        form: dict[str, Any] = to_json(self._tree)
        return form


def _fill(tree: Any, key: Key, values: Mapping[Key, Any]) -> Any:
    """A copy of `tree` with the domain at each key replaced by its value."""
    if isinstance(tree, dict):
        return {name: _fill(inside, (*key, name), values) for name, inside in tree.items()}
    if isinstance(tree, Domain):
        value = values[key]
        if isinstance(tree, Choice) and tree.conditional:
            return _fill(tree.options[value], (*key, value), values)
    else:
        value = tree
    # A list belongs to the space: training code that changes it must not change the space.
    return copy.deepcopy(value) if isinstance(value, list | dict) else value


def _names(tree: Any, name: str) -> Iterator[str]:
    if isinstance(tree, dict):
        for key, inside in tree.items():
            yield from _names(inside, f"{name}.{key}" if name else key)
    elif isinstance(tree, Choice):
        for option in tree.options:
            yield from _names(option, name)
    else:
        yield name


def _choices(tree: Any) -> Iterator[Choice]:
    for domain in domains_in(tree):
        if isinstance(domain, Choice):
            yield domain
            for option in domain.options:
                yield from _choices(option)


def _values(tree: Any, key: Key, config: Any) -> dict[Key, Any]:
    if isinstance(tree, dict):
        values: dict[Key, Any] = {}
        if isinstance(config, Mapping):
            for name, inside in tree.items():
                if name in config:
                    values |= _values(inside, (*key, name), config[name])
        return values
    if not isinstance(tree, Domain):
        return {}
    if not isinstance(tree, Choice) or not tree.conditional:
        return {key: config}
    option = option_of(tree, config)
    if option is None:
        return {}
    return {key: option} | _values(tree.options[option], (*key, option), config)
