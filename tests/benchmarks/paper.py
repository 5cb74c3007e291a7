"""The paper's own simulation: ASHA against synchronous halving, with stragglers and drops.

    python -m tests.benchmarks.paper      (or `make bench-paper`; some ten minutes)

Li et al., arXiv 1810.05934, appendix A.1: eta = 4, r = 1, R = 256, brackets of 256 trials for
synchronous halving, 25 workers, 2,000 units of time. A job takes its resource times 1 + |z|,
z ~ N(0, sigma), and is dropped with probability p in each unit of time. Told is how many trials
were trained to R in the mean of 25 repeats, with its standard error, and the time until the first.

How drops are treated decides as much as who schedules, so there is a table of each way

* lost: a job begins with the first step, and what is dropped is lost, with its trial,
* again: a job begins with the first step, and what is dropped is queued again,
* resumed: a job begins where the trial's last one ended, and so it does when it is queued again.
  That is what happens here.

Losses of trials are drawn at random and keep their order in each rung.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.quality.measures import Mean
from tests.benchmarks.quality.methods import player
from tests.benchmarks.quality.play import World
from tests.benchmarks.quality.shown import COLOURS, aligned, write_page
from tests.benchmarks.quality.tables import Task, task

ETA = 4
R = 256
WORKERS = 25
#: Units of time.
UNTIL = 2_000
REPEATS = 25
SIGMAS = (0.10, 0.24, 0.56, 1.33)
DROPS = (0.0, 0.002, 0.005, 0.01)
#: The first is what the other is compared with.
METHODS = {"SHA": f"sha/eta={ETA}", "ASHA": f"asha/eta={ETA}"}
#: More trials than 25 workers can begin in this time.
TRIALS = WORKERS * UNTIL
BASE = World(workers=WORKERS, horizon=UNTIL / R)
WAYS = {
    "lost": replace(BASE, scratch=True, lost=True),
    "again": replace(BASE, scratch=True),
    "resumed": BASE,
}
#: Seconds between two lines of progress.
EVERY = 5.0


@dataclass(frozen=True, slots=True)
class Cell:
    """What a method came to: trials trained to R, and the time until the first, over the repeats
    in which there was one."""

    way: str
    method: str
    sigma: float
    drop: float
    repeats: int
    trained: Mean
    first: Mean


def simulated(repeat: int) -> Task:
    """Losses that keep their order, as a table of all trials that there could be."""
    losses = np.random.default_rng([repeat, 2]).uniform(size=(TRIALS, 1))
    return task(f"repeat {repeat}", np.broadcast_to(losses, (TRIALS, R)))


def cell(way: str, method: str, sigma: float, drop: float, tasks: Sequence[Task]) -> Cell:
    # what is dropped per unit, over the R units of a full training
    world = replace(WAYS[way], straggler=sigma, drop=1 - (1 - drop) ** R)
    one = player(METHODS[method])
    runs = [one.play(task, repeat, world) for repeat, task in enumerate(tasks)]
    return Cell(
        way=way,
        method=method,
        sigma=sigma,
        drop=drop,
        repeats=len(runs),
        trained=Mean.of([len(run.finished) for run in runs]),
        first=Mean.of([run.finished[0] for run in runs if run.finished]),
    )


def cells(
    ways: Sequence[str], sigmas: Sequence[float], drops: Sequence[float], repeats: int
) -> Iterator[Cell]:
    tasks = [simulated(repeat) for repeat in range(repeats)]
    for way in ways:
        for sigma in sigmas:
            for drop in drops:
                for method in METHODS:
                    yield cell(way, method, sigma, drop, tasks)


def table(found: Sequence[Cell]) -> str:
    """One table for each treatment of drops: trials trained to R, SHA → ASHA."""
    parts = []
    for way in dict.fromkeys(one.way for one in found):
        mine = [one for one in found if one.way == way]
        drops = sorted({one.drop for one in mine})
        lines = [[f"drops {way}", *(f"p = {drop:g}" for drop in drops)]]
        for sigma in sorted({one.sigma for one in mine}):
            of_sigma = [one for one in mine if one.sigma == sigma]
            lines.append([f"σ = {sigma:.2f}", *(_pair(of_sigma, drop) for drop in drops)])
        parts.append(aligned(lines))
    return "\n\n".join(parts)


def _pair(found: Sequence[Cell], drop: float) -> str:
    told = [next((c for c in found if c.drop == drop and c.method == m), None) for m in METHODS]
    return " → ".join(
        "–" if one is None else f"{one.trained.mean:.1f} ± {one.trained.error:.1f}" for one in told
    )


def figure(found: Sequence[Cell]) -> dict[str, Any]:
    """Trials trained to R over p, one panel for each treatment and sigma, as plotly reads it."""
    ways = list(dict.fromkeys(one.way for one in found))
    sigmas = sorted({one.sigma for one in found})
    traces: list[dict[str, Any]] = []
    notes: list[dict[str, Any]] = []
    axes: dict[str, Any] = {}
    for row, way in enumerate(ways):
        for column, sigma in enumerate(sigmas):
            number = row * len(sigmas) + column + 1
            x, y = f"x{number}", f"y{number}"
            left, wide = column / len(sigmas), 1 / len(sigmas) - 0.045
            top, high = 1 - row / len(ways), 1 / len(ways) - 0.12
            span = [left, left + wide]
            title = {"text": "p" if way == ways[-1] else ""}
            axes[f"xaxis{number}"] = {"domain": span, "anchor": y, "title": title}
            rows = {"domain": [top - high, top], "anchor": x, "rangemode": "tozero"}
            axes[f"yaxis{number}"] = {**rows, "title": {"text": "" if column else "trained to R"}}
            note = {"text": f"drops {way}, σ = {sigma:.2f}", "showarrow": False, "xref": "paper"}
            note |= {"x": left + wide / 2, "xanchor": "center", "yref": "paper"}
            notes.append(note | {"y": top + 0.01, "yanchor": "bottom"})
            for colour, method in zip(COLOURS[1::-1], METHODS, strict=True):
                of = [c for c in found if (c.way, c.sigma, c.method) == (way, sigma, method)]
                errors = [0 if math.isnan(c.trained.error) else 2 * c.trained.error for c in of]
                line: dict[str, Any] = {
                    "x": [c.drop for c in of],
                    "y": [c.trained.mean for c in of],
                }
                line |= {"name": method, "legendgroup": method, "showlegend": number == 1}
                line |= {"xaxis": x, "yaxis": y, "mode": "lines+markers"}
                line |= {"line": {"color": colour}, "error_y": {"array": errors}}
                traces.append(line)
    layout = {
        **axes,
        "template": "none",
        "height": 300 * len(ways),
        "width": 1100,
        "annotations": notes,
        "title": {"text": f"Trials trained to R in {UNTIL:,} units of time: mean ± 2 s.e."},
    }
    return {"data": traces, "layout": layout}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    total = len(options.ways) * len(options.sigmas) * len(options.drops) * len(METHODS)
    found: list[Cell] = []
    last, ended = time.monotonic(), 0
    try:
        for one in cells(options.ways, options.sigmas, options.drops, options.repeats):
            found.append(one)
            if time.monotonic() - last > EVERY or len(found) == total:
                last = time.monotonic()
                print(f"{len(found)} of {total} cells", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        print("ended early: this is what there is", file=sys.stderr)
        ended = 130
    if options.json:
        print(json.dumps([_fact(one) for one in found], indent=2, allow_nan=False))
    elif found:
        print(table(found))
    if options.plot and found:
        write_page(options.plot, [figure(found)])
    return ended


def _fact(one: Cell) -> dict[str, Any]:
    fact = asdict(one)
    for name in ("trained", "first"):
        held = fact[name].items()
        fact[name] = {key: None if math.isnan(value) else value for key, value in held}
    return fact


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.paper",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--repeats", type=_whole, default=REPEATS)
    parser.add_argument("--sigmas", type=_numbers(math.inf), default=SIGMAS, metavar="S,S")
    parser.add_argument("--drops", type=_numbers(1.0), default=DROPS, metavar="P,P")
    parser.add_argument("--ways", type=_ways, default=list(WAYS), metavar="WAY,WAY")
    parser.add_argument("--plot", type=Path, metavar="FILE.html")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args(arguments)


def _whole(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _numbers(below: float) -> Callable[[str], list[float]]:
    """Reads a list of numbers from 0 to below this one."""

    def read(text: str) -> list[float]:
        try:
            numbers = [float(part) for part in text.split(",")]
        except ValueError:
            numbers = [math.nan]
        if not all(0 <= number < below for number in numbers):
            raise argparse.ArgumentTypeError(f"{text!r}: must be numbers from 0 to below {below:g}")
        return numbers

    return read


def _ways(text: str) -> list[str]:
    ways = text.split(",")
    if unknown := [way for way in ways if way not in WAYS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(WAYS)}")
    return ways


if __name__ == "__main__":
    sys.exit(main())
