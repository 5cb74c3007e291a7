"""What an experiment is expected to take: figures of several plays, in JSON types."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure of several plays: the least, the median and the greatest."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], factor: float = 1.0) -> Self:
        """That of these values, each times `factor`."""
        found = min(values), statistics.median(values), max(values)
        return cls(*(factor * value for value in found))

    def times(self, factor: float) -> "Spread":
        return Spread(self.low * factor, self.median * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class PlannedRung:
    """A rung of a bracket: its level, segments, and the resource in steps. `rung` counts the levels
    of the ladder."""

    bracket: int
    rung: int
    level: int
    segments: Spread
    resource: Spread


@dataclass(frozen=True, slots=True)
class PlannedFleet:
    """A number of workers: how long the experiment takes, in seconds where these are known and else
    in steps one after the other; the share of that in which a worker trains; what it costs while
    they all are there; the trials started, the steps trained, and why it ends."""

    workers: int
    seconds: Spread | None
    steps: Spread | None
    busy: Spread
    cost: Spread | None
    started: Spread
    resource: Spread
    ends: str

    @property
    def length(self) -> Spread:
        """Seconds, or steps."""
        found = self.seconds or self.steps
        assert found
        return found


@dataclass(frozen=True, slots=True)
class Measured:
    """What a trial took that was trained to measure it, in seconds: `per_unit` for a step,
    `startup` for each segment besides, and `once` for what a worker imports and loads once; not
    `apart` where the first two could not be told from each other. `segments` are its own, as
    (start, target, seconds)."""

    per_unit: float
    startup: float
    once: float
    apart: bool
    checkpoint_bytes: int | None
    segments: tuple[tuple[int, int, float], ...]
    config: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an experiment is expected to take.

    `resource` is in steps, as `full` is, which trains every trial in full, as random search does.
    `affords` is the number of trials that random search can train in full for `resource`, `each`
    the level that all that are started reach if it is shared out evenly, and `trials_for_full` the
    number of trials that this ladder can try for `full`. `checkpoints` is the greatest number that
    there are at a time. `warnings` name what makes no sense, `notes` what the figures rest on.
    """

    name: str
    levels: tuple[int, ...]
    num_trials: int
    max_t: int
    rungs: tuple[PlannedRung, ...]
    resource: Spread
    full: int
    affords: float
    each: float
    trials_for_full: int
    trained_in_full: Spread
    fleets: tuple[PlannedFleet, ...]
    #: As `fleets`, of one play each: workers, seconds or steps, and the busy share.
    curve: tuple[tuple[int, float, float], ...]
    seconds_per_unit: float | None
    startup: float
    price: float | None
    checkpoints: Spread
    checkpoint_bytes: int | None
    disk: Spread | None
    plays: int
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    measured: Measured | None = None

    @property
    def share(self) -> float:
        """Of the resource of training every trial in full."""
        return self.resource.median / self.full

    def by_level(self) -> list[PlannedRung]:
        """The rungs of all brackets together, by level."""
        found = []
        for place, level in enumerate(self.levels):
            rungs = [rung for rung in self.rungs if rung.rung == place]
            segments, resource = (
                Spread(
                    *(sum(getattr(s, part) for s in spreads) for part in ("low", "median", "high"))
                )
                for spreads in ([r.segments for r in rungs], [r.resource for r in rungs])
            )
            found.append(PlannedRung(0, place, level, segments, resource))
        return found

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return asdict(self)
