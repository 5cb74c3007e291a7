"""What may end an experiment before all of its trials have, and how that is raised."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from asha_queue.errors import SpecificationError
from asha_queue.search.goal import Bound, Goal, Goals
from asha_queue.search.rung import number

#: The fields of an experiment that can be raised while it runs, and after it has finished.
EXTENDABLE: Final = ("num_samples", "max_t", "time_budget", "resource_budget", "stop_at")
#: Those that end it early.
BUDGETS: Final = ("time_budget", "resource_budget", "stop_at")


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds, units of resource, and what one result must reach; None and empty: no such limit."""

    seconds: float | None = None
    resource: int | None = None
    stop_at: tuple[Bound, ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any], goal: Goal | Goals) -> Self:
        """Those of a specification, given by its fields as JSON; earlier versions had none."""
        modes = {one.metric: one.mode for one in goal.objectives}
        stop_at = tuple(
            Bound(metric, "min" if modes[metric] == "max" else "max", value)
            for metric, value in (fields.get("stop_at") or {}).items()
        )
        return cls(fields.get("time_budget"), fields.get("resource_budget"), stop_at)

    def __bool__(self) -> bool:
        return self.seconds is not None or self.resource is not None or bool(self.stop_at)

    @property
    def fields(self) -> dict[str, Any]:
        """As the fields of a specification."""
        stop_at = {bound.metric: bound.bound for bound in self.stop_at} or None
        return {
            "time_budget": self.seconds,
            "resource_budget": self.resource,
            "stop_at": stop_at,
        }

    def extended(self, changed: Mapping[str, Any], goal: Goal | Goals) -> Self:
        """These with new values. Raises SpecificationError for one that is less than before, or of
        a limit that there was not."""
        present = self.fields
        modes = {one.metric: one.mode for one in goal.objectives}
        for name in BUDGETS:
            if name in changed and raised(name, present[name], changed[name], modes) < 0:
                raise SpecificationError(
                    f"{name}={changed[name]}: can only be raised, and is {present[name]} now"
                )
        return type(self).of({**present, **changed}, goal)

    def reached(self, metrics: Mapping[str, Any], goal: Goal | Goals) -> bool:
        """Whether a result is as good as `stop_at` asks for, and meets the constraints."""
        return (
            bool(self.stop_at)
            and goal.violation(metrics) == 0.0
            and all(
                math.isfinite(number(metrics.get(bound.metric))) and bound.violation(metrics) == 0.0
                for bound in self.stop_at
            )
        )


def raised(name: str, present: Any, wanted: Any, modes: Mapping[str, str]) -> int:
    """How a new value of an extendable field compares with the present one: above 0 if it is more
    (of `stop_at`: harder to reach), 0 if it is the same, below if it is less or if there is nothing
    to raise. `extend.lua` says the same."""
    if name != "stop_at":
        return -1 if present is None else int(wanted > present) - int(wanted < present)
    if not present or present.keys() != wanted.keys():
        return -1
    signs = [
        int(wanted[metric] > value if modes[metric] == "max" else wanted[metric] < value)
        - int(wanted[metric] < value if modes[metric] == "max" else wanted[metric] > value)
        for metric, value in present.items()
    ]
    return min(signs) if min(signs) < 0 else max(signs)


def modes_of(specification: Mapping[str, Any]) -> dict[str, str]:
    """Metric to mode, of a specification's fields as JSON."""
    metric, mode = specification.get("metric", ""), specification.get("mode", "min")
    if isinstance(metric, str):
        return {metric: mode}
    modes = [mode] * len(metric) if isinstance(mode, str) else mode
    return dict(zip(metric, modes, strict=True))
