"""A learning curve in bounded memory: its first point, its last, and evenly chosen ones between."""

from collections.abc import Mapping
from typing import Any


class Curve:
    """Points of (step, metrics) in the order of their steps; at most `limit` are given out.

    While it grows it keeps every n-th point, and doubles n whenever it holds twice the limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._every = 1
        self._count = 0
        self._kept: list[list[Any]] = []
        self._last: list[Any] | None = None

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Adds a point; for the step of the last one it takes that one's place."""
        if self._last is not None and self._last[0] == step:
            self._last[1] = dict(metrics)  # the same list is in `_kept` if it was kept
            return
        self._last = [step, dict(metrics)]
        if self._count % self._every == 0:
            self._kept.append(self._last)
            if len(self._kept) >= 2 * self._limit:
                self._kept = self._kept[::2]
                self._every *= 2
        self._count += 1

    def points(self) -> list[list[Any]]:
        """The curve as [[step, metrics], …], at most `limit` points, the first and last always."""
        points = list(self._kept)
        if self._last is not None and points[-1] is not self._last:
            points.append(self._last)
        if len(points) <= self._limit:
            return points
        stride = (len(points) - 1) / (self._limit - 1)
        return [points[round(i * stride)] for i in range(self._limit)]
