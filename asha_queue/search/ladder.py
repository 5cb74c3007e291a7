"""The levels at which trials are compared."""

from dataclasses import dataclass, field

from asha_queue.errors import SpecificationError


@dataclass(frozen=True)
class Ladder:
    """Levels `grace_period * reduction_factor**k` while below `max_t`, then `max_t` itself.

    All three are whole numbers of the user's unit of resource, and no logarithm is taken, so that
    1 to 243 with a factor of 3 includes 243 exactly once. A bracket `s` begins at level `s`.
    """

    grace_period: int
    max_t: int
    reduction_factor: int
    levels: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.grace_period < 1 or self.max_t < self.grace_period or self.reduction_factor < 2:
            raise SpecificationError(
                f"{self}: must have 1 <= grace_period <= max_t and reduction_factor >= 2"
            )
        levels = []
        level = self.grace_period
        while level < self.max_t:
            levels.append(level)
            level *= self.reduction_factor
        object.__setattr__(self, "levels", (*levels, self.max_t))

    def rungs(self, bracket: int = 0) -> int:
        """Number of rungs of a bracket."""
        return len(self.levels) - bracket

    def target(self, bracket: int, rung: int) -> int:
        """The resource at which a segment of this rung ends."""
        return self.levels[bracket + rung]
