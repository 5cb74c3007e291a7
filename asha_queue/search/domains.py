"""The domains of hyperparameters: sets of values, and how one is drawn.

Their meaning is that of Ray Tune, among others that the upper bound of `randint` and `lograndint`
is exclusive. `at` is the inverse of a domain's distribution function: shares that are spread evenly
over [0, 1) bring values that are spread as those of `sample` are.
"""

import copy
import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

from asha_queue.errors import SpecificationError
from asha_queue.search.domain import Domain as Domain
from asha_queue.search.domain import is_number
from asha_queue.search.domain import plain as plain
from asha_queue.search.domain import text as text

if TYPE_CHECKING:
    import numpy as np

#: Steps of a domain with `q`, on either side of 0, that a float tells apart.
STEPS = 2**53

#: The least share that `normal` takes, and 1 less the greatest: beyond are its infinities.
_EDGE = 2.0**-32


@dataclass(frozen=True)
class Uniform(Domain):
    """Floats in [low, high), all equally likely."""

    name = "uniform"
    low: float
    high: float

    def __post_init__(self) -> None:
        self._require_numbers()
        self._require(self.low < self.high, "low must be less than high")

    def at(self, share: float) -> float:
        return float(self.low + (self.high - self.low) * share)

    @property
    def allowed(self) -> str:
        return f"a number from {self.low} to {self.high}"

    def accepted(self, value: Any) -> float:
        if not is_number(value) or not self.low <= value <= self.high:
            raise ValueError
        return float(value)


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Floats in [low, high), equally likely in each order of magnitude."""

    name = "loguniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.low > 0, "low must be greater than 0")

    def at(self, share: float) -> float:
        low, high = math.log(self.low), math.log(self.high)
        return min(max(math.exp(low + (high - low) * share), self.low), self.high)


@dataclass(frozen=True)
class QUniform(Uniform):
    """Multiples of q in [low, high], both ends included."""

    name = "quniform"
    q: float

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.q > 0, "q must be greater than 0")
        farthest = max(abs(self.low), abs(self.high))
        self._require(farthest / STEPS <= self.q, "q is too small beside low and high")
        for bound in ("low", "high"):
            steps = getattr(self, bound) / self.q
            self._require(math.isclose(steps, round(steps)), f"{bound} must be a multiple of q")

    def at(self, share: float) -> float:
        return _multiple(super().at(share), self.q)

    @property
    def allowed(self) -> str:
        return f"a multiple of {self.q} from {self.low} to {self.high}"

    def accepted(self, value: Any) -> float:
        nearest = _multiple(super().accepted(value), self.q)
        if not math.isclose(value, nearest, rel_tol=1e-9, abs_tol=1e-9 * self.q):
            raise ValueError
        return nearest

    def listed(self, limit: int) -> list[Any] | None:
        steps = round((self.high - self.low) / self.q)
        if steps >= limit:
            return None
        return [_multiple(self.low + step * self.q, self.q) for step in range(steps + 1)]


@dataclass(frozen=True)
class QLogUniform(QUniform):
    """Multiples of q in [low, high], equally likely in each order of magnitude."""

    name = "qloguniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.low > 0, "low must be greater than 0")

    def at(self, share: float) -> float:
        return _multiple(LogUniform(self.low, self.high).at(share), self.q)


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
        held = self.low >= -(2**63) and self.high <= 2**63
        self._require(held, "low and high must be integers of 64 bits")

    def at(self, share: float) -> int:
        return _step(share, self.high - self.low) + self.low

    def sample(self, rng: "np.random.Generator") -> int:
        return int(rng.integers(self.low, self.high))

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high - 1}"

    def accepted(self, value: Any) -> int:
        if not is_number(value) or not isinstance(value, int) or not self.low <= value < self.high:
            raise ValueError
        return value

    def listed(self, limit: int) -> list[Any] | None:
        return list(range(self.low, self.high)) if self.high - self.low <= limit else None


@dataclass(frozen=True)
class LogRandInt(RandInt):
    """Whole numbers from low to high - 1, equally likely in each order of magnitude."""

    name = "lograndint"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(self.low > 0, "low must be greater than 0")

    def at(self, share: float) -> int:
        return min(int(LogUniform(self.low, self.high).at(share)), self.high - 1)

    def sample(self, rng: "np.random.Generator") -> int:
        return self.at(rng.random())


@dataclass(frozen=True)
class Normal(Domain):
    """Floats around mean with the standard deviation sd."""

    name = "normal"
    mean: float
    sd: float

    def __post_init__(self) -> None:
        self._require_numbers()
        self._require(self.sd > 0, "sd must be greater than 0")

    def at(self, share: float) -> float:
        inside = min(max(share, _EDGE), 1 - _EDGE)
        return statistics.NormalDist(self.mean, self.sd).inv_cdf(inside)

    def sample(self, rng: "np.random.Generator") -> float:
        return float(self.mean + self.sd * rng.standard_normal())

    @property
    def allowed(self) -> str:
        return "a finite number"

    def accepted(self, value: Any) -> float:
        if not is_number(value):
            raise ValueError
        return float(value)


@dataclass(frozen=True)
class Choice(Domain):
    """One of the options, all equally likely.

    An option is a constant, a domain, or a dict of constants, domains and dicts.
    """

    name = "choice"
    options: Sequence[Any]

    def __post_init__(self) -> None:
        listed = isinstance(self.options, Iterable) and not isinstance(self.options, str | Mapping)
        self._require(listed, "options must be a list")
        options = [
            parse(option, f"{self.name} option {number}")
            for number, option in enumerate(self.options)
        ]
        object.__setattr__(self, "options", options)
        self._require(bool(options), "options must not be empty")
        if not isinstance(self, GridSearch) and any(map(_has_grid, options)):
            raise SpecificationError(
                f"{self.name} option {next(n for n, o in enumerate(options) if _has_grid(o))}: "
                "cannot hold a grid_search, as it is drawn in some trials only; use choice there"
            )

    @cached_property
    def conditional(self) -> bool:
        """Whether an option holds domains: then options are told by their numbers, and what is
        said below of options holds of these (see `hyperparameters.py`)."""
        return any(True for option in self.options for _ in domains_in(option))

    def to_json(self) -> dict[str, Any]:
        return {self.name: [to_json(option) for option in self.options]}

    def at(self, share: float) -> Any:
        return self.options[_step(share, len(self.options))]

    def sample(self, rng: "np.random.Generator") -> Any:
        return self.options[int(rng.integers(len(self.options)))]

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(map(shown, self.options))}"

    def accepted(self, value: Any) -> Any:
        if text(value) not in map(text, self.options):
            raise ValueError
        return value

    def listed(self, limit: int) -> list[Any] | None:
        different = {text(option): option for option in self.options}
        return list(different.values()) if len(different) <= limit else None


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

DOMAINS: dict[str, type[Domain]] = {
    domain.name: domain
    for domain in (
        *(Uniform, LogUniform, QUniform, QLogUniform),
        *(RandInt, LogRandInt, Normal, Choice, GridSearch),
    )
}


def parse(value: Any, path: str) -> Any:
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
    return {key: parse(item, f"{path}.{key}") for key, item in value.items()}


def domains_in(tree: Any) -> Iterator[Domain]:
    """The domains of a tree; of a choice itself only, not of its options."""
    if isinstance(tree, Domain):
        yield tree
    elif isinstance(tree, dict):
        for inside in tree.values():
            yield from domains_in(inside)


def to_json(tree: Any) -> Any:
    """A copy of a tree with its domains in their JSON form, which `parse` reads."""
    if isinstance(tree, Domain):
        return tree.to_json()
    if isinstance(tree, dict):
        return {key: to_json(inside) for key, inside in tree.items()}
    return copy.deepcopy(tree)


def shown(tree: Any) -> str:
    """A tree as users write it: `{'lr': loguniform(0.0001, 1.0)}`."""
    if isinstance(tree, Choice):
        return f"{tree.name}([{', '.join(map(shown, tree.options))}])"
    if isinstance(tree, Domain):
        return f"{tree.name}({', '.join(map(repr, astuple(tree)))})"
    if isinstance(tree, dict):
        return f"{{{', '.join(f'{key!r}: {shown(inside)}' for key, inside in tree.items())}}}"
    return repr(tree)


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


def _has_grid(tree: Any) -> bool:
    return any(isinstance(domain, GridSearch) for domain in domains_in(tree))


def _step(share: float, steps: int) -> int:
    """Which of so many equal steps a share from 0 to below 1 falls into."""
    return min(int(share * steps), steps - 1)


def _multiple(value: float, q: float) -> float:
    """The multiple of q nearest to value, without the noise of 3 * 0.1 = 0.30000000000000004."""
    return float(f"{round(value / q) * q:.12g}")
