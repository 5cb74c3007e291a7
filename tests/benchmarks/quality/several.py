"""What samplers find of several metrics: `python -m tests.benchmarks.quality.several --tables DIR`.

Tables that list the same configurations are taken in pairs: the loss of a configuration in the one
and in the other are two metrics, which do not want the same. What a sampler suggests is trained as
the nearest row that is not used yet, by the project's own simulator, for so many full trainings of
time. Of what was trained in full the hypervolume counts: the part of the unit square of both
regrets that lies beyond the front, as a share of that of all rows of the table.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.benchmarks.quality.samplers import Nearest
from tests.benchmarks.quality.shown import aligned
from tests.benchmarks.quality.tables import Floats, TableError, Task, load_all
from tests.benchmarks.quality.worlds import whole

#: What the ratio of the second and the first is printed of.
SAMPLERS = ("random", "trees")
#: Resamples of the pairs of runs behind an interval of 95 %.
RESAMPLES = 10_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality.several",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=whole, default=5)
    parser.add_argument("--workers", type=whole, default=4)
    parser.add_argument("--trainings", type=whole, default=10, help="full trainings of time")
    options = parser.parse_args(arguments)
    try:
        pairs = alike(load_all(options.tables))
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    if not pairs:
        print(f"{options.tables}: no two tables have the same configurations", file=sys.stderr)
        return 2
    print(table(pairs, options.seeds, options.workers, options.trainings))
    return 0


def alike(tasks: Sequence[Task]) -> list[tuple[Task, Task]]:
    """Neighbours, and the last with the first, that list the same configurations."""
    ring = [*tasks, *tasks[:1]] if len(tasks) > 2 else tasks
    return [
        (one, other)
        for one, other in pairwise(ring)
        if np.array_equal(one.config, other.config) and one.steps == other.steps
    ]


def table(pairs: Sequence[tuple[Task, Task]], seeds: int, workers: int, trainings: int) -> str:
    shares = np.array(
        [
            [
                [share(pair, sampler, seed, workers, trainings) for sampler in SAMPLERS]
                for seed in range(seeds)
            ]
            for pair in pairs
        ]
    )
    lines = [["metrics", *SAMPLERS]]
    for (one, other), found in zip(pairs, shares, strict=True):
        means = found.mean(axis=0)
        lines.append([f"{one.name}, {other.name}", *(f"{mean:.3f}" for mean in means)])
    lines.append(["mean", *(f"{mean:.3f}" for mean in shares.mean(axis=(0, 1)))])
    runs = shares.reshape(-1, len(SAMPLERS))
    rng = np.random.default_rng(0)
    drawn = runs[rng.integers(len(runs), size=(RESAMPLES, len(runs)))].mean(axis=1)
    low, high = np.quantile(drawn[:, 1] / drawn[:, 0], [0.025, 0.975])
    first, second = runs.mean(axis=0)
    return (
        f"{aligned(lines)}\n{SAMPLERS[1]} : {SAMPLERS[0]} {second / first:.2f} ({low:.2f} … "
        f"{high:.2f}), {len(runs)} pairs of runs, W = {workers}, {trainings} R"
    )


def share(pair: tuple[Task, Task], sampler: str, seed: int, workers: int, trainings: int) -> float:
    """The hypervolume that a run finds, as a share of all that there is."""
    one, other = pair
    names = [f"x{number:03}" for number in range(one.config.shape[1])]
    rows, taken = Nearest(one), dict[str, int]()

    def row(config: dict[str, float]) -> int:
        text = repr(config)
        if text not in taken:
            taken[text] = rows.take(np.array([config[name] for name in names]))
        return taken[text]

    experiment = Specification(
        name="quality",
        train="table.py:train",
        space=dict.fromkeys(names, uniform(0, 1)),
        metric=["one", "other"],
        mode=["min", "min"],
        max_t=one.steps,
        num_samples=one.rows,
        seed=int(np.random.default_rng([*one.seeds(seed), *other.seeds(seed)]).integers(2**31)),
        sampler=sampler,
    )
    result = simulate(
        experiment,
        lambda config, t: {
            "one": one.metric[row(config), t - 1],
            "other": other.metric[row(config), t - 1],
        },
        lambda config, start, target: float(
            one.until(row(config))[target] - one.until(row(config))[start]
        ),
        workers=workers,
        until=trainings * one.full,
    )
    found = [
        [best.metrics["one"], best.metrics["other"]]
        for best in result.pareto_front
        if best.resource == one.steps
    ]
    everything = np.stack([one.metric[:, -1], other.metric[:, -1]], axis=1)
    return hypervolume(pair, np.reshape(found, (-1, 2))) / hypervolume(pair, everything)


def hypervolume(pair: tuple[Task, Task], points: Floats) -> float:
    """The part of the unit square of regrets that is worse than one of the points in both."""
    points = points[~np.isnan(points).any(axis=1)]
    regrets = np.stack([t.regret(points[:, i]) for i, t in enumerate(pair)], axis=1)
    volume, floor = 0.0, 1.0
    for x, y in sorted(regrets.tolist()):
        if y < floor:
            volume += (1.0 - x) * (floor - y)
            floor = y
    return volume


if __name__ == "__main__":
    sys.exit(main())
