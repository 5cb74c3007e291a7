"""Functions of mf-prior-bench as tasks, where that is installed; nothing else here needs it.

Hartmann functions whose first steps say much (`good`) to nothing (`terrible`) about the last. They
have as many configurations as one wants, which many workers need: rows are drawn at random, once
for each function. Each of their 100 steps costs 1 s.

A value is that of the last step, and a bias and noise that are less with each step. All three are
the benchmark's own: without its noise it is asked for the first and the last step of each row,
between which the bias runs as the logarithm of the step does; noise is drawn here, by its rule.
A hundred times as many rows take so no longer than if it were asked for each step.

    python -m tests.benchmarks.quality.functions mfh3_terrible DIR/mfh3_terrible.npz --rows 20000

writes one as a table, which takes less time to read than to draw.
"""

import argparse
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks.quality.tables import Floats, TableError, Task, save, task

FUNCTIONS = tuple(
    f"mfh{dimensions}_{correlation}"
    for dimensions in (3, 6)
    for correlation in ("good", "moderate", "bad", "terrible")
)
#: Configurations drawn unless told otherwise: 50,000, for 500 workers, take about half a minute.
ROWS = 1_000
STEPS = 100


def function(name: str, rows: int = ROWS) -> Task:
    """The function as a task; TableError without mf-prior-bench."""
    metric, config, names = drawn(name, rows)
    return task(name, metric, 1.0, config, names)


def drawn(name: str, rows: int) -> tuple[Floats, Floats, list[str]]:
    """Its values at each step, configurations × steps, the configurations and their names."""
    try:
        from mfpbench import get
    except ImportError as error:
        raise TableError(
            f"{name}: is a function of mf-prior-bench, which cannot be imported here ({error}); "
            f"install it by `pip install mf-prior-bench`"
        ) from None
    seed = zlib.crc32(name.encode())
    generator = get(name, seed=seed).mfh
    rng = np.random.default_rng(seed)
    config = rng.uniform(size=(rows, generator.dims))
    noise, generator.noise = generator.noise, 0.0
    # the function itself: a query of the benchmark makes objects that take ten times as long
    first, last = (
        np.array([[generator(z=step, Xs=tuple(row))] for row in config.tolist()])
        for step in (1, STEPS)
    )
    left = 1 - np.log(np.arange(1, STEPS + 1)) / np.log(STEPS)
    metric = last + (first - last) * left
    if not np.isclose(metric[0, 9], generator(z=10, Xs=tuple(config[0].tolist()))):
        raise TableError(f"{name}: this version of mf-prior-bench has another bias in between")
    metric += np.abs(rng.normal(size=metric.shape)) * noise * left
    return metric, config, [f"x{number}" for number in range(config.shape[1])]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality.functions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=FUNCTIONS)
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=ROWS)
    options = parser.parse_args(arguments)
    try:
        metric, config, names = drawn(options.name, options.rows)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    save(options.file, metric, np.ones((1, STEPS)), config, names)
    return 0


if __name__ == "__main__":
    sys.exit(main())
