"""What a domain of a hyperparameter is, and what values are: plain ones, as JSON has them."""

import json
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from asha_queue.errors import SpecificationError

if TYPE_CHECKING:  # imported by those who draw: it takes as long as all else of a specification
    import numpy as np

#: The largest integer that a float can stand for.
LARGEST = int(sys.float_info.max)
#: The largest number that a domain may have: differences and multiples of such are finite.
FARTHEST = 1e300
#: What constants, and options of a choice, may be.
CONSTANT = "a number, a text, true, false, null, or a list or dict of these"


@dataclass(frozen=True)
class Domain(ABC):
    """A set of values and how one is drawn from it."""

    name: ClassVar[str]

    @abstractmethod
    def at(self, share: float) -> Any:
        """The value below which lies this share of the distribution, from 0 to below 1; always a
        plain JSON value and never one of numpy's types."""

    def sample(self, rng: "np.random.Generator") -> Any:
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
            self._require(is_number(value), f"{field.name} must be a finite number")
            self._require(abs(value) <= FARTHEST, f"{field.name} must be at most {FARTHEST:g}")


def plain(value: Any, path: str) -> Any:
    """`value` as a JSON value: tuples become lists, numpy's numbers and arrays Python's."""
    numpy = sys.modules.get("numpy")  # whoever has a value of its types has imported it
    if numpy and isinstance(value, numpy.ndarray | numpy.generic):
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


def is_number(value: Any) -> bool:
    """Whether it is a finite number; true and false are none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return math.isfinite(value) if isinstance(value, float) else abs(value) <= LARGEST
