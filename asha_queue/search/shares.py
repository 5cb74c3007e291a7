"""Which bracket the next trial belongs to: `brackets.py` checked, without its code."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise


def due_bracket(levels: Sequence[int], eta: int, begun: Sequence[int]) -> int:
    """The bracket whose planned budget is the smallest with one trial more; `begun` are the trials
    of each bracket."""
    budgets = []
    for bracket, trials in enumerate(begun):
        first, *_ = own = levels[bracket:]
        planned = Fraction(first) + sum(
            Fraction(above - below, eta**rung)
            for rung, (below, above) in enumerate(pairwise(own), start=1)
        )
        budgets.append((planned * (trials + 1), bracket))
    return min(budgets)[1]
