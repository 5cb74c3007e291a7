"""What a sampler is, and the simplest one.

Rules

* What a sampler suggests for a trial is a function of the specification, its seed, the trial's
  number and the history folded so far, and of nothing else: no clock, no global randomness, nothing
  remembered of what it suggested before. A new coordinator suggests what the old one would have.
* Asked for several trials at once it brings what it brings when it is asked for one after the
  other, as long as the history is the same.
* A suggestion takes effect when it comes back as a `scheduled` entry. One that was never journalled
  was never made, and is asked for again.
* A point of a grid is given by the trial's number, whatever the sampler.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from asha_queue.samplers.history import History
from asha_queue.specification import Specification


class Sampler(ABC):
    """Suggests configurations."""

    #: Whether it looks at the history; for one that does not, none is folded.
    learns: ClassVar[bool] = False

    def __init__(self, specification: Specification) -> None:
        self._specification = specification

    @staticmethod
    def missing() -> str:
        """What has to be installed first, as an error message; empty if nothing has."""
        return ""

    @staticmethod  # noqa: B027 – most need nothing
    def load() -> None:
        """Imports what it needs, which may take seconds; only if nothing is missing."""

    @abstractmethod
    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        """Whole configurations of the trials `first` … `first + n - 1`."""


class Random(Sampler):
    """Draws each trial's configuration from the seed and the trial's number alone."""

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        space, seed = self._specification.parameters, self._specification.drawn_seed
        return [space.draw(seed, trial) for trial in range(first, first + n)]
