"""One play of an experiment: the search as it will run, on the virtual clock, with values made up.

Rules

* What decides is the real search, what keeps checkpoints the real retention, and budgets end it as
  they do in a run. Nothing is trained.
* What is made up are the metrics, as nobody knows them before. Each trial has a quality, normally
  distributed and independent of when it is drawn; its value at a level is that plus noise of half
  its spread at the lowest level, and half as much at each next one. So early values rank trials
  well, but not without error, and constraints are met. A sampler that learns brings better trials
  later, of which a few more are promoted; values that rank nothing let a search that hedges promote
  nearly all.
* A segment takes `startup` seconds and `per_unit` for each step; every trial the same. A program
  that saves no checkpoint trains each segment from step 0.
* Retention looks when another fiftieth of the trials has a result, and a TICK has passed; files
  go REMOVE_AFTER later. Where the time of a step is not known, there is no such delay. The most
  that it finds is the peak.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from asha_queue.search.holdings import Holdings
from asha_queue.settings import REMOVE_AFTER, TICK
from asha_queue.simulation import Simulation
from asha_queue.specification import Specification

#: Standard deviation of the noise at the lowest level, in that of the trials' qualities …
NOISE: Final = 0.5
#: … and what it is multiplied by from each level to the next.
QUIETER: Final = 0.5
#: Looks of retention in a play, at most.
LOOKS: Final = 50


@dataclass(frozen=True, slots=True)
class Pace:
    """How long segments take, in seconds, and whether the next one goes on where one has ended. Not
    `known`: a second is a step, and nothing else takes time."""

    per_unit: float = 1.0
    startup: float = 0.0
    saves: bool = True
    known: bool = True

    def steps(self, start: int, target: int) -> int:
        """Steps that a segment trains."""
        return target - start if self.saves else target

    def seconds(self, start: int, target: int) -> float:
        """Seconds that it takes."""
        return self.startup + self.per_unit * self.steps(start, target)


@dataclass(slots=True)
class Played:
    """What a play took."""

    #: Segments, and steps, by (bracket, rung of the bracket).
    segments: dict[tuple[int, int], int] = field(default_factory=dict)
    steps: dict[tuple[int, int], int] = field(default_factory=dict)
    #: From the beginning to the end, and of all workers while they train.
    seconds: float = 0.0
    busy: float = 0.0
    #: Checkpoints that there were at a time, at most.
    checkpoints: int = 0
    #: Trials that were started.
    started: int = 0
    #: Why it ended.
    reason: str = ""


def play(specification: Specification, pace: Pace, workers: int, seed: int) -> Played:
    """Plays the experiment from its beginning to its end."""
    played = Played()
    values = _Values(specification, seed)
    simulation = Simulation(
        specification.model_copy(update={"seed": seed}),
        lambda first, n: [{"trial": trial} for trial in range(first, first + n)],
        values.at,
        lambda _, start, target: pace.seconds(start, target),
        workers,
    )
    shelf = _Shelf(specification, simulation, pace.known) if pace.saves else None
    brackets: dict[int, int] = {}
    begun: dict[int, tuple[int, float]] = {}

    def follow(entry: dict[str, Any]) -> None:
        kind = entry["type"]
        if kind == "scheduled" and entry["attempt"] == 1:
            brackets[entry["trial"]] = entry["bracket"]
            place = entry["bracket"], entry["rung"]
            played.segments[place] = played.segments.get(place, 0) + 1
            played.started += entry["rung"] == 0
        elif kind == "started":
            begun[entry["trial"]] = entry["start"], entry["at"]
        elif kind in ("completed", "suspended"):
            place = brackets[entry["trial"]], entry["rung"]
            start, at = begun[entry["trial"]]
            spent = pace.steps(start, entry["reached"])
            played.steps[place] = played.steps.get(place, 0) + spent
            played.busy += entry["at"] - at
        elif kind == "finished":
            played.reason, played.seconds = entry["reason"], entry["at"]
        if shelf:
            shelf.apply(entry)

    simulation.followers.append(follow)
    simulation.run()
    played.checkpoints = shelf.most if shelf else 0
    return played


class _Values:
    """Metrics by trial and level."""

    def __init__(self, specification: Specification, seed: int) -> None:
        goal, levels = specification.goal, specification.ladder.levels
        rng = np.random.default_rng(seed)
        trials, names = specification.num_trials, [one.metric for one in goal.objectives]
        quality = rng.standard_normal((trials, 1, len(names)))
        quieter = (NOISE * QUIETER ** np.arange(len(levels)))[None, :, None]
        noise = quieter * rng.standard_normal((trials, len(levels), len(names)))
        self._values = (quality + noise).tolist()
        self._names = names
        self._levels = levels
        self._met = {b.metric: b.bound for b in goal.constraints if b.metric not in names}

    def at(self, config: Mapping[str, Any], step: int) -> dict[str, float]:
        level = min(bisect_left(self._levels, step), len(self._levels) - 1)
        found = self._values[config["trial"]][level]
        return dict(zip(self._names, found, strict=True)) | self._met


class _Shelf:
    """The checkpoints that there are, and how many there were at most."""

    def __init__(self, specification: Specification, simulation: Simulation, timed: bool) -> None:
        kept = specification.keep_checkpoints
        most = kept if isinstance(kept, int) else None
        self._all = kept == "all"
        self._holdings = Holdings(specification.plan, most)
        self._simulation = simulation
        self._every = max(1, specification.num_trials // LOOKS)
        self._tick, self._delay = (TICK, REMOVE_AFTER) if timed else (0.0, 0.0)
        self._results = 0
        self._next = 0.0
        self._held: dict[int, list[str]] = {}
        #: Checkpoints off the record, with the time at which their files go.
        self._going: deque[tuple[float, int]] = deque()
        self.most = 0

    def apply(self, entry: Mapping[str, Any]) -> None:
        if entry["type"] in ("completed", "suspended"):
            path = f"{entry['trial']}/{entry['rung']}"
            self._held.setdefault(entry["trial"], []).append(path)
            self._holdings.apply({**entry, "checkpoint": {"path": path, "bytes": 0}})
            self._results += 1
            if self._results >= self._every and entry["at"] >= self._next:
                self._look(entry["at"])
        elif entry["type"] == "scheduled":
            self._holdings.apply(entry)
        elif entry["type"] == "finished":
            self._look(entry["at"])

    def _look(self, now: float) -> None:
        self._results, self._next = 0, now + self._tick
        while self._going and self._going[0][0] <= now:
            self._going.popleft()
        going = sum(count for _, count in self._going)
        self.most = max(self.most, self._holdings.count + going)
        if self._all:
            return
        surplus = self._holdings.surplus(self._simulation.search)
        self._holdings.asked(surplus)
        for one in surplus:
            held = self._held[one.trial]
            gone = held[: len(held) - one.newest]
            self._held[one.trial] = held[len(gone) :]
            if gone:
                evicted = {"type": "evicted", "trial": one.trial, "checkpoints": gone}
                self._holdings.apply(evicted)
                self._going.append((now + self._delay, len(gone)))
