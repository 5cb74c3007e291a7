"""What a search finds, and when: `make bench-quality TABLES=DIR`, or

    python -m tests.benchmarks.quality --tables DIR --workers 4 --seeds 20 --methods asha,random

How to read it: each method is played on every table so often, each time with other configurations
in another order, the same for all methods. "area" is the mean over time of normalised regret, 0
for a search that knows the best at once; then regret when a share of the time has passed, the time
until something is seen that only 1 % of configurations reach, the share of runs that see it, full
trainings and milliseconds per decision. A "tail" is the mean of the worst tenth of runs, of what
stands before it. R is the time of a full training. Differences are of areas, in pairs; below 0 is
better than the first method, and an interval without 0 is hardly chance.

Ctrl-C ends it with what there is.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.benchmarks.quality.functions import FUNCTIONS, ROWS, function
from tests.benchmarks.quality.measures import Measures, measure, regret
from tests.benchmarks.quality.methods import USUAL, MethodError, Player, player
from tests.benchmarks.quality.play import World
from tests.benchmarks.quality.shown import Curves, facts, table, write_page
from tests.benchmarks.quality.tables import TableError, Task, load_all

#: Full trainings until the horizon, by workers …
HORIZONS = {1: 40.0, 4: 10.0, 25: 3.0, 100: 2.0, 500: 2.0}
#: … and of other numbers of workers: so many in all, but no less than 2 R.
TRAININGS = 40.0
#: Seconds between two lines of progress.
EVERY = 2.0


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    try:
        players = [player(name) for name in options.methods.split(",")]
        tasks = load_all(options.tables) if options.tables else []
        tasks += [function(name, options.rows) for name in options.functions]
    except (TableError, MethodError) as error:
        print(error, file=sys.stderr)
        return 2
    if not tasks:
        print(
            "nothing to play on: name a folder of tables by --tables, or --functions",
            file=sys.stderr,
        )
        return 2
    told, figures = [], []
    interrupted = False
    for workers in options.workers:
        world = _world(options, workers)
        curves = Curves(world)
        played: dict[str, list[Measures]] = {}
        try:
            for name, found in _runs(players, tasks, range(options.seeds), world, curves):
                played.setdefault(name, []).append(found)
        except KeyboardInterrupt:
            interrupted = True
        if played:
            if not options.json:
                print(table(world, played), end="\n\n", flush=True)
            told.append(facts(world, played))
            figures.append(curves.figure())
        if interrupted:
            print("ended early: this is what there is", file=sys.stderr)
            break
    if options.json:
        print(json.dumps(told, indent=2, allow_nan=False))
    if options.plot and figures:
        write_page(options.plot, figures)
        print(f"{options.plot}: the curves", file=sys.stderr)
    return 130 if interrupted else 0


def _runs(
    players: Sequence[Player],
    tasks: Sequence[Task],
    seeds: Sequence[int],
    world: World,
    curves: Curves,
) -> Iterator[tuple[str, Measures]]:
    """All runs, those of one task and seed together: comparisons stay fair when it is ended."""
    total, done, last = len(players) * len(tasks) * len(seeds), 0, time.monotonic()
    short: set[str] = set()
    for seed in seeds:
        for task in tasks:
            for one in players:
                run = one.play(task, seed, world)
                curves.add(one.name, regret(run, curves.times * run.horizon))
                yield one.name, measure(run)
                done += 1
                if run.started == task.rows and one.name not in short:
                    short.add(one.name)
                    _say(f"{one.name} used up all {task.rows:,} rows of {task.name}")
                if time.monotonic() - last > EVERY or done == total:
                    last = time.monotonic()
                    _say(f"{world.workers} workers: {done:,} of {total:,} runs")


def _world(options: argparse.Namespace, workers: int) -> World:
    usual = HORIZONS.get(workers, max(2.0, TRAININGS / workers))
    return World(
        workers=workers,
        horizon=options.horizon or usual,
        straggler=options.stragglers,
        drop=options.drops,
        lost=options.lost,
        training=options.training,
    )


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tables", type=Path, metavar="DIR", help="a folder of .npz tables")
    parser.add_argument(
        "--functions",
        type=_functions,
        default=[],
        metavar="NAME,NAME",
        help=f"functions of mf-prior-bench, if that is installed: {', '.join(FUNCTIONS)}",
    )
    parser.add_argument(
        "--rows", type=_whole, default=ROWS, help="configurations drawn for each function"
    )
    parser.add_argument("--workers", type=_wholes, default=[4], metavar="N,N")
    parser.add_argument("--seeds", type=_whole, default=20, help="runs on each table")
    parser.add_argument("--methods", default=USUAL, metavar="NAME,NAME", help=USUAL)
    parser.add_argument(
        "--horizon", type=_positive, metavar="R", help="full trainings that the time is enough for"
    )
    parser.add_argument(
        "--stragglers",
        type=_positive,
        default=0.0,
        metavar="SIGMA",
        help="segments take 1 + |z| times as long, z ~ N(0, SIGMA)",
    )
    parser.add_argument(
        "--drops", type=_chance, default=0.0, metavar="P", help="chance of one in the time R"
    )
    parser.add_argument(
        "--lost", action="store_true", help="what is dropped fails, and is not trained again"
    )
    parser.add_argument(
        "--training",
        type=_positive,
        metavar="SECONDS",
        help="charge the time of decisions against a full training that takes so long",
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.html")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _functions(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in FUNCTIONS:
            known = ", ".join(FUNCTIONS)
            raise argparse.ArgumentTypeError(f"{name!r} is none of {known}")
    return names


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _wholes(text: str) -> list[int]:
    return [_whole(part) for part in text.split(",")]


def _positive(text: str) -> float:
    return _number(text, lambda value: 0 < value < float("inf"), "no number above 0")


def _chance(text: str) -> float:
    return _number(text, lambda value: 0 <= value < 1, "no number from 0 to below 1")


def _number(text: str, allowed: Callable[[float], bool], otherwise: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not allowed(value):
        raise argparse.ArgumentTypeError(f"{text!r} is {otherwise}")
    return value


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
