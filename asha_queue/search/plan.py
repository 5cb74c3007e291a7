"""What a search is told before its first entry."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from asha_queue.search.goal import Goal, Goals
from asha_queue.search.ladder import Ladder
from asha_queue.search.limits import Limits
from asha_queue.search.space import Space
from asha_queue.search.variants import AnyRung, rung


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules of one search.

    Attributes:
        ladder: the levels and the reduction factor.
        goal: what trials are compared by.
        num_trials: new trials in all.
        grid_size: trials for each one of `num_samples`, as `extended` counts them.
        brackets: ladders that begin one level above each other.
        variant: which trials go on out of a rung, and when (`variants.py`).
        hedge: whether rungs are tested before their ranks are relied on (`hedge.py`).
        limits: what may end the search before all trials have (`budget.py`).
    """

    ladder: Ladder
    goal: Goal | Goals
    num_trials: int
    grid_size: int = 1
    brackets: int = 1
    variant: str = "promotion"
    hedge: bool = False
    limits: Limits = field(default_factory=Limits)

    def rung(self) -> AnyRung:
        """An empty rung."""
        eta = self.ladder.reduction_factor
        return rung(self.variant, lambda: self.goal.rung(eta), eta)

    @classmethod
    def of(cls, experiment: Mapping[str, Any]) -> Self:
        """The plan of a specification, given by its fields as JSON."""
        grid_size = Space(experiment["space"]).grid_size
        goal = Goals.of(experiment["metric"], experiment["mode"], experiment.get("constraints"))
        return cls(
            Ladder(*(experiment[name] for name in ("grace_period", "max_t", "reduction_factor"))),
            goal,
            int(experiment["num_samples"]) * grid_size,
            grid_size,
            int(experiment.get("brackets", 1)),
            str(experiment.get("variant", "promotion")),
            bool(experiment.get("hedge")),
            Limits.of(experiment, goal),
        )


def conflict(plan: Plan) -> str:
    """What of a plan does not go together, as a sentence; empty if all does."""
    levels, variant, brackets = plan.ladder.levels, plan.variant, plan.brackets
    if brackets > len(levels):
        shown = ", ".join(map(str, levels))
        return (
            f"brackets={brackets}: must be at most {len(levels)}, a bracket for each of the levels "
            f"{shown}"
        )
    if variant == "pasha" and brackets > 1:
        return (
            f"brackets={brackets}: cannot go with variant='pasha', whose ladder begins at its "
            f"lowest level; leave out one of both"
        )
    if variant == "pasha" and not isinstance(plan.goal, Goal):
        return (
            "variant='pasha': goes with one metric and no constraints, whose order settles; take "
            "'promotion', or leave out the constraints and all metrics but one"
        )
    if plan.hedge and (variant != "promotion" or brackets > 1):
        return (
            f"hedge=True: goes with variant='promotion' and one bracket only, not with "
            f"variant={variant!r} and brackets={brackets}; leave out one of them"
        )
    return ""
