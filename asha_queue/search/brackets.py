"""Which bracket each trial belongs to, and which one a new trial gets.

Rules

* Bracket s is a ladder that begins at level s, with rungs of its own: its trials are compared among
  themselves only. Low brackets stop early what looks bad early; high ones trust early values less.
* Each bracket's planned share of the budget stays equal. Planned for a new trial of bracket s is
  what its rungs cost in the mean if each promotes 1 in eta: level s, and for each level above it
  the steps from the one below, divided by eta once more. A new trial goes to the bracket whose
  planned budget is the smallest with it; of equal ones to the lowest.
* So the next bracket depends on how many trials each has, and on nothing else: it is the same one
  by one, in blocks and after a restart.

Source: Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization",
arXiv 1603.06560; run asynchronously as in arXiv 1810.05934, section 3.3.
"""

from collections.abc import Iterable

from asha_queue.search.ladder import Ladder


def cost(ladder: Ladder, bracket: int) -> int:
    """The resource planned for a new trial of a bracket, in units that are equal for all brackets
    of the ladder: whole numbers, so that no rounding decides."""
    eta, levels = ladder.reduction_factor, ladder.levels[bracket:]
    total, below = 0, 0
    for rung, level in enumerate(levels):
        total += (level - below) * eta ** (len(ladder.levels) - rung)
        below = level
    return total


class Brackets:
    """A fold of the trials started: `number` brackets of a ladder."""

    def __init__(self, ladder: Ladder, number: int) -> None:
        self.number = number
        #: The bracket of each trial, by its number.
        self.of = bytearray()
        self._started = [0] * number
        self.climb(ladder)

    def __len__(self) -> int:
        return len(self.of)

    def climb(self, ladder: Ladder) -> None:
        """The ladder is this one now: it was extended."""
        self._costs = [cost(ladder, bracket) for bracket in range(self.number)]

    def next(self, n: int) -> list[int]:
        """The brackets of the next `n` trials."""
        if self.number == 1:
            return [0] * n
        started, costs = list(self._started), self._costs
        chosen = []
        for _ in range(n):
            bracket = min(range(self.number), key=lambda s: (started[s] + 1) * costs[s])
            started[bracket] += 1
            chosen.append(bracket)
        return chosen

    def start(self, bracket: int) -> None:
        """The next trial was started in this bracket."""
        self.of.append(bracket)
        self._started[bracket] += 1

    def snapshot(self) -> list[int]:
        """The bracket of each trial."""
        return list(self.of)

    def restore(self, brackets: Iterable[int]) -> None:
        """Fills empty brackets with what `snapshot` returned."""
        self.of = bytearray(brackets)
        self._started = [self.of.count(bracket) for bracket in range(self.number)]
        if sum(self._started) != len(self.of):
            raise ValueError(f"a trial is in none of {self.number} brackets")
