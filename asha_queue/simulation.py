"""Whole experiments on a virtual clock: the same search, nothing to train and nothing to wait for.

Each worker that becomes free takes one decision of the search; what it trains takes the time that
`seconds` says. Everything that happens is journalled as in a real run, and the search is a fold
of that journal; whoever else follows it (the result, a plan) hears of each entry after the search.
A dropped segment loses its work and is trained again at once, from where it began, by the worker
that dropped it. When a budget ends the experiment, what is in training is handed back at that
moment, with the steps that it has come to.
"""

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asha_queue.errors import SpecificationError
from asha_queue.result import Result
from asha_queue.samplers import Suggestions
from asha_queue.search.asha import Asha
from asha_queue.search.rung import written
from asha_queue.settings import FORMAT
from asha_queue.specification import Specification

#: From a configuration and a resource to the metrics that training up to there brings.
Evaluate = Callable[[dict[str, Any], int], Mapping[str, float]]
#: From a configuration, a start and a target to the seconds that training between them takes.
Seconds = Callable[[dict[str, Any], int, int], float]
#: From the number of the first new trial and how many there are to their configurations.
Suggest = Callable[[int, int], list[dict[str, Any]]]
#: Hears of each entry of the journal.
Follow = Callable[[dict[str, Any]], object]


def simulate(
    experiment: Specification,
    evaluate: Evaluate,
    seconds: Seconds,
    workers: int = 25,
    straggler: float = 0.0,
    drop: float = 0.0,
    until: float | None = None,
) -> Result:
    """Runs the experiment on a virtual clock; the result's `journal` holds all its entries.

    Args:
        experiment: what to run; a random seed is drawn if it has none.
        evaluate: `(config, t) -> metrics` at resource t.
        seconds: `(config, start, target) -> float`, the time of a segment without disturbance.
        workers: number of equal workers.
        straggler: each segment takes 1 + |z| times as long, z ~ N(0, straggler).
        drop: probability per second that a running segment is lost, from 0 to below 1.
        until: virtual second after which nothing happens any more; None: until the end.

    Raises:
        SpecificationError: an argument is out of its range.
    """
    if workers < 1 or straggler < 0 or not 0 <= drop < 1:
        raise SpecificationError(
            f"simulate(workers={workers}, straggler={straggler}, drop={drop}): must have "
            f"workers >= 1, straggler >= 0 and 0 <= drop < 1"
        )
    specification = experiment.seeded()
    suggestions, result = Suggestions(specification), Result(specification)
    follow = (suggestions.apply, result.apply, result.journal.append)
    Simulation(
        specification, suggestions.suggest, evaluate, seconds, workers, follow, straggler, drop
    ).run(math.inf if until is None else until)
    return result


@dataclass(slots=True)
class _Segment:
    """One attempt in training."""

    trial: int
    bracket: int
    rung: int
    target: int
    config: dict[str, Any]
    start: int
    worker: str
    attempt: int = 1
    token: int = 0
    began: float = 0.0
    reached: int = 0
    lost: bool = False
    #: What it goes on from.
    saved: dict[str, Any] | None = None


class Simulation:
    """One experiment on the virtual clock. Arguments are those of `simulate`, and where new trials
    get their configurations from, and who follows the journal."""

    def __init__(
        self,
        specification: Specification,
        suggest: Suggest,
        evaluate: Evaluate,
        seconds: Seconds,
        workers: int,
        follow: Sequence[Follow] = (),
        straggler: float = 0.0,
        drop: float = 0.0,
    ) -> None:
        self._specification = specification
        self._suggest = suggest
        self._ladder = specification.ladder
        self._evaluate = evaluate
        self._seconds = seconds
        self._straggler = straggler
        self._drop = drop
        self._rng = np.random.default_rng(specification.drawn_seed)
        #: They hear of each entry, in this order.
        self.followers = list(follow)
        #: What decides.
        self.search = Asha(specification.plan)
        self._configs: list[dict[str, Any]] = []
        #: The checkpoint of each trial that rests.
        self._saved: dict[int, dict[str, Any]] = {}
        self._written = 0
        self._now = 0.0
        self._idle = [f"cpu{worker}@simulated" for worker in reversed(range(workers))]
        #: Ends of what is in training: (time, token, segment), the earliest on top.
        self._agenda: list[tuple[float, int, _Segment]] = []
        self._tokens = 0

    def run(self, until: float = math.inf) -> None:
        """Plays it to its end, or until nothing may happen any more."""
        experiment = self._specification.to_json()
        self._write({"type": "submitted", "uid": "simulated", "experiment": experiment})
        self._fill_slots()
        over_at = self._specification.time_budget or math.inf
        while self._agenda and not self.search.budget.over():
            if self._agenda[0][0] > min(until, over_at):
                self._now = min(until, over_at)
                break
            self._now, _, segment = heapq.heappop(self._agenda)
            if segment.lost:
                self._lose(segment)
            else:
                self._complete(segment)
                self._fill_slots()
        if reason := self.search.ending(self._now):
            for end, _, segment in sorted(self._agenda, key=lambda ends: ends[1]):
                self._suspend(segment, end)
            self._write({"type": "finished", "by": "simulation", "reason": reason})

    def _fill_slots(self) -> None:
        """Starts what the search decides, as far as there are idle workers."""
        decisions = self.search.decide(len(self._idle))
        started = sum(decision.rung == 0 for decision in decisions)
        self._configs += self._suggest(self.search.started, started)
        for decision in decisions:
            trial, rung = decision.trial, decision.rung
            new = rung == 0
            segment = _Segment(
                trial=trial,
                bracket=decision.bracket,
                rung=rung,
                target=decision.target,
                config=self._configs[trial],
                start=0 if new else self._ladder.target(decision.bracket, rung - 1),
                worker=self._idle.pop(),
                saved=self._saved.pop(trial, None),
            )
            self._begin(segment)

    def _begin(self, segment: _Segment) -> None:
        """Journals that the attempt is scheduled and started, and plans its end."""
        self._schedule(segment)
        self._tokens += 1
        segment.token = self._tokens
        segment.began = self._now
        self._write(self._about(segment, "started", start=segment.start))
        duration = self._seconds(segment.config, segment.start, segment.target)
        if self._straggler:
            duration *= 1 + abs(self._rng.normal(0.0, self._straggler))
        segment.reached, segment.lost = segment.target, False
        if self._drop:
            # The time until the first loss, when each unit of time brings one with chance `drop`.
            survived = self._rng.exponential() / -math.log1p(-self._drop)
            if survived < duration:
                segment.lost = True
                segment.reached = segment.start + int(
                    (segment.target - segment.start) * survived / duration
                )
                duration = survived
        heapq.heappush(self._agenda, (self._now + duration, segment.token, segment))

    def _schedule(self, segment: _Segment) -> None:
        self._write(
            {
                "type": "scheduled",
                "trial": segment.trial,
                "bracket": segment.bracket,
                "rung": segment.rung,
                "target": segment.target,
                "attempt": segment.attempt,
                "config": segment.config,
            }
        )

    def _complete(self, segment: _Segment) -> None:
        metrics = self._metrics(segment.config, segment.target)
        saved = self._saved[segment.trial] = _checkpoint(segment.trial, segment.reached, metrics)
        self._idle.append(segment.worker)
        self._write(
            self._about(
                segment,
                "completed",
                metrics=metrics,
                reached=segment.reached,
                checkpoint=saved,
                seconds=self._now - segment.began,
                curve=[],
            )
        )

    def _metrics(self, config: dict[str, Any], resource: int) -> dict[str, Any]:
        metrics = self._evaluate(config, resource)
        return {name: written(value) for name, value in metrics.items()}

    def _suspend(self, segment: _Segment, end: float) -> None:
        """Hands back what would have ended then; the rest is scheduled, and never begun."""
        part = (self._now - segment.began) / (end - segment.began) if end > segment.began else 0.0
        reached = segment.start + int((segment.reached - segment.start) * part)
        metrics, saved = {}, segment.saved
        if reached > segment.start:
            metrics = self._metrics(segment.config, reached)
            saved = _checkpoint(segment.trial, reached, metrics)
        self._write(
            self._about(
                segment,
                "suspended",
                metrics=metrics,
                reached=reached,
                checkpoint=saved,
                seconds=self._now - segment.began,
                curve=[],
            )
        )
        segment.attempt += 1
        self._schedule(segment)

    def _lose(self, segment: _Segment) -> None:
        reached, saved = segment.reached, segment.saved
        self._write(
            self._about(segment, "lost", reason="dropped", reached=reached, checkpoint=saved)
        )
        segment.attempt += 1
        self._begin(segment)

    def _about(self, segment: _Segment, kind: str, **fields: Any) -> dict[str, Any]:
        return {
            "type": kind,
            "trial": segment.trial,
            "rung": segment.rung,
            "attempt": segment.attempt,
            "token": segment.token,
            "worker": segment.worker,
            **fields,
        }

    def _write(self, fields: dict[str, Any]) -> None:
        """Appends an entry to the journal and folds it."""
        self._written += 1
        entry = {
            "v": FORMAT,
            "id": f"{int(self._now * 1000)}-{self._written}",
            "at": self._now,
            **fields,
        }
        self.search.apply(entry)
        for follow in self.followers:
            follow(entry)


def _checkpoint(trial: int, resource: int, metrics: dict[str, Any]) -> dict[str, Any]:
    """What a program would have saved there: budgets count from it."""
    path = f"{trial}/{resource}"
    return {"path": path, "resource": resource, "metrics": metrics, "bytes": 0, "digest": ""}
