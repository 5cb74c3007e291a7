"""The space of hyperparameters: domains, constants and nested dicts, and how a trial's is drawn.

A configuration depends on the seed and the trial's number alone, never on the order in which
trials are started. Each grid multiplies the number of trials; the domains' meaning is that of Ray
Tune, among others that the upper bound of `randint` and `lograndint` is exclusive.

In JSON, constants and nested dicts stand as they are, and a domain is a dict with its name as the
only key: `{"loguniform": [0.0001, 1.0]}`, `{"choice": [16, 32]}`, `{"grid_search": [1, 2]}`.
"""

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from asha_queue.errors import SpecificationError

#: What constants, and options of a choice, may be.
_CONSTANT = "a number, a text, true, false, null, or a list or dict of these"


@dataclass(frozen=True)
class Domain(ABC):
    """A set of values and how one is drawn from it."""

    name: ClassVar[str]

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Any:
        """Draws one value, always a plain JSON value and never one of numpy's types."""

    def to_json(self) -> dict[str, Any]:
        return {self.name: list(astuple(self))}

    def _require(self, condition: bool, rule: str) -> None:
        if not condition:
            arguments = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
            raise SpecificationError(f"{self.name}({arguments}): {rule}")

    def _require_numbers(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self._require(number and math.isfinite(value), f"{field.name} must be a finite number")


@dataclass(frozen=True)
class Uniform(Domain):
    """Floats in [low, high), all equally likely."""

    name = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        self._require_numbers()
        self._require(self.low < self.high, "low must be less than high")

    def sample(self, rng: np.random.Generator) -> float:
        return float(self.low + (self.high - self.low) * rng.random())


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Floats in [low, high), equally likely in each order of magnitude."""

    name = "loguniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.low > 0, "low must be greater than 0")

    def sample(self, rng: np.random.Generator) -> float:
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + (high - low) * rng.random()), self.low), self.high)


@dataclass(frozen=True)
class QUniform(Uniform):
    """Multiples of q in [low, high], both ends included."""

    name = "quniform"
    q: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.q > 0, "q must be greater than 0")
        for bound in ("low", "high"):
            steps = getattr(self, bound) / self.q
            self._require(math.isclose(steps, round(steps)), f"{bound} must be a multiple of q")

    def sample(self, rng: np.random.Generator) -> float:
        return _multiple(super().sample(rng), self.q)


@dataclass(frozen=True)
class QLogUniform(QUniform):
    """Multiples of q in [low, high], equally likely in each order of magnitude."""

    name = "qloguniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.low > 0, "low must be greater than 0")

    def sample(self, rng: np.random.Generator) -> float:
        return _multiple(LogUniform(self.low, self.high).sample(rng), self.q)


@dataclass(frozen=True)
class RandInt(Domain):
    """Whole numbers from low to high - 1."""

    name = "randint"
    low: int
    high: int

    def __post_init__(self) -> None:
        self._require_numbers()
        for field in ("low", "high"):
            whole = isinstance(getattr(self, field), int)
            self._require(whole, f"{field} must be a whole number")
        self._require(self.low < self.high, "low must be less than high, which is exclusive")

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high))


@dataclass(frozen=True)
class LogRandInt(RandInt):
    """Whole numbers from low to high - 1, equally likely in each order of magnitude."""

    name = "lograndint"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.low > 0, "low must be greater than 0")

    def sample(self, rng: np.random.Generator) -> int:
        return min(int(LogUniform(self.low, self.high).sample(rng)), self.high - 1)


@dataclass(frozen=True)
class Normal(Domain):
    """Floats around mean with the standard deviation sd."""

    name = "normal"
    mean: float
    sd: float

    def __post_init__(self) -> None:
        self._require_numbers()
        self._require(self.sd > 0, "sd must be greater than 0")

    def sample(self, rng: np.random.Generator) -> float:
        return float(self.mean + self.sd * rng.standard_normal())


@dataclass(frozen=True)
class Choice(Domain):
    """One of the options, all equally likely."""

    name = "choice"
    options: Sequence[Any]

    def __post_init__(self) -> None:
        listed = isinstance(self.options, Iterable) and not isinstance(self.options, str | Mapping)
        self._require(listed, "options must be a list")
        options = [_plain(option, f"{self.name} option {option!r}") for option in self.options]
        object.__setattr__(self, "options", options)
        self._require(bool(options), "options must not be empty")

    def to_json(self) -> dict[str, Any]:
        return {self.name: copy.deepcopy(list(self.options))}

    def sample(self, rng: np.random.Generator) -> Any:
        return self.options[int(rng.integers(len(self.options)))]


@dataclass(frozen=True)
class GridSearch(Choice):
    """A choice whose options are taken in turn: each is tried in `num_samples` trials."""

    name = "grid_search"


# What users write: `"lr": loguniform(1e-4, 1.0)`.
uniform = Uniform
loguniform = LogUniform
quniform = QUniform
qloguniform = QLogUniform
randint = RandInt
lograndint = LogRandInt
normal = Normal
choice = Choice
grid_search = GridSearch

_DOMAINS: dict[str, type[Domain]] = {
    domain.name: domain
    for domain in (
        *(Uniform, LogUniform, QUniform, QLogUniform),
        *(RandInt, LogRandInt, Normal, Choice, GridSearch),
    )
}


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
    def domains(self) -> dict[tuple[str, ...], Domain]:
        """The domains by their path, in the order in which they were written."""
        return dict(_leaves(self._tree, ()))

    def draw(self, seed: int, trial: int) -> dict[str, Any]:
        """The configuration of trial number `trial`, from `seed` and that number alone."""
        rng = np.random.default_rng([seed, trial])
        point = trial % self.grid_size
        values: dict[tuple[str, ...], Any] = {}
        for path, domain in self._domains:
            if isinstance(domain, GridSearch):
                point, index = divmod(point, len(domain.options))
                values[path] = domain.options[index]
            else:
                values[path] = domain.sample(rng)
        return _fill(self._tree, (), values)

    def to_json(self) -> dict[str, Any]:
        """The space with its domains in their JSON form, which `Space` accepts."""
        forms = {path: domain.to_json() for path, domain in self._domains}
        return _fill(self._tree, (), forms)


def _parse(value: Any, path: str) -> Any:
    """The tree of dicts, domains and constants that `value`, standing at `path`, describes."""
    if isinstance(value, Domain):
        return value
    if not isinstance(value, Mapping):
        return _plain(value, path)
    if len(value) == 1:
        ((name, arguments),) = value.items()
        if name in _DOMAINS and isinstance(arguments, list):
            return _domain(_DOMAINS[name], arguments, path)
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


def _plain(value: Any, path: str) -> Any:
    """`value` as a JSON value: tuples become lists, numpy's numbers and arrays Python's."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, path) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, path) for key, item in value.items()}
    raise SpecificationError(f"{path}={value!r}: must be a domain, or {_CONSTANT}")


def _leaves(
    tree: dict[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Domain]]:
    for key, value in tree.items():
        if isinstance(value, Domain):
            yield (*path, key), value
        elif isinstance(value, dict):
            yield from _leaves(value, (*path, key))


def _fill(
    tree: dict[str, Any], path: tuple[str, ...], values: dict[tuple[str, ...], Any]
) -> dict[str, Any]:
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


def _multiple(value: float, q: float) -> float:
    """The multiple of q nearest to value, without the noise of 3 * 0.1 = 0.30000000000000004."""
    return float(f"{round(value / q) * q:.12g}")
