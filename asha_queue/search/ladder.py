"""The levels at which trials are compared."""

from dataclasses import dataclass, field, replace
from typing import Self

from asha_queue.errors import SpecificationError


@dataclass(frozen=True)
class Ladder:
    """Levels `grace_period * reduction_factor**k` while below `max_t`, then `max_t` itself.

    All three are whole numbers of the user's unit of resource, and no logarithm is taken, so that
    1 to 243 with a factor of 3 includes 243 exactly once. A bracket `s` begins at level `s`.

    `levels` are given only for a ladder that was extended, whose history they are: 1 to 10 with a
    factor of 2, extended to 30, is 1, 2, 4, 8, 10, 20, 30.
    """

    grace_period: int
    max_t: int
    reduction_factor: int
    levels: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if self.grace_period < 1 or self.max_t < self.grace_period or self.reduction_factor < 2:
            raise SpecificationError(
                f"{self}: must have 1 <= grace_period <= max_t and reduction_factor >= 2"
            )
        if not self.levels:
            levels = self._climb(self.grace_period, self.max_t)
            object.__setattr__(self, "levels", levels)

    def extended(self, max_t: int) -> Self:
        """The ladder with a higher top. Every level stays, the old top too; the new ones go on from
        there. Raises SpecificationError for a lower top."""
        if max_t < self.max_t:
            raise SpecificationError(f"max_t={max_t}: must be at least {self.max_t}, as it is now")
        if max_t == self.max_t:
            return self
        above = self._climb(self.max_t * self.reduction_factor, max_t)
        return self.with_levels((*self.levels, *above))

    def with_levels(self, levels: tuple[int, ...]) -> Self:
        """This ladder as it was extended to these levels before."""
        return replace(self, max_t=levels[-1], levels=levels)

    def rungs(self, bracket: int = 0) -> int:
        """Number of rungs of a bracket."""
        return len(self.levels) - bracket

    def target(self, bracket: int, rung: int) -> int:
        """The resource at which a segment of this rung ends."""
        return self.levels[bracket + rung]

    def _climb(self, level: int, top: int) -> tuple[int, ...]:
        """The levels from `level` on that are below `top`, and `top`."""
        levels = []
        while level < top:
            levels.append(level)
            level *= self.reduction_factor
        return (*levels, top)
