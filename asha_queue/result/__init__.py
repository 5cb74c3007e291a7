"""What an experiment has brought so far, folded from its journal."""

from asha_queue.result.attempts import Attempt, Attempts
from asha_queue.result.curve import Curve
from asha_queue.result.result import Result
from asha_queue.result.trials import Best, Improvement, RungResult, RungSummary, TrialResult

__all__ = [
    "Attempt",
    "Attempts",
    "Best",
    "Curve",
    "Improvement",
    "Result",
    "RungResult",
    "RungSummary",
    "TrialResult",
]
