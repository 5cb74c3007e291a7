"""How much less training finds what random search finds: `make bench-quality` ends with it, or

    python -m tests.benchmarks.quality.budget --tables DIR --methods asha,asha/eta=3

Random search trains so many configurations to the end, and its best value is noted. Then this is
told of each method, for the same workers, tables and seeds: the training until it saw a value as
good, in full trainings and as a share of what random search had, in the median of runs, in the one
that nine in ten are not above, and in the median of the table at which that is worst. Workers are
busy all the time, so training is time by their number.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.quality.methods import MethodError, Player, player
from tests.benchmarks.quality.play import Run, World
from tests.benchmarks.quality.shown import aligned
from tests.benchmarks.quality.tables import TableError, Task, load_all
from tests.benchmarks.quality.worlds import whole

#: Full trainings of random search.
BUDGETS = (20, 40, 100, 400)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality.budget",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--methods", default="asha", metavar="NAME,NAME")
    parser.add_argument("--workers", type=whole, default=4)
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
    players: Sequence[Player], tasks: Sequence[Task], seeds: Sequence[int], workers: int
) -> str:
    needed = needs(players, tasks, seeds, workers)
    lines = [["method", "random trains", "needs", "share", "nine in ten", "worst task", "never"]]
    for one in players:
        for budget in BUDGETS:
            found = needed[one.name, budget]
            row = [one.name, f"{budget} R", f"{np.median(found):.1f} R"]
            shares = [np.median(found), np.quantile(found, 0.9, method="higher")]
            shares.append(np.median(found, axis=1).max())
            row += [f"{share / budget:.1%}" for share in shares]
            lines.append([*row, f"{np.isinf(found).mean():.0%}"])
    return f"{workers} workers, {len(tasks) * len(seeds)} runs\n\n{aligned(lines)}"


def needs(
    players: Sequence[Player], tasks: Sequence[Task], seeds: Sequence[int], workers: int
) -> dict[tuple[str, int], "np.ndarray"]:
    """The full trainings until each method saw what random search sees with each budget, tasks ×
    seeds; infinite if it never did with the largest of budgets."""
    world = World(workers=workers, horizon=max(BUDGETS) / workers)
    needed = {
        (one.name, budget): np.empty((len(tasks), len(seeds)))
        for one in players
        for budget in BUDGETS
    }
    for row, task in enumerate(tasks):
        for column, seed in enumerate(seeds):
            goals = _best(player("random").play(task, seed, world), workers)
            for one in players:
                run = one.play(task, seed, world)
                for budget, goal in zip(BUDGETS, goals, strict=True):
                    at = run.times[run.values <= goal]
                    needed[one.name, budget][row, column] = (
                        at[0] * workers / task.full if len(at) else math.inf
                    )
    return needed


def _best(run: Run, workers: int) -> list[float]:
    """The best value that was seen with each budget; beyond all if there was none."""
    ends = np.array(BUDGETS) * run.task.full / workers
    values = np.concatenate([[math.inf], run.values])
    found: list[float] = values[np.searchsorted(run.times, ends, side="right")].tolist()
    return found


if __name__ == "__main__":
    sys.exit(main())
