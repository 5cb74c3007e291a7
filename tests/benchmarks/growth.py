"""What a segment costs in an experiment that has many trials already: it should be flat.

How to read it: an experiment with so many trials is restored from its journal, then driven on as in
`coordinator`, with 100 workers that save checkpoints; each figure is of the coordinator's turns,
per segment. Beside it is the ratio to the first line of its kind. What comes once a second however
many segments there are, as ticks and files, is told for itself: the share of a core that an
experiment takes in which nothing happens.
"""

import time
from collections.abc import Iterator

from tests.benchmarks.alone import Alone, alone, journal_of
from tests.benchmarks.table import Figure

#: Trials that there are before.
TRIALS = (1_000, 10_000, 100_000)
WORKERS = 100
#: Segments that are counted: so many, and where there are many trials this part of them, as what is
#: done once in a while (a snapshot, a collection of all garbage) is done the more seldom.
WINDOW = 5_000
PART = 1 / 3
#: Seconds in which nothing happens that are counted.
IDLE = 5.0


def idle(made: Alone) -> float:
    """The share of a core that the coordinator takes while nothing happens."""
    began, until = time.process_time(), time.monotonic() + IDLE
    while time.monotonic() < until:
        made.workers.beat()
        made.drive.step()
    return (time.process_time() - began) / IDLE


def measured(trials: int) -> dict[str, float]:
    """Unit and value of each measure."""
    with alone(WORKERS, entries=journal_of(trials, saves=True), saves=True) as made:
        before = made.resident() / trials
        made.decide()
        made.drive.result()
        made.rounds(WINDOW // 5)
        done, spent = made.rounds(max(WINDOW, round(trials * PART)))
        return {
            "µs CPU of the coordinator": spent.own / done * 1e6,
            "µs CPU of Valkey": spent.server / done * 1e6,
            "commands": spent.commands / done,
            "bytes": (spent.sent + spent.received) / done,
            "bytes of Valkey's memory per trial": before,
            "% of a core, idle": idle(made) * 100,
        }


def figures() -> Iterator[Figure]:
    found = {trials: measured(trials) for trials in TRIALS}
    for unit in found[TRIALS[0]]:
        first = found[TRIALS[0]][unit]
        for trials, values in found.items():
            flat = unit not in ("bytes of Valkey's memory per trial", "% of a core, idle")
            goal = 1.2 * first if flat and trials > TRIALS[0] else None
            beside = f"{values[unit] / first:.2f} × that with {TRIALS[0]:,} trials"
            what = f"a segment with {trials:,} trials there" if flat else f"with {trials:,} trials"
            yield Figure(what, values[unit], unit, goal, beside=beside)
