"""Plays a peer in its own environment: `python -m tests.benchmarks.quality.peers optuna …`.

Started by `make bench-quality-peers`; what it plays is shown by `python -m tests.benchmarks.quality
--peers DIR`. Ctrl-C keeps what was played.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from tests.benchmarks.quality.measures import measure, regret
from tests.benchmarks.quality.peers.curves import Kept
from tests.benchmarks.quality.play import Method, Sampler, World, play
from tests.benchmarks.quality.shown import Curves
from tests.benchmarks.quality.tables import TableError, Task, load_all
from tests.benchmarks.quality.worlds import add_world, whole, worlds

#: From a task and a seed to what is played.
Make = Callable[[Task, int], tuple[Method, Sampler]]
#: Names of the modules here that play a peer, by what they are asked for.
PEERS = {"optuna": "optuna", "ray-tune": "ray_tune", "syne-tune": "syne_tune"}
#: Seconds between two lines of progress, at which files are written, too.
EVERY = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.quality.peers")
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--tables", type=Path, required=True, metavar="DIR")
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=whole, default=20)
    parser.add_argument("--methods", metavar="NAME,NAME", help="all if not named")
    add_world(parser)
    options = parser.parse_args(arguments)
    try:
        peer = import_module(f"tests.benchmarks.quality.peers.{PEERS[options.peer]}")
    except ImportError as error:
        print(f"{options.peer}: cannot be imported here ({error})", file=sys.stderr)
        return 2
    methods = options.methods.split(",") if options.methods else [*peer.METHODS]
    if unknown := [name for name in methods if name not in peer.METHODS]:
        known = ", ".join(peer.METHODS)
        print(f"{unknown[0]}: no method of {options.peer}; there are {known}", file=sys.stderr)
        return 2
    try:
        tasks = load_all(options.tables)
    except TableError as error:
        print(error, file=sys.stderr)
        return 2
    for world in worlds(options):
        for name in methods:
            kept = Kept(options.into, name, peer.VERSION, world)
            if not _played(kept, name, peer.METHODS[name], tasks, options.seeds, world):
                print("ended early: what was played is kept", file=sys.stderr)
                return 130
    return 0


def _played(
    kept: Kept, name: str, make: Make, tasks: Sequence[Task], seeds: int, world: World
) -> bool:
    """Plays what is not there yet; whether that was all."""
    times, last = Curves(world).times, time.monotonic()
    missing = [(seed, t) for seed in range(seeds) for t in tasks if not kept.has(t, seed)]
    try:
        for done, (seed, task) in enumerate(missing, 1):
            method, sampler = make(task, seed)
            run = play(task, seed, method, sampler, world)
            kept.add(task, measure(run), regret(run, times * run.horizon))
            if time.monotonic() - last > EVERY or done == len(missing):
                last = time.monotonic()
                kept.save()
                print(f"{name}: {done} of {len(missing)} runs", file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        kept.save()
        return False
    return True


if __name__ == "__main__":
    logging.disable(logging.WARNING)  # of parts of peers that are not installed, and need not be
    sys.exit(main())
