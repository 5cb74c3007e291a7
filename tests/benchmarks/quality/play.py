"""A method played on a table in virtual time.

Rules

* A worker that is free asks the method for a segment; there may be none until a result arrives.
  A new trial takes a row of the table that no trial has had, by the sampler's choice.
* A segment takes the time that its steps have in the table, 1 + |z| times as long with
  z ~ N(0, straggler). Its value, seen by the method when it ends, is the table's at its target.
* Drops come at one rate all the time: `drop` is the chance of one in the time of a full training.
  A dropped segment is trained again at once, from where it began, by the same worker; or it is
  lost: a final failure of its trial.
* With `scratch` nothing is ever saved: each segment begins with the first step.
* What has been seen of the training at a time is every step that has ended by then, in segments
  that go on, or are dropped later, too.
* Nothing happens after the horizon.

The clock is the simulator's (`asha_queue.simulation`), without its journal, and for methods that
the project does not have too: a test holds that both play the same segments in the same order.
"""

import heapq
import math
import time
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from tests.benchmarks.quality.tables import Floats, Task


@dataclass(frozen=True, slots=True)
class Segment:
    """Training of a trial up to `target`. Trials are numbered from 0 in the order of start."""

    trial: int
    rung: int
    target: int


class Method(Protocol):
    """Decides what is trained. A number ranks by its size, NaN last."""

    def decide(self) -> Segment | None:
        """What a free worker trains next; it is in training from then on."""

    def complete(self, segment: Segment, value: float) -> None: ...

    def fail(self, segment: Segment) -> None:
        """The segment was lost for good, and with it its trial."""


@runtime_checkable
class Watcher(Protocol):
    """A method that looks at learning curves, too."""

    def watch(self, segment: Segment, values: Floats) -> None:
        """The value at each step of a segment, the last ones up to its target; told before it is
        complete."""


class Sampler(Protocol):
    """Chooses the rows of new trials, none twice."""

    def draw(self) -> int: ...

    def observe(self, row: int, step: int, value: float) -> None: ...


@dataclass(frozen=True, slots=True)
class World:
    """What runs are played in. Times are the table's; the horizon is in full trainings."""

    workers: int = 4
    horizon: float = 10.0
    straggler: float = 0.0
    #: Chance in the time of a full training.
    drop: float = 0.0
    lost: bool = False
    scratch: bool = False
    #: Real seconds of a full training, by which the time of decisions is charged; None: it is not.
    training: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What was seen. `times` and `values` are of each new best value, in order."""

    task: Task
    seed: int
    horizon: float
    times: Floats
    values: Floats
    #: When trials reached the last step.
    finished: tuple[float, ...]
    started: int
    #: Of the time of all workers until the horizon.
    busy: float
    #: Real seconds that a decision took, in the mean.
    decision: float


def play(task: Task, seed: int, method: Method, sampler: Sampler, world: World) -> Run:
    """Plays a run to its horizon; equal arguments play equal runs, but for charged decisions."""
    return _Play(task, seed, method, sampler, world).run()


@dataclass(slots=True)
class _Training:
    segment: Segment
    row: int
    start: int
    #: Seconds of the attempt without disturbance.
    length: float
    lost: bool = False


class _Play:
    def __init__(
        self, task: Task, seed: int, method: Method, sampler: Sampler, world: World
    ) -> None:
        self._task, self._seed, self._world = task, seed, world
        self._method, self._sampler = method, sampler
        self._rng = np.random.default_rng([*task.seeds(seed), 1])
        self._horizon = world.horizon * task.full
        self._rate = -math.log1p(-world.drop) / task.full
        self._now = 0.0
        self._idle = world.workers
        self._agenda: list[tuple[float, int, _Training]] = []
        self._attempts = 0
        self._rows: list[int] = []
        self._reached: list[int] = []
        self._seen: list[tuple[Floats, Floats]] = []
        self._finished: list[float] = []
        self._busy = 0.0
        self._decisions, self._decided = 0, 0.0

    def run(self) -> Run:
        self._fill_slots()
        while self._agenda and self._agenda[0][0] <= self._horizon:
            self._now, _, training = heapq.heappop(self._agenda)
            segment = training.segment
            if not training.lost:
                self._complete(training)
            elif self._world.lost:
                self._idle += 1
                self._method.fail(segment)
            else:
                self._begin(training, self._now)
                continue
            self._fill_slots()
        times, values = incumbents(self._seen, self._horizon)
        return Run(
            task=self._task,
            seed=self._seed,
            horizon=self._horizon,
            times=times,
            values=values,
            finished=tuple(self._finished),
            started=len(self._rows),
            busy=self._busy / (self._horizon * self._world.workers),
            decision=self._decided / max(self._decisions, 1),
        )

    def _fill_slots(self) -> None:
        while self._idle:
            began = time.perf_counter()
            segment = self._method.decide()
            if segment is not None and segment.trial == len(self._rows):
                self._rows.append(self._sampler.draw())
                self._reached.append(0)
            took = time.perf_counter() - began
            if segment is None:
                return
            self._decisions += 1
            self._decided += took
            start = 0 if self._world.scratch else self._reached[segment.trial]
            row = self._rows[segment.trial]
            until = self._task.until(row)
            length = float(until[segment.target] - until[start])
            training = self._world.training
            charged = took / training * self._task.full if training else 0.0
            self._idle -= 1
            self._begin(_Training(segment, row, start, length), self._now + charged)

    def _begin(self, training: _Training, now: float) -> None:
        """Plans an attempt's end, and notes what is seen of it when."""
        straggler = self._world.straggler
        factor = 1 + abs(self._rng.normal(0.0, straggler)) if straggler else 1.0
        duration = training.length * factor
        training.lost = False
        if self._rate:
            survived = self._rng.exponential() / self._rate
            if survived < duration:
                training.lost, duration = True, survived
        self._attempts += 1
        heapq.heappush(self._agenda, (now + duration, self._attempts, training))
        self._busy += min(now + duration, self._horizon) - now
        start, target = training.start, training.segment.target
        until = self._task.until(training.row)
        times = now + factor * (until[start + 1 : target + 1] - until[start])
        values = self._task.metric[training.row, start:target]
        if training.lost:
            seen = int(np.searchsorted(times, now + duration, side="right"))
            times, values = times[:seen], values[:seen]
        self._seen.append((times, values))

    def _complete(self, training: _Training) -> None:
        segment, row = training.segment, training.row
        value = float(self._task.metric[row, segment.target - 1])
        self._idle += 1
        start, self._reached[segment.trial] = self._reached[segment.trial], segment.target
        if segment.target == self._task.steps:
            self._finished.append(self._now)
        self._sampler.observe(row, segment.target, value)
        if isinstance(self._method, Watcher):
            self._method.watch(segment, self._task.metric[row, start : segment.target])
        self._method.complete(segment, value)


def incumbents(seen: list[tuple[Floats, Floats]], horizon: float) -> tuple[Floats, Floats]:
    """The times at which a better value was seen than all before, and these values."""
    times = np.concatenate([times for times, _ in seen] or [np.empty(0)])
    values = np.concatenate([values for _, values in seen] or [np.empty(0)])
    kept = (times <= horizon) & ~np.isnan(values)
    times, values = times[kept], values[kept]
    order = np.lexsort((values, times))
    times, values = times[order], np.minimum.accumulate(values[order])
    better = np.ones(len(values), dtype=bool)
    better[1:] = values[1:] < values[:-1]
    return times[better], values[better]
