"""What trials are compared by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asha_queue.search.rung import Rung, number


@dataclass(frozen=True, slots=True)
class Goal:
    """A metric, and whether a smaller ("min") or a larger ("max") value of it is better."""

    metric: str
    mode: str

    def value(self, metrics: Mapping[str, Any]) -> float:
        """What a result is ranked by; NaN, which ranks last, if it has no such number."""
        return number(metrics.get(self.metric))

    def rung(self, eta: int) -> Rung:
        """An empty rung for such values."""
        return Rung(eta, self.mode)
