"""The work that all get, and how the programs of peers are asked for it.

A program is called as

    play PLACE TRIALS:SECONDS:LINES …   to play experiments, one after the other
    keep PLACE TRIALS:SECONDS:LINES …   the same, with what it keeps on the disk by itself
    decide RESULTS …                    to time one decision at so many results in the lowest rung

and prints the answer to the last as JSON, a line for each number. PLACE is a folder or a server.
"""

import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

#: The ladder: grace period 1, at most 64, a factor of 4.
LEVELS = (1, 4, 16, 64)
#: Decisions timed for each number of results.
DECISIONS = 30


class Phase(NamedTuple):
    """An experiment."""

    trials: int
    #: What a segment takes.
    seconds: float
    #: Path of the file to which each segment adds a line.
    lines: str

    def __str__(self) -> str:
        return ":".join(map(str, self))


def segment(x: float, level: int, seconds: float, lines: str) -> float:
    """Trains the trial with the parameter `x` up to a level; returns its loss there."""
    began = time.monotonic()
    if seconds:
        time.sleep(seconds)
    line = f"{os.getpid()} {level} {began} {time.monotonic()}\n"
    # one write, so that lines of several processes do not mix
    file = os.open(lines, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
    return x + 1 / level


def timed(decision: Callable[[float], object]) -> float:
    """Median seconds of a decision, which is given the loss that has come in."""
    rng = random.Random(1)
    took = []
    for _ in range(DECISIONS):
        loss = rng.random()
        began = time.perf_counter()
        decision(loss)
        took.append(time.perf_counter() - began)
    return statistics.median(took)


def main(decide: Callable[[int], float], **verbs: Callable[[str, list[Phase]], None]) -> None:
    """Answers what a program is asked on its command line."""
    verb, *words = sys.argv[1:]
    if verb in verbs:
        phases = []
        for word in words[1:]:
            trials, seconds, lines = word.split(":", 2)
            phases.append(Phase(int(trials), float(seconds), lines))
        verbs[verb](words[0], phases)
        return
    for word in words:
        print(json.dumps({"results": int(word), "seconds": decide(int(word))}), flush=True)
