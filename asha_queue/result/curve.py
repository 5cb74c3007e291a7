"""A learning curve in little memory: a million points of two metrics take 24 MB.

Rules

* Points are kept in blocks of neighbours that have the same metrics: a column of numbers for the
  steps, and one for each metric. What is read from it is a point as it was reported.
* Steps only go up: what is appended at a step that is there already takes the place of that point
  and of all behind it (a program that saves no checkpoint trains its first steps again).
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from asha_queue.search.rung import number

#: A point: its step, and the metrics that were reported there.
Point = tuple[int, dict[str, float]]


class _Block:
    """Points that have the same metrics."""

    __slots__ = ("steps", "values")

    def __init__(self, steps: "array[int]", values: "dict[str, array[float]]") -> None:
        self.steps = steps
        self.values = values

    def point(self, index: int) -> Point:
        return self.steps[index], {name: column[index] for name, column in self.values.items()}

    def cut(self, length: int) -> None:
        del self.steps[length:]
        for column in self.values.values():
            del column[length:]


class Curve(Sequence[Point]):
    """The points (step, metrics) of one trial, by step; equal to a list of the same points."""

    __slots__ = ("_blocks",)

    def __init__(self) -> None:
        self._blocks: list[_Block] = []

    def __len__(self) -> int:
        return sum(len(block.steps) for block in self._blocks)

    def __iter__(self) -> Iterator[Point]:
        for block in self._blocks:
            for index in range(len(block.steps)):
                yield block.point(index)

    @overload
    def __getitem__(self, index: int) -> Point: ...

    @overload
    def __getitem__(self, index: slice) -> list[Point]: ...

    def __getitem__(self, index: int | slice) -> Point | list[Point]:
        return list(self)[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Curve | list | tuple):
            return list(self) == list(other)
        return NotImplemented

    __hash__ = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"Curve({list(self)!r})"

    def column(self, metric: str) -> tuple["array[int]", "array[float]"]:
        """Steps and values of one metric, of the points that have it."""
        steps, values = array("q"), array("d")
        for block in self._blocks:
            if metric in block.values:
                steps += block.steps
                values += block.values[metric]
        return steps, values

    def extend(self, points: Sequence[Sequence[Any]]) -> None:
        """Appends points [step, metrics] as a journal has them: by step, numbers that JSON cannot
        hold as texts."""
        if not points:
            return
        self._cut(points[0][0])
        metrics = [point[1] for point in points]
        names = metrics[0].keys()
        if all([one.keys() == names for one in metrics]):  # noqa: C419  # a generator is slower
            self._append(array("q", [step for step, _ in points]), metrics)
        else:
            for step, one in points:
                self._append(array("q", [step]), [one])

    def _append(self, steps: "array[int]", metrics: Sequence[Mapping[str, Any]]) -> None:
        """Appends points that have the same metrics."""
        columns = {name: _column([point[name] for point in metrics]) for name in metrics[0]}
        last = self._blocks[-1] if self._blocks else None
        if last is None or last.values.keys() != columns.keys():
            self._blocks.append(_Block(steps, columns))
            return
        last.steps += steps
        for name, column in columns.items():
            last.values[name] += column

    def _cut(self, step: int) -> None:
        """Drops the points from `step` on."""
        while self._blocks and self._blocks[-1].steps[-1] >= step:
            block = self._blocks[-1]
            block.cut(bisect_left(block.steps, step))
            if block.steps:
                return
            self._blocks.pop()


def _column(values: list[Any]) -> "array[float]":
    try:
        return array("d", values)
    except (TypeError, OverflowError):  # "NaN" and the like, and numbers of hundreds of digits
        return array("d", [number(value) for value in values])
