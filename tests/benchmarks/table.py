"""The rows of `make bench`: what was measured, what is wanted, and what bounds it."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure."""

    #: What was measured, in words.
    measure: str
    value: float
    #: Of the value and the goal: "µs", "segments/s", "%", …
    unit: str
    #: What is wanted, at most unless `at_least`; None = nothing in particular.
    goal: float | None = None
    at_least: bool = False
    #: What else was measured in the same run, for comparison: a limit, or the parts of it.
    beside: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether it is as wanted; None where nothing is."""
        if self.goal is None:
            return None
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"reached": self.reached}

    def row(self) -> str:
        """A line of the table."""
        sign = "≥" if self.at_least else "≤"
        goal = "" if self.goal is None else f"{sign} {shown(self.goal)}"
        mark = {True: "✓", False: "✗", None: " "}[self.reached]
        value = f"{shown(self.value)} {self.unit}"
        return f"{self.measure:<58} {value:>20} {goal:>9} {mark} {self.beside}".rstrip()


HEAD = f"{'measure':<58} {'figure':>20} {'goal':>9}   beside it"


def shown(value: float) -> str:
    """Three digits of it, or all of a whole number."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"
