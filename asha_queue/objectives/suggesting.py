"""The `suggest_*` methods of a trial in Optuna, the deprecated ones too."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, TypeVar

from asha_queue.objectives.calls import Call, Numbers, Options

T = TypeVar("T")


class Suggesting(ABC):
    """A trial that is asked for values."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"trial.{name} is not there in an experiment: an objective may suggest, report, ask "
            "should_prune, and set user attributes and constraints"
        )

    @abstractmethod
    def _suggest(self, call: Call) -> Any:
        """A value that the call allows."""

    def suggest_float(
        self, name: str, low: float, high: float, step: float | None = None, log: bool = False
    ) -> float:
        """A number from low to high, both included."""
        value: float = self._suggest(Numbers(name, float(low), float(high), step, log))
        return value

    def suggest_int(self, name: str, low: int, high: int, step: int = 1, log: bool = False) -> int:
        """A whole number from low to high, both included."""
        every = None if step == 1 else int(step)
        value: int = self._suggest(Numbers(name, int(low), int(high), every, log, whole=True))
        return value

    def suggest_categorical(self, name: str, choices: Sequence[T]) -> T:
        """One of the choices."""
        value: T = self._suggest(Options(name, choices))
        return value

    def suggest_uniform(self, name: str, low: float, high: float) -> float:
        """Deprecated in Optuna, as are the following two."""
        return self.suggest_float(name, low, high)

    def suggest_loguniform(self, name: str, low: float, high: float) -> float:
        return self.suggest_float(name, low, high, log=True)

    def suggest_discrete_uniform(self, name: str, low: float, high: float, q: float) -> float:
        return self.suggest_float(name, low, high, step=q)
