"""The numbered combinations of the values of discrete hyperparameters.

What is inactive has no value: of `choice(["none", {"depth": choice([1, 2])}])` there are three.
"""

import bisect
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from asha_queue.search.domain import text
from asha_queue.search.hyperparameters import Condition, Hyperparameter, Key

#: Combinations that are numbered, at most: their values are kept, and which were started.
SMALL = 100_000


class Combinations:
    """Numbers the combinations of values from 0 to `size` - 1.

    `listed` holds the values of each hyperparameter; the one given last varies fastest. Inside an
    option of a choice that is not listed, they count as if they were always active.
    """

    def __init__(self, listed: Sequence[tuple[Hyperparameter, Sequence[Any]]]) -> None:
        self._listed = {one.key: values for one, values in listed}
        self._numbers = {
            key: {text(value): number for number, value in enumerate(values)}
            for key, values in self._listed.items()
        }
        #: Those that share a condition, in the order given.
        self._under: dict[Condition | None, list[Hyperparameter]] = defaultdict(list)
        for one, _ in listed:
            condition = one.condition
            listed_too = condition is not None and condition.choice in self._listed
            self._under[condition if listed_too else None].append(one)
        #: How many there are of each hyperparameter with those inside its options, and before each
        #: option of a choice.
        self._sizes: dict[Key, int] = {}
        self._before: dict[Key, list[int]] = {}
        self.size = self._measure(None)

    def values(self, number: int) -> dict[Key, Any]:
        """The values of the hyperparameters that are active in a combination."""
        return self._values(number, None)

    def number(self, values: Mapping[Key, Any]) -> int | None:
        """The number of a combination; None if it is none of these."""
        return self._number(values, None)

    def _measure(self, condition: Condition | None) -> int:
        size = 1
        for one in self._under.get(condition, ()):
            count = len(self._listed[one.key])
            if one.labels is not None:
                before = [0]
                for option in range(count):
                    before.append(before[-1] + self._measure(Condition(one.key, option)))
                self._before[one.key], count = before[:-1], before[-1]
            self._sizes[one.key] = count
            size *= count
        return size

    def _values(self, number: int, condition: Condition | None) -> dict[Key, Any]:
        values: dict[Key, Any] = {}
        for one in reversed(self._under.get(condition, ())):
            number, index = divmod(number, self._sizes[one.key])
            if one.labels is None:
                values[one.key] = self._listed[one.key][index]
                continue
            before = self._before[one.key]
            option = bisect.bisect_right(before, index) - 1
            values[one.key] = option
            values |= self._values(index - before[option], Condition(one.key, option))
        return values

    def _number(self, values: Mapping[Key, Any], condition: Condition | None) -> int | None:
        result = 0
        for one in self._under.get(condition, ()):
            index = self._numbers[one.key].get(text(values[one.key])) if one.key in values else None
            if index is not None and one.labels is not None:
                inside = self._number(values, Condition(one.key, index))
                index = None if inside is None else self._before[one.key][index] + inside
            if index is None:
                return None
            result = result * self._sizes[one.key] + index
        return result
