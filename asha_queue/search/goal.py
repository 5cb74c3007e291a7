"""What trials are compared by.

Rules

* One metric without constraints: its value, a number (`Goal`).
* Several metrics, or constraints: a `Standing`, the total violation and the values (`Goals`). What
  meets all constraints comes before what does not; of two that do not, the smaller violation is
  better. Only between equal violations do the values decide.
* The total violation is the sum, over all bounds, of how far a value is on the wrong side, as a
  share of the bound's size, so that milliseconds and accuracies add up; of a bound of 0, the plain
  amount.
* A metric that is missing or NaN violates its constraint infinitely. Such a result is not ranked;
  neither is one whose violation is too large for a number, nor one without a value for a metric
  that is ranked by. With several metrics a value must be finite: distances to it are needed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from asha_queue.errors import SpecificationError
from asha_queue.search.rung import Constrained, Ranking, Rung, Standing, number

if TYPE_CHECKING:
    from asha_queue.search.front import Floats

#: Share of the sum beside the largest part in `scalarised`, Knowles' rho.
SUM = 0.05


@dataclass(frozen=True, slots=True)
class Goal:
    """A metric, and whether a smaller ("min") or a larger ("max") value of it is better."""

    metric: str
    mode: str

    @property
    def objectives(self) -> tuple["Goal", ...]:
        return (self,)

    @property
    def constraints(self) -> tuple["Bound", ...]:
        return ()

    def value(self, metrics: Mapping[str, Any]) -> float:
        """What a result is ranked by; NaN, which ranks last, if it has no such number."""
        return number(metrics.get(self.metric))

    def loss(self, metrics: Mapping[str, Any]) -> float:
        """The smaller the better; infinite when the metric is missing or no number."""
        value = number(metrics.get(self.metric))
        loss = value if self.mode == "min" else -value
        return math.inf if math.isnan(loss) else loss

    def violation(self, metrics: Mapping[str, Any]) -> float:
        """There is nothing to violate."""
        return 0.0

    def ranks(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a result can be ranked; else it comes last and is never promoted."""
        return self.loss(metrics) < math.inf

    def culprit(self, metrics: Mapping[str, Any]) -> str:
        """The metric for which a result cannot be ranked."""
        return self.metric

    def rung(self, eta: int, margin: float = 0.0) -> Ranking:
        """An empty rung for such values; `margin` is for those who look beyond its candidates."""
        return Rung(eta, self.mode, margin)


class Bound(NamedTuple):
    """A metric that must be at most (`side` "max") or at least ("min") this."""

    metric: str
    side: str
    bound: float

    def violation(self, metrics: Mapping[str, Any]) -> float:
        """How far its value is on the wrong side, relative to the bound's size."""
        value = number(metrics.get(self.metric))
        if math.isnan(value):
            return math.inf
        beyond = value - self.bound if self.side == "max" else self.bound - value
        return max(0.0, beyond / abs(self.bound) if self.bound else beyond)

    def __str__(self) -> str:
        return f"{self.metric} {'<=' if self.side == 'max' else '>='} {self.bound:g}"


@dataclass(frozen=True, slots=True)
class Goals:
    """Several metrics to be good in at once, or one, and what must hold."""

    objectives: tuple[Goal, ...]
    constraints: tuple[Bound, ...] = ()

    @classmethod
    def of(
        cls,
        metric: str | Sequence[str],
        mode: str | Sequence[str],
        constraints: Mapping[str, Mapping[str, float]] | None = None,
    ) -> Goal | Self:
        """The goal that a specification's fields describe."""
        names = [metric] if isinstance(metric, str) else metric
        modes = [mode] * len(names) if isinstance(mode, str) else mode
        objectives = tuple(Goal(*one) for one in zip(names, modes, strict=True))
        bounds = tuple(
            Bound(name, side, bounds[side])
            for name, bounds in (constraints or {}).items()
            for side in ("min", "max")
            if side in bounds
        )
        return cls(objectives, bounds) if bounds or len(objectives) > 1 else objectives[0]

    def value(self, metrics: Mapping[str, Any]) -> Standing:
        """What a result is ranked by."""
        values = tuple(number(metrics.get(goal.metric)) for goal in self.objectives)
        return Standing(self.violation(metrics), values)

    def violation(self, metrics: Mapping[str, Any]) -> float:
        """How far the result is from meeting all constraints; 0 if it does."""
        return sum((bound.violation(metrics) for bound in self.constraints), 0.0)

    def ranks(self, metrics: Mapping[str, Any]) -> bool:
        """Whether a result can be ranked; else it comes last and is never promoted."""
        if self.violation(metrics) == math.inf:
            return False
        if len(self.objectives) == 1:
            return self.objectives[0].ranks(metrics)
        return all(math.isfinite(number(metrics.get(goal.metric))) for goal in self.objectives)

    def culprit(self, metrics: Mapping[str, Any]) -> str:
        """The metric for which a result cannot be ranked."""
        for goal in self.objectives:
            several = len(self.objectives) > 1 and not math.isfinite(goal.value(metrics))
            if several or not goal.ranks(metrics):
                return goal.metric
        return max(self.constraints, key=lambda bound: bound.violation(metrics)).metric

    def rung(self, eta: int, margin: float = 0.0) -> Ranking:
        """An empty rung for such values; `margin` is for those who look beyond its candidates."""
        modes = [goal.mode for goal in self.objectives]
        if len(modes) == 1:
            return Constrained(eta, modes[0], margin)
        from asha_queue.search.front import Front  # and with it numpy, for those who rank by it

        return Front(eta, modes, margin)


def scalarised(losses: "Floats", weights: "Floats") -> "Floats":
    """The losses in each row as one, for a sampler that compares single numbers: the augmented
    Chebyshev norm, max(w·l) + 0.05 · sum(w·l).

    Its minima, over all weights, are the whole Pareto front, also where that is not convex, which a
    weighted sum's are not. Losses should be scaled to [0, 1], best to worst.

    Source: Knowles, "ParEGO", IEEE Transactions on Evolutionary Computation 10 (1), 2006, eq. 2.
    """
    weighted = losses * weights
    best: Floats = weighted.max(1) + SUM * weighted.sum(1)
    return best


def named(metric: str | list[str]) -> str | list[str]:
    """Names of metrics as a specification holds them: a list of one is that one.

    Raises SpecificationError for none, an empty one or the same one twice.
    """
    names = [metric] if isinstance(metric, str) else metric
    if not names or not all(names):
        raise SpecificationError(
            f"metric={metric!r}: must be the name of the reported number to rank trials by, or a "
            f"list of such names"
        )
    for name in names:
        if names.count(name) > 1:
            raise SpecificationError(f"metric={metric!r}: {name!r} is there twice; leave one out")
    return names[0] if len(names) == 1 else names


def modes_of(metric: str | list[str], mode: Any) -> Any:
    """A mode for each metric; a single one is meant for all.

    Raises SpecificationError when there are not as many as metrics.
    """
    wanted = 1 if isinstance(metric, str) else len(metric)
    modes = mode if isinstance(mode, list) else [mode] * wanted
    if len(modes) != wanted:
        raise SpecificationError(
            f"mode={mode!r}: {len(modes)} for {wanted} metric{'s' * (wanted > 1)}; give one for "
            f"each, or one text that is meant for all"
        )
    return modes[0] if wanted == 1 else modes


def bounds(constraints: Mapping[Any, Any]) -> dict[str, dict[str, float]]:
    """Constraints as a specification holds them: {"latency": {"max": 20.0}}.

    Raises SpecificationError for what cannot be meant.
    """
    found = {}
    for name, given in constraints.items():
        said = f"constraints[{name!r}]={given!r}"
        allowed = f"{said}: must be a dict with a finite number as 'min', as 'max' or as both"
        if not isinstance(name, str) or not name or not isinstance(given, Mapping) or not given:
            raise SpecificationError(f"{allowed}, under the name of a reported number")
        for side, bound in given.items():
            if side not in ("min", "max") or type(bound) not in (int, float):
                raise SpecificationError(allowed)
            if not math.isfinite(number(bound)):
                raise SpecificationError(allowed)
        if "min" in given and "max" in given and given["min"] > given["max"]:
            raise SpecificationError(f"{said}: no number is at least the one and at most the other")
        found[name] = {side: float(bound) for side, bound in given.items()}
    return found
