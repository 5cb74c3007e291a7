"""The rows of the table: what the lines of segments say, and who is how many times as fast."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.benchmarks.table import Figure, shown

OURS = "asha_queue"
RAY, REDIS, SQLITE, SYNE = "Ray Tune", "Optuna, Redis", "Optuna, SQLite", "Syne Tune"
#: The same with what is written to the disk by default, or in the way of this project.
RAY_KEEPS, REDIS_KEEPS = "Ray Tune, logging", "Optuna, Redis, fsync"
#: All, in the order of the table.
SYSTEMS = (OURS, RAY, RAY_KEEPS, REDIS, REDIS_KEEPS, SQLITE, SYNE)
#: How many times as many no-op segments a second as these are wanted.
GOALS = {RAY: 5.0, REDIS: 2.0}
WORKERS = 2


class Failed(Exception):
    """Raised when one who is measured did not do what it was started for."""


class Line(NamedTuple):
    """A segment: who trained it, up to which level, and when by the machine's monotonic clock."""

    process: int
    level: int
    began: float
    ended: float


def lines_of(text: str) -> list[Line]:
    """What the segments of an experiment wrote, in the order in which they began."""
    words = (line.split() for line in text.splitlines())
    read = [Line(int(process), int(level), float(a), float(b)) for process, level, a, b in words]
    return sorted(read, key=lambda line: line.began)


def _steady(lines: Sequence[Line]) -> tuple[float, float]:
    """From when both workers were there until the last trial was begun: there was always work."""
    others = (line.began for line in lines if line.process != lines[0].process)
    since = next(others, lines[0].began)
    until = max(line.began for line in lines if line.level == 1)
    if until <= since:
        raise Failed("all trials were begun before the second worker was there")
    return since, until


def rate(lines: Sequence[Line]) -> float:
    """Segments per second while both workers had work."""
    since, until = _steady(lines)
    return sum(since <= line.began < until for line in lines) / (until - since)


def busy(lines: Sequence[Line]) -> float:
    """Share of the workers' time in segments while both had work."""
    since, until = _steady(lines)
    seconds = sum(max(0.0, min(line.ended, until) - max(line.began, since)) for line in lines)
    return seconds / (WORKERS * (until - since))


@dataclass
class Memory:
    """Of all processes of a system while its segments sleep, in bytes."""

    #: Shared pages divided among those who share them …
    pss: int = 0
    #: … and counted for each.
    rss: int = 0
    processes: int = 0


@dataclass
class Measured:
    """What was measured of one system."""

    #: Seconds from the command to the first line of the first trial.
    first: float
    #: No-op segments per second, and how many there were.
    rate: float
    segments: int
    #: Share of two workers' time in segments, by the seconds that these take.
    busy: dict[float, float] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)
    #: Seconds of a decision by the number of results.
    decisions: dict[int, float] = field(default_factory=dict)


def rows(measured: Mapping[str, Measured]) -> Iterator[Figure]:
    """Measure after measure, each of all who were measured; ratios to those that bear a goal."""
    there = {name: measured[name] for name in SYSTEMS if name in measured}

    def each(what: str, unit: str, value: Callable[[Measured], float | None]) -> Iterator[Figure]:
        values = {name: found for name in there if (found := value(there[name])) is not None}
        for name, found in values.items():
            beside = ""
            if name != OURS and OURS in values:
                beside = f"{shown(found / values[OURS])} × {OURS}'s"
            yield Figure(f"{what}: {name}", found, unit, beside=beside)

    yield from each("no-op segments, end to end", "/s", lambda one: one.rate)
    yield from _ratios(there)
    yield from each("from the command to the first trial", "s", lambda one: one.first)
    for seconds in sorted({seconds for one in there.values() for seconds in one.busy}):
        share = _percent(seconds)
        yield from each(f"busy share, segments of {shown(seconds * 1e3)} ms", "%", share)
    yield from each("memory at rest (PSS)", "MiB", lambda one: one.memory.pss / 2**20 or None)
    yield from each("memory at rest (RSS)", "MiB", lambda one: one.memory.rss / 2**20 or None)
    for results in sorted({results for one in there.values() for results in one.decisions}):
        cost = _microseconds(results)
        yield from each(f"decision at {results:,} results", "µs", cost)


def _ratios(there: Mapping[str, Measured]) -> Iterator[Figure]:
    if OURS not in there:
        return
    ours = there[OURS]
    for name, goal in GOALS.items():
        if name not in there:
            continue
        peer = there[name]
        beside = f"{shown(ours.rate)}/s of {ours.segments:,} : {shown(peer.rate)}/s"
        yield Figure(
            f"{OURS} ÷ {name}, no-op segments",
            ours.rate / peer.rate,
            "×",
            goal,
            at_least=True,
            beside=f"{beside} of {peer.segments:,}",
        )


def _percent(seconds: float) -> Callable[[Measured], float | None]:
    def share(one: Measured) -> float | None:
        return one.busy[seconds] * 100 if seconds in one.busy else None

    return share


def _microseconds(results: int) -> Callable[[Measured], float | None]:
    def cost(one: Measured) -> float | None:
        return one.decisions[results] * 1e6 if results in one.decisions else None

    return cost
