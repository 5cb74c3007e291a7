"""What a search is told before its first entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.space import Space


@dataclass(frozen=True, slots=True)
class Plan:
    """The rules of one search.

    Attributes:
        ladder: the levels and the reduction factor.
        goal: what trials are compared by.
        num_trials: new trials in all.
        grid_size: trials for each one of `num_samples`, as `extended` counts them.
        hedge: whether rungs are tested before their ranks are relied on (`hedge.py`).
    """

    ladder: Ladder
    goal: Goal
    num_trials: int
    grid_size: int = 1
    hedge: bool = False

    @classmethod
    def of(cls, experiment: Mapping[str, Any]) -> Self:
        """The plan of a specification, given by its fields as JSON."""
        grid_size = Space(experiment["space"]).grid_size
        return cls(
            Ladder(*(experiment[name] for name in ("grace_period", "max_t", "reduction_factor"))),
            Goal(experiment["metric"], experiment["mode"]),
            int(experiment["num_samples"]) * grid_size,
            grid_size,
            bool(experiment.get("hedge")),
        )
