"""Which configurations of a small discrete space were started already.

Rules

* In a space of at most SMALL configurations and without a grid, each has a number. One that was
  started is not suggested again until all of them were; then all are new again, and so on.
* What was started is a fold of the journal; `Soon` adds suggestions that are not journalled yet.
* Finding the next new configuration costs the same however many were started: each started one
  points to the next that may be new, and paths are shortened as they are walked (union-find).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from asha_queue.search.combinations import Combinations
from asha_queue.search.domains import GridSearch
from asha_queue.search.space import Space


class Points:
    """The numbered configurations of a space in which all domains are discrete."""

    def __init__(self, space: Space, combinations: Combinations) -> None:
        self._space = space
        self._combinations = combinations
        self.size = combinations.size

    @classmethod
    def of(cls, space: Space) -> "Points | None":
        """None for a space with a grid, with a continuous domain, of more than SMALL points, or
        in which a configuration may have two numbers, as options of a choice overlap."""
        grid = any(isinstance(one.domain, GridSearch) for one in space.hyperparameters)
        if grid or space.combinations is None or space.ambiguous:
            return None
        return cls(space, space.combinations)

    def number(self, config: Mapping[str, Any]) -> int | None:
        """The number of a configuration; None if the space has no such one."""
        return self._combinations.number(self._space.values(config))

    def config(self, number: int) -> dict[str, Any]:
        return self._space.filled(self._combinations.values(number))


class Started:
    """A set of the numbers below `size`; as soon as it is full it is empty again."""

    def __init__(self, size: int, numbers: Iterable[int] = ()) -> None:
        self.size = size
        #: From each number in the set to a later one, round and round, with none outside between.
        self._next = {number: (number + 1) % size for number in numbers}

    def __contains__(self, number: int) -> bool:
        return number in self._next

    def __len__(self) -> int:
        return len(self._next)

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._next))

    def add(self, number: int) -> None:
        self._next.setdefault(number, (number + 1) % self.size)
        if len(self._next) == self.size:
            self._next.clear()

    def outside(self, number: int) -> int:
        """The first from `number` on, round and round, that is not in the set."""
        walked = []
        while number in self._next:
            walked.append(number)
            number = self._next[number]
        for passed in walked:
            self._next[passed] = number
        return number


class Soon:
    """What `started` will be once the suggestions added here are journalled; leaves it alone."""

    def __init__(self, started: Started) -> None:
        self._started = started
        self._added: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._added or number in self._started

    def add(self, number: int) -> None:
        if number not in self:
            self._added.add(number)
        if len(self._added) + len(self._started) == self._started.size:
            self._started, self._added = Started(self._started.size), set()

    def outside(self, number: int) -> int:
        """The first from `number` on, round and round, that is new."""
        while (number := self._started.outside(number)) in self._added:
            number = (number + 1) % self._started.size
        return number
