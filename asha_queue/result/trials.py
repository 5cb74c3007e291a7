"""Records of a result: a trial, what it brought in a rung, and what is best."""

from dataclasses import dataclass, field
from typing import Any

from asha_queue.result.attempts import Attempts
from asha_queue.result.curve import Curve


@dataclass(slots=True)
class RungResult:
    """What a trial brought in one rung; `value`, that of the first metric, is NaN when it diverged
    there. `rung` counts the levels of the ladder from 0, the same for all brackets. `at` is the
    journal's time, `spent` what the whole experiment had spent by then, `violation` how far it is
    from meeting the constraints."""

    rung: int
    level: int
    value: float
    metrics: dict[str, Any]
    reached: int
    checkpoint: dict[str, Any] | None
    seconds: float
    worker: str | None
    at: float = 0.0
    spent: int = 0
    violation: float = 0.0


@dataclass(slots=True)
class TrialResult:
    """One trial; the segment in training, if any, has `worker`, `start` and `target`.

    `rung`, which counts the levels of the ladder, is the last one with a result or in training,
    `resource` the largest reached, `metrics` those of the last result, `attempts` the number of
    times that a segment of it was scheduled.
    """

    number: int
    bracket: int = 0
    config: dict[str, Any] = field(default_factory=dict)
    state: str = "queued"
    rung: int | None = None
    resource: int = 0
    metrics: dict[str, Any] = field(default_factory=dict)
    results: list[RungResult] = field(default_factory=list)
    attempts: int = 0
    worker: str | None = None
    start: int | None = None
    target: int | None = None
    error: str | None = None
    curve: Curve = field(default_factory=Curve)
    history: Attempts = field(init=False)

    def __post_init__(self) -> None:
        self.history = Attempts(self.number)

    def settle(self, kind: str) -> None:
        """Takes its state once the experiment is over, "finished" or "cancelled"; one whose segment
        was queued then, as a budget was used, keeps its target."""
        if self.state == "waiting" or (self.state == "queued" and kind == "finished"):
            self.state = "stopped"
        elif self.state in ("queued", "running"):
            self.state = "cancelled"
            self.worker = self.start = self.target = None


@dataclass(frozen=True, slots=True)
class Best:
    """A trial's metrics at a resource; `checkpoint` is that of the rung's result, if it has one."""

    trial: int
    config: dict[str, Any]
    metrics: dict[str, Any]
    checkpoint: dict[str, Any] | None
    resource: int


@dataclass(frozen=True, slots=True)
class RungSummary:
    """What all brackets have at one level of the ladder: results (final failures count), promotions
    from there, best value, and the resource that all attempts at it have spent. `cut` is how many
    of the results may go on: ⌊n/η⌋ of each bracket's n."""

    rung: int
    level: int
    results: int
    promoted: int
    best: float | None
    resource: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Improvement:
    """A value that was better than all before it, at any resource: of which trial and at which
    `resource`; `at` is the journal's time, `spent` what the experiment had spent by then."""

    at: float
    spent: int
    trial: int
    resource: int
    value: float
