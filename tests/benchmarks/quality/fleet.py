"""How much sooner many workers get to the top than one: `make bench-fleet`, or

    python -m tests.benchmarks.quality.fleet --tables DIR --workers 1,500 --methods asha,random

The time until something is seen that only 1 % of configurations reach, by workers, of each table:
in full trainings, in the mean over seeds. Then how many times as fast the last number of workers is
as the first, and how many it could be at most. For there is a bound that no number of workers
passes: the step before which no configuration at all has such a value has to be trained by one of
them. Tables need more rows than all workers together use: `functions.py` draws as many as one
wants.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.quality.measures import measure
from tests.benchmarks.quality.methods import MethodError, Player, player
from tests.benchmarks.quality.play import World
from tests.benchmarks.quality.shown import aligned
from tests.benchmarks.quality.tables import TableError, Task, load_all
from tests.benchmarks.quality.worlds import whole, wholes

#: Full trainings of all workers together until a run ends that never gets there …
TRAININGS = 1000
#: … and of each at least.
LEAST = 5
#: Shares of it that are played until one is enough.
SHARES = (1 / 64, 1 / 16, 1 / 4, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality.fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--methods", default="asha,asha/eta=3,random", metavar="NAME,NAME")
    parser.add_argument("--workers", type=wholes, default=[1, 500], metavar="N,N")
    parser.add_argument("--seeds", type=whole, default=20)
    options = parser.parse_args(arguments)
    try:
        players = [player(name) for name in options.methods.split(",")]
        tasks = load_all(options.tables)
    except (TableError, MethodError) as error:
        print(error, file=sys.stderr)
        return 2
    print(table(players, tasks, range(options.seeds), options.workers))
    return 0


def table(
    players: Sequence[Player], tasks: Sequence[Task], seeds: Sequence[int], workers: Sequence[int]
) -> str:
    head = ["method", "table", *(f"W = {number}" for number in workers), "bound", "faster", "most"]
    lines = [head]
    for one in players:
        ratios = []
        for task in tasks:
            times = [until_top(one, task, seeds, number) for number in workers]
            least = earliest(task)
            ratios.append((times[0] / times[-1], times[0] / least))
            row = [one.name, task.name, *(f"{time:.2f} R" for time in times), f"{least:.2f} R"]
            lines.append([*row, *(f"{ratio:.0f} ×" for ratio in ratios[-1])])
        means = np.exp(np.log(ratios).mean(axis=0))
        blank = [""] * (len(workers) + 1)
        lines.append([one.name, "geometric mean", *blank, *(f"{mean:.0f} ×" for mean in means)])
    return aligned(lines)


def until_top(one: Player, task: Task, seeds: Sequence[int], workers: int) -> float:
    """The mean time, in full trainings; a run that never gets there counts with its end."""
    end = max(TRAININGS / workers, LEAST)
    return float(np.mean([_until_top(one, task, seed, workers, end) for seed in seeds]))


def _until_top(one: Player, task: Task, seed: int, workers: int, end: float) -> float:
    # a run does not know when to end, and most get there early: longer ones begin alike
    for share in SHARES:
        world = World(workers=workers, horizon=end * share)
        top = measure(one.play(task, seed, world)).top
        if top is not None:
            return top
    return end


def earliest(task: Task) -> float:
    """The least time in which any row has a value that is top, in full trainings."""
    at_top = np.argwhere(task.metric <= task.top).tolist()
    return min(float(task.until(row)[step + 1]) for row, step in at_top) / task.full


if __name__ == "__main__":
    sys.exit(main())
