"""The figures: each fault by itself, so many times, against its goal; one table.

`python -m tests.chaos.figures [--only WORDS] [--json]`; exit code 1 when a goal was not held.
A mixed run (`python -m tests.chaos`) shows that faults do no harm together, these runs how long
each of them is felt. `load` is the machine's after the row: where it is far above the number of
cores, times are mostly those that processes waited for one.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asha_queue.settings import LEASE
from tests.chaos.driver import Driver, Load, Outcome
from tests.chaos.faults import BOUNDARIES, impossible
from tests.chaos.misfits import Cost, another_program, broken_device
from tests.chaos.plan import repeated
from tests.chaos.recovery import Journals
from tests.chaos.takeover import take_over
from tests.chaos.two_runs import kill_and_start

#: Seconds that a worker waits for its next segment anyway, on a busy machine.
NO_TIME = 1.0
#: Seeds of all figures.
SEED = 7


@dataclass(frozen=True, slots=True)
class Measured:
    """What a row came to, in words, and whether that is its goal."""

    text: str
    held: bool


Judge = Callable[[Outcome], Measured]


@dataclass(frozen=True, slots=True)
class Row:
    """A fault, how often it is done and how many seconds apart, and its goal."""

    fault: str
    goal: str
    kinds: Sequence[str]
    times: int
    gap: tuple[float, float]
    judge: Judge
    load: Load = field(default_factory=Load)
    hole: float = 12.0
    #: Does and judges it instead of the driver.
    own: Callable[[int], Measured] | None = None


def safe(outcome: Outcome) -> Measured:
    """Nothing lost, doubled or otherwise wrong."""
    found = outcome.found
    text = f"{len(found.lost)} lost, {len(found.doubled)} doubled"
    if found.broken:
        text += f", {len(found.broken)} violations"
    return Measured(text, not found.violations)


def within(seconds: float) -> Judge:
    """Safe, and everything that was hit recovered within so many seconds."""

    def judge(outcome: Outcome) -> Measured:
        times = [time for time in outcome.recoveries if time is not None]
        if not times:
            return Measured("nothing recovered", False)
        # the others had nothing left to do, or were hit again before they could
        text = f"{len(times)} of {len(outcome.hits)} recovered, "
        text += f"p50 {statistics.median(times):.1f} s, max {max(times):.1f} s"
        return _both(safe(outcome), Measured(text, max(times) <= seconds))

    return judge


def stale_counted(outcome: Outcome) -> Measured:
    """Safe, and each write that a program saw refused was counted; there were some."""
    found = outcome.found
    text = f"{found.refused} stale saves, {found.stale} stale writes refused and counted"
    return _both(safe(outcome), Measured(text, 0 < found.refused <= found.stale))


def nothing_again(outcome: Outcome) -> Measured:
    """Safe, and no step was trained twice."""
    found = outcome.found
    text = f"{found.repeated} of {found.steps} steps trained again"
    return _both(safe(outcome), Measured(text, found.repeated == 0))


def from_checkpoint(outcome: Outcome) -> Measured:
    """As `nothing_again`, and each segment that was killed has the result of its checkpoint."""
    entries = [entry for journal in outcome.journals.values() for entry in journal]
    found = sum(e["type"] == "completed" and e["seconds"] == 0 for e in entries)
    text = f"{found} completed from their checkpoints"
    return _both(nothing_again(outcome), Measured(text, found == len(outcome.hits)))


def idle_at_most(seconds: float) -> Judge:
    """Safe, and no worker without a segment for longer, while the faults lasted."""

    def judge(outcome: Outcome) -> Measured:
        workers = sorted({e["worker"] for j in outcome.journals.values() for e in j if _starts(e)})
        first, last = outcome.hits[0].at, outcome.hits[-1].at
        worst = Journals(outcome.journals).gaps(workers, first, last)
        return _both(safe(outcome), Measured(f"idle at most {worst:.1f} s", worst <= seconds))

    return judge


def flat(outcome: Outcome) -> Measured:
    """Safe, and neither processes nor memory nor keys grow."""
    first, *_, last = outcome.samples
    text = (
        f"{outcome.found.segments} segments; processes {first.processes} → {last.processes}, "
        f"MiB {first.memory:.0f} → {last.memory:.0f}, other keys {first.keys} → {last.keys}"
    )
    limits = (first.processes + 8, 1.25 * first.memory, first.keys + 10)
    grown = last.processes > limits[0] or last.memory > limits[1] or last.keys > limits[2]
    return _both(safe(outcome), Measured(text, not grown))


def misfit(folder_costs: Callable[[Path], Cost]) -> Callable[[int], Measured]:
    """A node that can train nothing, beside a good one."""

    def measure(times: int) -> Measured:
        with tempfile.TemporaryDirectory(prefix="asha-chaos-") as folder:
            cost = folder_costs(Path(folder))
        text = (
            f"{cost.failed} trials failed, {cost.in_vain} attempts in vain, the others waited "
            f"{cost.longest_wait:.1f} s at most"
        )
        held = not cost.violations and not cost.failed and bool(cost.said)
        return Measured(text, held and cost.longest_wait < NO_TIME)

    return measure


def takeover(times: int) -> Measured:
    """The leader of 100,000 trials killed, beside a standby and alone."""
    with tempfile.TemporaryDirectory(prefix="asha-chaos-") as folder:
        seconds = take_over(Path(folder), 100_000, times)
    return Measured(str(seconds), seconds.longest <= 3.0)


def two_runs(times: int) -> Measured:
    """One of two runs in a directory killed and started again at once."""
    folder = Path(tempfile.mkdtemp(prefix="asha-chaos-"))
    seen = kill_and_start(folder, times, SEED)
    if not seen.found.violations:
        shutil.rmtree(folder)
    lost = len(seen.found.violations)
    return Measured(f"{seen.servers} server at a time, {lost} entries lost", not lost)


SOAK = Load(trials=2000, max_t=9, seconds=0.0, every=9, experiments=7)
ROWS = [
    Row(
        "SIGKILL of a training process",
        "0 lost, 0 doubled, next attempt ≤ 6 s",
        ["training"],
        50,
        (2.0, 4.0),
        within(6.0),
    ),
    Row(
        "SIGKILL of a worker, half of them twice",
        "0 lost, recovery ≤ 6 s",
        ["worker"],
        67,
        (3.0, 6.0),
        within(6.0),
    ),
    Row(
        "SIGKILL of a launcher",
        "0 lost, recovery ≤ lease + 10 s",
        ["launcher"],
        15,
        (6.0, 10.0),
        within(LEASE + 10),
    ),
    Row(
        "node gone with all on it",
        "0 lost, recovery ≤ lease + 10 s",
        ["node"],
        2,
        (45.0, 50.0),
        within(LEASE + 10),
    ),
    Row(
        "SIGKILL of a keeper",
        "0 lost, 0 doubled",
        ["keeper"],
        20,
        (2.0, 4.0),
        safe,
    ),
    Row(
        "SIGKILL at each boundary",
        "0 lost, 0 doubled",
        BOUNDARIES,
        2 * len(BOUNDARIES),
        (2.0, 4.0),
        safe,
        Load(trials=9),  # short experiments: they must finish for `finish` to come
    ),
    Row(
        "zombie: frozen past its lease, continued",
        "every stale write refused and counted",
        ["zombie"],
        3,
        (38.0, 42.0),
        stale_counted,
    ),
    Row(
        "killed between last save and complete",
        "completed from the checkpoint, 0 steps again",
        ["complete:before"],
        10,
        (2.0, 4.0),
        from_checkpoint,
    ),
    Row(
        "two runs in a directory, one killed and started",
        "one server at a time, 0 entries lost",
        [],
        10,
        (0.0, 0.0),
        safe,
        own=two_runs,
    ),
    Row(
        "node with another program",
        "sets itself aside; no trial fails, others lose no time",
        [],
        1,
        (0.0, 0.0),
        safe,
        own=misfit(another_program),
    ),
    Row(
        "node with a broken device",
        "sets itself aside; no trial fails, others lose no time",
        [],
        1,
        (0.0, 0.0),
        safe,
        own=misfit(broken_device),
    ),
    Row(
        "takeover of 100,000 trials",
        "first decision ≤ 3 s",
        [],
        3,
        (0.0, 0.0),
        safe,
        own=takeover,
    ),
    Row(
        "coordinator killed every 1-3 s",
        "0 lost, workers idle ≤ 5 s",
        ["coordinator"],
        30,
        (1.0, 3.0),
        idle_at_most(5.0),
    ),
    Row(
        "leader frozen and continued",
        "0 decisions by the deposed",
        ["deposed"],
        5,
        (10.0, 14.0),
        safe,
    ),
    Row(
        "SIGKILL and restart of the server",
        "0 lost, workers back ≤ 5 s",
        ["server"],
        20,
        (6.0, 10.0),
        within(5.0),
    ),
    Row(
        "CLIENT KILL of all connections",
        "0 doubled",
        ["connections"],
        50,
        (1.0, 3.0),
        safe,
    ),
    Row(
        "black hole of 60 s",
        "0 doubled, goes on ≤ 25 s after its end",
        ["hole"],
        3,
        (75.0, 90.0),
        within(25.0),
        hole=60.0,
    ),
    Row(
        "every message delivered 2-5 times, 30 s",
        "0 steps again",
        ["double"],
        3,
        (9.9, 10.0),
        nothing_again,
    ),
    Row(
        "queued messages deleted",
        "queued again ≤ 40 s",
        ["delete"],
        6,
        (32.0, 36.0),
        within(40.0),
    ),
    Row(
        "clocks an hour off",
        "0 lost, 0 doubled",
        ["clock"],
        6,
        (4.0, 8.0),
        safe,
    ),
    Row(
        "disk full for 4 s",
        "0 lost, no trial fails",
        ["disk"],
        5,
        (9.0, 12.0),
        safe,
    ),
    Row(
        "soak: short segments, a kill every 7 s",
        "0 lost; processes, memory, keys flat",
        ["training", "worker", "keeper", "coordinator", "launcher"],
        200,
        (7.0, 7.0),
        flat,
        SOAK,
    ),
]


def measure(row: Row, say: Callable[[str], None]) -> tuple[int, Measured]:
    """How often the fault was done, and what it came to."""
    if row.own:
        return row.times, row.own(row.times)
    plan = repeated(SEED, row.times, row.kinds, row.gap)
    seconds = plan[-1].at + 1.0
    with Driver(plan, seconds, row.load, say, hole=row.hole) as driver:
        outcome = driver.run()
    for violation in outcome.found.violations[:5]:
        say(f"! {violation}")
    return len(outcome.hits), row.judge(outcome)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.figures", description=__doc__)
    parser.add_argument("--only", default="", help="rows whose fault has these words")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    missing = impossible()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started ends with it
    results = []
    for row in ROWS:
        if options.only in row.fault and not missing.intersection(row.kinds):
            times, measured = measure(row, _say)
            results.append({"fault": row.fault, "times": times, "goal": row.goal})
            results[-1] |= {"measured": measured.text, "held": measured.held}
            results[-1] |= {"load": round(os.getloadavg()[0], 1)}
            _say(_line(results[-1]))
    print(json.dumps(results, indent=2) if options.json else _table(results))
    return 0 if all(result["held"] for result in results) else 1


def _table(results: Sequence[dict[str, object]]) -> str:
    return "\n".join(
        ["| fault | times | measured | goal | held | load |", "|---|---|---|---|---|---|"]
        + [_line(result) for result in results]
    )


def _line(result: dict[str, object]) -> str:
    held = "yes" if result["held"] else "**no**"
    cells = [str(result[name]) for name in ("fault", "times", "measured", "goal")]
    return f"| {' | '.join([*cells, held, str(result['load'])])} |"


def _both(one: Measured, other: Measured) -> Measured:
    return Measured(f"{one.text}; {other.text}", one.held and other.held)


def _starts(entry: dict[str, object]) -> bool:
    return entry["type"] == "started"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
