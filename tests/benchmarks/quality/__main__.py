"""What a search finds, and when: `make bench-quality TABLES=DIR`, or

    python -m tests.benchmarks.quality --tables DIR --workers 4 --seeds 20 --methods asha,random

How to read it: each method is played on every table so often, each time with other configurations
in another order, the same for all methods. "area" is the mean over time of normalised regret, 0
for a search that knows the best at once; then regret when a share of the time has passed, the time
until something is seen that only 1 % of configurations reach, the share of runs that see it, full
trainings and milliseconds per decision. A "tail" is the mean of the worst tenth of runs, of what
stands before it. R is the time of a full training. Differences are of areas, in pairs; below 0 is
better than the first method, and an interval without 0 is hardly chance. Below stands how far
ahead of each other the first is: the geometric mean over tasks of its area by the other's, of the
task at which that is worst, and of the times to the top, in which the horizon stands for runs that
never get there.

Ctrl-C ends it with what there is.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.benchmarks.quality.functions import FUNCTIONS, ROWS, function
from tests.benchmarks.quality.measures import Measures, measure, regret
from tests.benchmarks.quality.methods import USUAL, MethodError, Player, player
from tests.benchmarks.quality.peers.curves import kept
from tests.benchmarks.quality.play import World
from tests.benchmarks.quality.shown import Curves, facts, table, write_page
from tests.benchmarks.quality.tables import TableError, Task, load_all
from tests.benchmarks.quality.worlds import add_world, whole, worlds

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
    if options.peers and not options.peers.is_dir():
        print(
            f"{options.peers}: is no folder; `make bench-quality-peers` makes it", file=sys.stderr
        )
        return 2
    told, figures = [], []
    interrupted = False
    for world in worlds(options):
        curves = Curves(world)
        played: dict[str, list[Measures]] = {}
        try:
            for name, found in _runs(players, tasks, range(options.seeds), world, curves):
                played.setdefault(name, []).append(found)
            if options.peers:
                for name, found, curve in kept(options.peers, world, tasks, options.seeds):
                    played.setdefault(name, []).append(found)
                    curves.add(name, curve)
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
        "--rows", type=whole, default=ROWS, help="configurations drawn for each function"
    )
    parser.add_argument("--seeds", type=whole, default=20, help="runs on each table")
    parser.add_argument("--methods", default=USUAL, metavar="NAME,NAME", help=USUAL)
    parser.add_argument(
        "--peers",
        type=Path,
        metavar="DIR",
        help="show what `make bench-quality-peers` has kept there, too",
    )
    add_world(parser)
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


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
