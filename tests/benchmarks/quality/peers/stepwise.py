"""A scheduler that is asked after each step whether a trial goes on, as a method."""

import math
from collections import deque
from typing import Protocol

from tests.benchmarks.quality.play import Segment
from tests.benchmarks.quality.tables import Task

#: What NaN is told as to who cannot rank it: it ranks last.
BEYOND = 1e9


class Scheduler(Protocol):
    """Of a peer. Trials are numbered in the order of their start."""

    def suggest(self, trial: int) -> int | None:
        """The trial that a free worker trains: this one, which is new, or one that was paused."""

    def report(self, trial: int, step: int, value: float) -> bool:
        """Takes a value, and says whether the trial goes on at once."""


class Stepwise:
    """The method by which a scheduler's trials are played, on as many rows as there are."""

    def __init__(self, scheduler: Scheduler, task: Task) -> None:
        self._scheduler = scheduler
        self._rows, self._steps = task.rows, task.steps
        self._reached: list[int] = []
        self._going: deque[int] = deque()

    def decide(self) -> Segment | None:
        if self._going:
            trial = self._going.popleft()
        else:
            new = len(self._reached)
            if new == self._rows:
                return None
            suggested = self._scheduler.suggest(new)
            if suggested is None:
                return None
            trial = suggested
            if trial == new:
                self._reached.append(0)
        return Segment(trial, 0, self._reached[trial] + 1)

    def complete(self, segment: Segment, value: float) -> None:
        self._reached[segment.trial] = segment.target
        goes_on = self._scheduler.report(segment.trial, segment.target, value)
        if goes_on and segment.target < self._steps:
            self._going.append(segment.trial)

    def fail(self, segment: Segment) -> None:
        self._scheduler.report(segment.trial, segment.target, math.nan)
