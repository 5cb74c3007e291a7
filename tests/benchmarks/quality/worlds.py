"""What runs are played in, as options of a command line."""

import argparse
from collections.abc import Callable, Iterator

from tests.benchmarks.quality.play import World

#: Full trainings until the horizon, by workers …
HORIZONS = {1: 40.0, 4: 10.0, 25: 3.0, 100: 2.0, 500: 2.0}
#: … and of other numbers of workers: so many in all, but no less than 2 R.
TRAININGS = 40.0


def add_world(parser: argparse.ArgumentParser) -> None:
    """Adds the options that `worlds` reads."""
    parser.add_argument("--workers", type=wholes, default=[4], metavar="N,N")
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


def worlds(options: argparse.Namespace) -> Iterator[World]:
    """One for each number of workers."""
    for workers in options.workers:
        yield World(
            workers=workers,
            horizon=options.horizon or HORIZONS.get(workers, max(2.0, TRAININGS / workers)),
            straggler=options.stragglers,
            drop=options.drops,
            lost=options.lost,
            training=options.training,
        )


def whole(text: str) -> int:
    """Reads a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number of at least 1")
    return int(text)


def wholes(text: str) -> list[int]:
    """Reads whole numbers between commas."""
    return [whole(part) for part in text.split(",")]


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
