"""What variants spend on choosing a configuration, and how good the chosen one is:

    python -m tests.benchmarks.quality.settled --tables DIR

As PASHA's paper measures it: each variant is given the same configurations and no time limit, and
what it would train in full is the best of its highest rung. Of that one this is told: the regret of
its best value in full training, the training that the search took, in full trainings, and the level
that it reached, as a share of the largest. Differences are to the first variant, in pairs, with the
interval of their mean; regret is 0 for the best configuration of the table, 1 for the median one.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from asha_queue.search.asha import Asha
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.search.variants import VARIANTS
from tests.benchmarks.quality.methods import METRIC, Searched
from tests.benchmarks.quality.play import Segment, World, play
from tests.benchmarks.quality.shown import aligned
from tests.benchmarks.quality.suggested import SAMPLERS
from tests.benchmarks.quality.tables import TableError, Task, load_all
from tests.benchmarks.quality.worlds import whole

#: Configurations of a search, if the table has as many.
TRIALS = 256


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality.settled",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--workers", type=whole, default=4)
    parser.add_argument("--seeds", type=whole, default=20)
    options = parser.parse_args(arguments)
    try:
        tasks = load_all(options.tables)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    lines = [["table", "variant", "regret", "difference, 95 %", "training", "level"]]
    for task in tasks:
        found = {
            variant: np.array(
                [chosen(variant, task, seed, options.workers) for seed in range(options.seeds)]
            )
            for variant in VARIANTS
        }
        first = found[VARIANTS[0]][:, 0]
        for variant, runs in found.items():
            regret, training, level = runs.mean(axis=0)
            more = runs[:, 0] - first
            room = 1.96 * more.std(ddof=1) / len(more) ** 0.5 if len(more) > 1 else np.nan
            row = [task.name, variant, f"{regret:.3f}", f"{more.mean():+.3f} ± {room:.3f}"]
            lines.append([*row, f"{training:.1f} R", f"{level:.0%}"])
    print(aligned(lines))
    return 0


def chosen(variant: str, task: Task, seed: int, workers: int) -> tuple[float, float, float]:
    """The regret of the configuration that a variant chooses, the training that this took, and the
    level reached, both as shares of a full training."""
    ladder, trials = Ladder(1, task.steps, 4), min(TRIALS, task.rows)
    method = _Choosing(Asha(Plan(ladder, Goal(METRIC, "min"), trials, variant=variant)))
    world = World(workers=workers, horizon=float(trials))  # more than all in full would take
    run = play(task, seed, method, SAMPLERS["random"](task, seed), world)
    sampler = SAMPLERS["random"](task, seed)
    rows = [sampler.draw() for _ in range(run.started)]
    level, _, trial = method.best
    best = np.nanmin(task.metric[rows[trial]])
    spent = run.busy * world.horizon * workers
    return float(task.regret(np.array([best]))[0]), spent, -level / task.steps


class _Choosing(Searched):
    """Remembers the best of its highest rung."""

    def __init__(self, search: Asha) -> None:
        super().__init__(search)
        #: (-level, value, trial).
        self.best = (0, 0.0, 0)

    def complete(self, segment: Segment, value: float) -> None:
        super().complete(segment, value)
        if not np.isnan(value):
            self.best = min(self.best, (-segment.target, value, segment.trial))


if __name__ == "__main__":
    sys.exit(main())
