"""The domains of hyperparameters: sets of values, and how one is drawn.

Their meaning is that of Ray Tune, among others that the upper bound of `randint` and `lograndint`
is exclusive. `at` is the inverse of a domain's distribution function: shares that are spread evenly
over [0, 1) bring values that are spread as those of `sample` are.
"""

import copy
import json
import math
import statistics
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any, ClassVar

import numpy as np

from asha_queue.errors import SpecificationError

#: What constants, and options of a choice, may be.
CONSTANT = "a number, a text, true, false, null, or a list or dict of these"
#: The least share that `normal` takes, and 1 less the greatest: beyond are its infinities.
_EDGE = 2.0**-32


@dataclass(frozen=True)
class Domain(ABC):
    """A set of values and how one is drawn from it."""

    name: ClassVar[str]

    @abstractmethod
    def at(self, share: float) -> Any:
        """The value below which lies this share of the distribution, from 0 to below 1; always a
        plain JSON value and never one of numpy's types."""

    def sample(self, rng: np.random.Generator) -> Any:
        """Draws one value, of the kind that `at` brings."""
        return self.at(rng.random())

    @property
    @abstractmethod
    def allowed(self) -> str:
        """What its values are, as an error message says it after "must be"."""

    @abstractmethod
    def accepted(self, value: Any) -> Any:
        """A plain value given by a user as `sample` would draw it; ValueError if it never would."""

    def listed(self, limit: int) -> list[Any] | None:
        """Its different values in their order; None if there are more than `limit`."""
        return None

    def to_json(self) -> dict[str, Any]:
        return {self.name: list(astuple(self))}

    def _require(self, condition: bool, rule: str) -> None:
        if not condition:
            arguments = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self))
            raise SpecificationError(f"{self.name}({arguments}): {rule}")

    def _require_numbers(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            self._require(_number(value), f"{field.name} must be a finite number")


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
        if not _number(value) or not self.low <= value <= self.high:
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

    def at(self, share: float) -> int:
        return _step(share, self.high - self.low) + self.low

    def sample(self, rng: np.random.Generator) -> int:
        return int(rng.integers(self.low, self.high))

    @property
    def allowed(self) -> str:
        return f"a whole number from {self.low} to {self.high - 1}"

    def accepted(self, value: Any) -> int:
        if not _number(value) or not isinstance(value, int) or not self.low <= value < self.high:
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

    def sample(self, rng: np.random.Generator) -> int:
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

    def sample(self, rng: np.random.Generator) -> float:
        return float(self.mean + self.sd * rng.standard_normal())

    @property
    def allowed(self) -> str:
        return "a finite number"

    def accepted(self, value: Any) -> float:
        if not _number(value):
            raise ValueError
        return float(value)


@dataclass(frozen=True)
class Choice(Domain):
    """One of the options, all equally likely."""

    name = "choice"
    options: Sequence[Any]

    def __post_init__(self) -> None:
        listed = isinstance(self.options, Iterable) and not isinstance(self.options, str | Mapping)
        self._require(listed, "options must be a list")
        options = [plain(option, f"{self.name} option {option!r}") for option in self.options]
        object.__setattr__(self, "options", options)
        self._require(bool(options), "options must not be empty")

    def to_json(self) -> dict[str, Any]:
        return {self.name: copy.deepcopy(list(self.options))}

    def at(self, share: float) -> Any:
        return self.options[_step(share, len(self.options))]

    def sample(self, rng: np.random.Generator) -> Any:
        return self.options[int(rng.integers(len(self.options)))]

    @property
    def allowed(self) -> str:
        return f"one of {', '.join(map(repr, self.options))}"

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


def plain(value: Any, path: str) -> Any:
    """`value` as a JSON value: tuples become lists, numpy's numbers and arrays Python's."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, list | tuple):
        return [plain(item, path) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: plain(item, path) for key, item in value.items()}
    raise SpecificationError(f"{path}={value!r}: must be a domain, or {CONSTANT}")


def text(value: Any) -> str:
    """A plain value as a text, equal for equal values only: 1, 1.0 and true differ."""
    return json.dumps(value, sort_keys=True)


def _number(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _step(share: float, steps: int) -> int:
    """Which of so many equal steps a share from 0 to below 1 falls into."""
    return min(int(share * steps), steps - 1)


def _multiple(value: float, q: float) -> float:
    """The multiple of q nearest to value, without the noise of 3 * 0.1 = 0.30000000000000004."""
    return float(f"{round(value / q) * q:.12g}")
