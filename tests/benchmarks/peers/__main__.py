"""Plays all and prints the table: `make bench-peers`, or `python -m tests.benchmarks.peers`."""

import argparse
import json
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.benchmarks.peers import ours
from tests.benchmarks.peers.rows import (
    OURS,
    RAY,
    RAY_KEEPS,
    REDIS,
    REDIS_KEEPS,
    SQLITE,
    SYNE,
    SYSTEMS,
    Failed,
    Measured,
    busy,
    rate,
    rows,
)
from tests.benchmarks.peers.runs import adopt, nothing_left, run, server
from tests.benchmarks.peers.work import Phase
from tests.benchmarks.table import HEAD

#: Environment and module of each peer, and what it is asked for.
PROGRAMS = {
    RAY: ("ray-tune", "ray_tune", "play"),
    RAY_KEEPS: ("ray-tune", "ray_tune", "keep"),
    REDIS: ("optuna", "optuna", "play"),
    REDIS_KEEPS: ("optuna", "optuna", "play"),
    SQLITE: ("optuna", "optuna", "play"),
    SYNE: ("syne-tune", "syne_tune", "play"),
}
#: Those who are measured without sleep only: sleeping tells the same of them as of their like.
BRIEF = (RAY_KEEPS, REDIS_KEEPS)
#: Trials without sleep, by who trains them: what each gets done in about ten seconds.
TRIALS = {
    OURS: 3000,
    RAY: 1500,
    RAY_KEEPS: 500,
    REDIS: 3000,
    REDIS_KEEPS: 3000,
    SQLITE: 300,
    SYNE: 16,
}
#: Trials by the seconds that a segment takes; of those whose trials are processes, few suffice.
SLEEPING = {0.05: 150, 0.2: 50, 1.0: 14}
SLEEPING_PROCESSES = {0.05: 14, 0.2: 14, 1.0: 8}
RESULTS = (1_000, 10_000, 100_000)
#: Seconds for one of them, and for all.
LIMIT = 180.0
LIMIT_OF_ALL = 570.0


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.peers", description="Peers at the same work, in one table."
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--environments", type=Path, default=Path(".peers"), metavar="DIR", help="default: .peers"
    )
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that what runs is ended, too
    adopt()
    measured = dict(play(arguments.environments.absolute()))
    if not arguments.json:
        print(HEAD)
    for figure in rows(measured):
        text = json.dumps(figure.to_json(), ensure_ascii=False) if arguments.json else figure.row()
        print(text, flush=True)
    if OURS not in measured:
        sys.exit(1)


def play(environments: Path) -> Iterator[tuple[str, Measured]]:
    """All who can be measured; of the others one line says why they were not."""
    end = time.monotonic() + LIMIT_OF_ALL
    for name in SYSTEMS:
        began = time.monotonic()
        until = min(began + LIMIT, end)
        # a short path: sockets lie below it
        with tempfile.TemporaryDirectory(prefix="peers-", ignore_cleanup_errors=True) as folder:
            try:
                yield name, _measure(name, Path(folder), environments, until)
            except Failed as failed:
                print(f"{name}: not measured: {failed}", file=sys.stderr, flush=True)
            else:
                took = time.monotonic() - began
                print(f"{name}: measured in {took:.0f} s", file=sys.stderr, flush=True)


def _measure(name: str, folder: Path, environments: Path, until: float) -> Measured:
    trials = {0.0: TRIALS[name]}
    if name not in BRIEF:
        trials |= SLEEPING_PROCESSES if name == SYNE else SLEEPING
    phases = [
        Phase(count, seconds, str(folder / f"lines-{seconds:g}"))
        for seconds, count in trials.items()
    ]
    if name == OURS:
        return ours.measured(phases, RESULTS, folder, until)
    environment, module, verb = PROGRAMS[name]
    if not (environments / environment / ".ready").exists():
        raise Failed(f"{environments / environment} is not ready; `make bench-peers` installs it")
    python = str(environments / environment / "bin/python")
    program = [python, "-m", f"tests.benchmarks.peers.{module}"]
    with nothing_left():
        place = PLACES.get(name, str)(folder)
        ran = run([*program, verb, place, *map(str, phases)], folder, until, phases)
    lines = dict(zip(trials, ran.lines, strict=True))
    idle = lines.pop(0.0)
    found = Measured(idle[0].began - ran.began, rate(idle), len(idle))
    if name in BRIEF:
        return found
    found.busy = {seconds: busy(of) for seconds, of in lines.items()}
    found.memory = ran.memory
    if name != SQLITE:  # the pruner is the same
        ran = run([*program, "decide", *map(str, RESULTS)], folder, until)
        for line in ran.output.splitlines():
            if not line.startswith("{"):  # what a peer prints when it is imported
                continue
            answer = json.loads(line)
            found.decisions[answer["results"]] = answer["seconds"]
    return found


#: Where each keeps its experiments, if not in the folder.
PLACES: dict[str, Callable[[Path], str]] = {
    REDIS: server,
    REDIS_KEEPS: lambda folder: server(folder, "--appendonly", "yes", "--appendfsync", "always"),
    SQLITE: lambda folder: f"sqlite:///{folder}/study.db",
}


if __name__ == "__main__":
    main()
