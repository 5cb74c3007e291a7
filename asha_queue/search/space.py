"""The space of hyperparameters: domains, constants and nested dicts, and how a trial's is drawn.

A configuration that is drawn depends on the seed and the trial's number alone, never on the order
in which trials are started. Each grid multiplies the number of trials.

In JSON, constants and nested dicts stand as they are, and a domain is a dict with its name as the
only key: `{"loguniform": [0.0001, 1.0]}`, `{"choice": [16, 32]}`, `{"grid_search": [1, 2]}`.
"""

import copy
import difflib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from asha_queue.errors import SpecificationError
from asha_queue.search.domains import (
    DOMAINS,
    Choice,
    Domain,
    GridSearch,
    choice,
    grid_search,
    lograndint,
    loguniform,
    normal,
    plain,
    qloguniform,
    quniform,
    randint,
    text,
    uniform,
)

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

#: The keys that lead to a hyperparameter.
Path = tuple[str, ...]


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
        self._tree: dict[str, Any] = _parse(mapping, "space")
        # Sorted, so that a configuration does not depend on the order in which keys are written.
        self._domains = sorted(_leaves(self._tree, ()), key=lambda leaf: leaf[0])
        #: Number of points of the product of all grids; 1 when there is none.
        self.grid_size = math.prod(
            len(domain.options) for _, domain in self._domains if isinstance(domain, GridSearch)
        )

    @property
    def domains(self) -> dict[Path, Domain]:
        """The domains by their path, in the order in which they were written."""
        return dict(_leaves(self._tree, ()))

    @property
    def dimensions(self) -> int:
        """Hyperparameters that are drawn: all domains but grids."""
        return sum(not isinstance(domain, GridSearch) for _, domain in self._domains)

    def draw(self, seed: int, trial: int) -> dict[str, Any]:
        """The configuration of trial number `trial`, from `seed` and that number alone."""
        return self.sample(np.random.default_rng([seed, trial]), trial)

    def sample(self, rng: np.random.Generator, trial: int) -> dict[str, Any]:
        """A configuration from `rng`, at the trial's point of the grid."""
        return self._drawn(trial, lambda domain: domain.sample(rng))

    def at(self, shares: Sequence[float], trial: int) -> dict[str, Any]:
        """The configuration at a point of the unit cube of `dimensions`, and at the trial's point
        of the grid."""
        coordinates = iter(shares)
        return self._drawn(trial, lambda domain: domain.at(next(coordinates)))

    def filled(self, values: Mapping[Path, Any]) -> dict[str, Any]:
        """The configuration with these values of all domains."""
        return _fill(self._tree, (), values)

    def accepted(self, given: Any, path: str) -> dict[str, Any]:
        """A part of a configuration, or a whole one, as given by a user, with the values as they
        would be drawn.

        Raises SpecificationError naming the path (below `path`) and the value of what is wrong.
        """
        return _accepted(self._tree, given, path)

    def overlaid(self, config: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration with those values that `part`, an accepted one, gives."""
        return _overlaid(self._tree, config, part)

    def _drawn(self, trial: int, value: Callable[[Domain], Any]) -> dict[str, Any]:
        point = trial % self.grid_size
        values: dict[Path, Any] = {}
        for path, domain in self._domains:
            if isinstance(domain, GridSearch):
                point, index = divmod(point, len(domain.options))
                values[path] = domain.options[index]
            else:
                values[path] = value(domain)
        return self.filled(values)

    def to_json(self) -> dict[str, Any]:
        """The space with its domains in their JSON form, which `Space` accepts."""
        forms = {path: domain.to_json() for path, domain in self._domains}
        return _fill(self._tree, (), forms)


def _parse(value: Any, path: str) -> Any:
    """The tree of dicts, domains and constants that `value`, standing at `path`, describes."""
    if isinstance(value, Domain):
        return value
    if not isinstance(value, Mapping):
        return plain(value, path)
    if len(value) == 1:
        ((name, arguments),) = value.items()
        if name in DOMAINS and isinstance(arguments, list):
            return _domain(DOMAINS[name], arguments, path)
    for key in value:
        if not isinstance(key, str) or not key:
            raise SpecificationError(f"{path}: the key {key!r} must be a non-empty text")
    return {key: _parse(item, f"{path}.{key}") for key, item in value.items()}


def _domain(kind: type[Domain], arguments: list[Any], path: str) -> Domain:
    names = [field.name for field in fields(kind)]
    try:
        if issubclass(kind, Choice):
            return kind(arguments)
        if len(arguments) != len(names):
            raise SpecificationError(
                f"{kind.name} takes {len(names)} values [{', '.join(names)}], not {arguments!r}"
            )
        return kind(*arguments)
    except SpecificationError as error:
        raise SpecificationError(f"{path}: {error}") from None


def _leaves(tree: dict[str, Any], path: Path) -> Iterator[tuple[Path, Domain]]:
    for key, value in tree.items():
        if isinstance(value, Domain):
            yield (*path, key), value
        elif isinstance(value, dict):
            yield from _leaves(value, (*path, key))


def _fill(tree: dict[str, Any], path: Path, values: Mapping[Path, Any]) -> dict[str, Any]:
    """A copy of `tree` with the domain at each path replaced by its value."""
    filled: dict[str, Any] = {}
    for key, value in tree.items():
        here = (*path, key)
        if isinstance(value, Domain):
            value = values[here]
        elif isinstance(value, dict):
            filled[key] = _fill(value, here, values)
            continue
        # A list belongs to the space: training code that changes it must not change the space.
        filled[key] = copy.deepcopy(value) if isinstance(value, list | dict) else value
    return filled


def _accepted(tree: dict[str, Any], given: Any, path: str) -> dict[str, Any]:
    """What `given`, standing at `path`, says about the hyperparameters of `tree`."""
    if not isinstance(given, Mapping):
        raise SpecificationError(f"{path}={given!r}: must be a dict of hyperparameters")
    values: dict[str, Any] = {}
    for key, value in given.items():
        here = f"{path}.{key}"
        if key not in tree:
            close = difflib.get_close_matches(str(key), tree, n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(tree)}"
            raise SpecificationError(f"{here}={value!r}: the space has no such key; {hint}")
        inside = tree[key]
        if isinstance(inside, dict):
            values[key] = _accepted(inside, value, here)
            continue
        value = plain(value, here)
        try:
            if isinstance(inside, Domain):
                values[key] = copy.deepcopy(inside.accepted(value))
            elif text(value) == text(inside):
                values[key] = value
            else:
                raise ValueError
        except (ValueError, OverflowError):
            constant = not isinstance(inside, Domain)
            allowed = f"{inside!r}, a constant of the space" if constant else inside.allowed
            raise SpecificationError(f"{here}={value!r}: must be {allowed}") from None
    return values


def _overlaid(
    tree: dict[str, Any], config: Mapping[str, Any], part: Mapping[str, Any]
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for key, inside in tree.items():
        if key not in part:
            merged[key] = config[key]
        elif isinstance(inside, dict):
            merged[key] = _overlaid(inside, config[key], part[key])
        else:
            merged[key] = copy.deepcopy(part[key])
    return merged
