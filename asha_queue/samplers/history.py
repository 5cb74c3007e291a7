"""What a sampler may learn from: every result of every rung, and what is in training.

A fold of the journal: it depends on the entries applied, in their order, and on nothing else. The
entries are those that the search has accepted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asha_queue.search.goal import Goal, Goals
from asha_queue.search.rung import Standing, number, written


@dataclass(frozen=True, slots=True)
class Observation:
    """A trial's result in a rung: the value of the leading metric at a resource, NaN if there is
    none. Where several metrics or constraints count, `standing` has all of it."""

    trial: int
    rung: int
    resource: int
    value: float
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A result of another experiment, and of no trial of this one; its configuration fits this
    one's space. NaN if there is no number."""

    config: dict[str, Any]
    resource: int
    value: float


class History:
    """The results and the open segments of an experiment.

    Args:
        goal: what is learnt from of an entry's `metrics`.
        prior: what was known at submission, as the specification has it.
    """

    def __init__(self, goal: Goal | Goals, prior: Sequence[Mapping[str, Any]] = ()) -> None:
        self._goal = goal
        #: What was known before the first trial, the furthest trained and best first.
        self.prior = [Known(one["config"], one["resource"], number(one["value"])) for one in prior]
        #: The configuration of each trial, by its number.
        self.configs: list[dict[str, Any]] = []
        #: In the order in which they came, failures included.
        self.results: list[Observation] = []
        #: Trials with an open segment, and the resource it trains to.
        self.running: dict[int, int] = {}
        #: Counts what was folded here: equal ones are of the same state.
        self.revision = 0

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal."""
        self.revision += 1
        kind = entry["type"]
        if kind == "scheduled":
            if entry["rung"] == 0 and entry["attempt"] == 1:
                self.configs.append(entry["config"])
            self.running[entry["trial"]] = entry["target"]
        elif kind == "completed":
            self._observe(entry, entry["metrics"])
        elif kind == "failed" and entry["final"]:
            self._observe(entry, {})
        elif kind == "retried":
            self._withdraw(entry["trial"], entry["rung"])
        elif kind == "cancelled":
            self.running.clear()

    def expect(self, config: dict[str, Any]) -> None:
        """Takes a trial for started that is not yet."""
        self.running[len(self.configs)] = 0
        self.configs.append(config)

    def copy(self) -> "History":
        """As it is now, whatever is folded later."""
        copied = History(self._goal)
        copied.prior = self.prior
        copied.configs, copied.results = self.configs.copy(), self.results.copy()
        copied.running, copied.revision = self.running.copy(), self.revision
        return copied

    def snapshot(self) -> dict[str, Any]:
        """The state as JSON."""
        results = [[one.trial, one.rung, one.resource, *_held(one)] for one in self.results]
        running = [[trial, target] for trial, target in sorted(self.running.items())]
        return {"configs": self.configs, "results": results, "running": running}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        self.configs = list(snapshot["configs"])
        self.results = [
            _observation(trial, rung, resource, _read(*held))
            for trial, rung, resource, *held in snapshot["results"]
        ]
        self.running = dict(snapshot["running"])

    def _observe(self, entry: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
        trial = entry["trial"]
        resource = self.running.pop(trial)
        value = self._goal.value(metrics)
        self.results.append(_observation(trial, entry["rung"], resource, value))

    def _withdraw(self, trial: int, rung: int) -> None:
        """Takes back a failure, which is tried again: its segment is open."""
        for index in range(len(self.results) - 1, -1, -1):
            result = self.results[index]
            if (result.trial, result.rung) == (trial, rung):
                del self.results[index]
                self.running[trial] = result.resource
                return


def _observation(trial: int, rung: int, resource: int, value: float | Standing) -> Observation:
    """Of what a goal makes of a result."""
    if isinstance(value, Standing):
        return Observation(trial, rung, resource, value.values[0], value)
    return Observation(trial, rung, resource, value)


def _held(result: Observation) -> list[Any]:
    """What a snapshot holds of a result's value."""
    if result.standing is None:
        return [written(result.value)]
    return [written(result.standing.violation), [*map(written, result.standing.values)]]


def _read(first: Any, values: Sequence[Any] | None = None) -> float | Standing:
    """The value of which a snapshot holds this."""
    return number(first) if values is None else Standing(number(first), (*map(number, values),))
