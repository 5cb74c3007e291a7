"""A call of one of Optuna's `suggest_*` methods: the values that it allows, as a domain of a space
and as what the call returns.

Rules

* Both ends of a range are included, as in Optuna. A range that no whole number of steps fills ends
  with the last whole one.
* Steps that start at a multiple of themselves are `quniform`, others, and those between whole
  numbers, a choice of all values, which keeps whole numbers whole.
* A range of one value, and a choice of one, is a constant.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from asha_queue.errors import SpecificationError
from asha_queue.search.domain import Domain, is_number, plain, text
from asha_queue.search.domains import (
    Choice,
    choice,
    lograndint,
    loguniform,
    quniform,
    randint,
    uniform,
)

#: Values that a domain of steps may have.
MOST_STEPS = 10_000
#: Shares of a step that a value may be off.
_OFF = 1e-8


class Call(ABC):
    """What was asked for, under a name."""

    name: str

    @abstractmethod
    def __str__(self) -> str:
        """The call as it is written."""

    @abstractmethod
    def domain(self) -> Any:
        """The domain of these values, or the only one of them.

        Raises SpecificationError for values that a space cannot hold.
        """

    @abstractmethod
    def taken(self, value: Any) -> Any:
        """A value of a configuration as the call returns it; ValueError if it is not allowed."""

    @abstractmethod
    def telling(self) -> list[Any]:
        """Values that may lead an objective into different branches, each of them once."""

    def at(self, share: float) -> Any:
        """The value below which lies this share of the domain."""
        domain = self.domain()
        return domain.at(share) if isinstance(domain, Domain) else domain


@dataclass(frozen=True)
class Numbers(Call):
    """`suggest_float` or `suggest_int`."""

    name: str
    low: float
    high: float
    step: float | None = None
    log: bool = False
    whole: bool = False

    def __post_init__(self) -> None:
        if not is_number(self.low) or not is_number(self.high) or self.low > self.high:
            self._refuse("low and high must be numbers, low at most high")
        if self.log and self.low <= 0:
            self._refuse("low must be greater than 0 with log=True")
        if self.step is None:
            return
        if not is_number(self.step) or self.step <= 0:
            self._refuse("step must be greater than 0")
        if self.log:
            self._refuse("step and log=True exclude each other")
        low, step = Decimal(str(self.low)), Decimal(str(self.step))
        high = low + (Decimal(str(self.high)) - low) // step * step
        object.__setattr__(self, "high", type(self.high)(high))

    def __str__(self) -> str:
        more = "" if self.step is None else f", step={self.step!r}"
        more += ", log=True" if self.log else ""
        kind = "int" if self.whole else "float"
        return f"suggest_{kind}({self.name!r}, {self.low!r}, {self.high!r}{more})"

    def domain(self) -> Any:
        if self.low == self.high:
            return self.low
        if self.step is not None:
            return self._steps(self.step)
        if self.whole:
            return (lograndint if self.log else randint)(int(self.low), int(self.high) + 1)
        return (loguniform if self.log else uniform)(self.low, self.high)

    def taken(self, value: Any) -> float:
        if not is_number(value) or not self.low <= value <= self.high:
            raise ValueError
        steps = 0.0 if self.step is None else (value - self.low) / self.step
        if abs(steps - round(steps)) > _OFF or (self.whole and value != int(value)):
            raise ValueError
        return int(value) if self.whole else float(value)

    def telling(self) -> list[Any]:
        return [int(self.high), int(self.low)] if self.whole else []

    def _steps(self, step: float) -> Any:
        low, by = Decimal(str(self.low)), Decimal(str(step))
        if not self.whole and low % by == 0:
            return quniform(self.low, self.high, step)
        count = int((Decimal(str(self.high)) - low) / by) + 1
        if count > MOST_STEPS:
            self._refuse(f"has {count:,} values, more than a choice may have; use a greater step")
        kind = int if self.whole else float
        return choice([kind(low + number * by) for number in range(count)])

    def _refuse(self, rule: str) -> None:
        raise SpecificationError(f"{self}: {rule}")


@dataclass(frozen=True)
class Options(Call):
    """`suggest_categorical`."""

    name: str
    choices: Sequence[Any]

    def __str__(self) -> str:
        return f"suggest_categorical({self.name!r}, {list(self.choices)!r})"

    def domain(self) -> Any:
        try:
            options = [plain(one, "an option") for one in self.choices]
            return options[0] if len(options) == 1 else choice(options)
        except SpecificationError as error:
            raise SpecificationError(f"suggest_categorical({self.name!r}, …): {error}") from None

    def taken(self, value: Any) -> Any:
        texts = [text(plain(one, self.name)) for one in self.choices]
        if text(value) not in texts:
            raise ValueError
        return self.choices[texts.index(text(value))]

    def telling(self) -> list[Any]:
        domain = self.domain()
        return list(domain.options) if isinstance(domain, Choice) else [domain]
