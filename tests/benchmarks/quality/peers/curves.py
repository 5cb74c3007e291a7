"""What was played of peers, kept as one JSON file for each method and world.

A file is {"method", "version", "world", "runs"}; each run has its measures, its regret at the
points of a plot, and the mark of the table that it was played on. What is there is not played
again, unless the version of the peer is another.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.quality.measures import Measures
from tests.benchmarks.quality.play import World
from tests.benchmarks.quality.tables import Floats, Task

#: What stands before the name of a peer's method where its rule is played here.
RULE_OF = "rule-of-"
#: Digits kept of regret in a curve.
DIGITS = 4


class Kept:
    """The file of one method in one world."""

    def __init__(self, folder: Path, method: str, version: str, world: World) -> None:
        settings = {**asdict(world), "training": None}
        words = [f"{key[0]}{value:g}" for key, value in settings.items() if value]
        self.path = folder / f"{'-'.join([*method.split('/'), *words])}.json"
        self._head = {"method": method, "version": version, "world": asdict(world)}
        self._runs: list[dict[str, Any]] = []
        if self.path.exists():
            held = json.loads(self.path.read_text("utf-8"))
            if {key: held.get(key) for key in self._head} == self._head:
                self._runs = held["runs"]

    def has(self, task: Task, seed: int) -> bool:
        return any((run["mark"], run["seed"]) == (task.mark, seed) for run in self._runs)

    def add(self, task: Task, measures: Measures, curve: Floats) -> None:
        values = [round(value, DIGITS) for value in curve.tolist()]
        self._runs.append({**asdict(measures), "mark": task.mark, "curve": values})

    def save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        written = self.path.with_suffix(".new")
        written.write_text(json.dumps({**self._head, "runs": self._runs}), "utf-8")
        written.replace(self.path)


def kept(
    folder: Path, world: World, tasks: Sequence[Task], seeds: int
) -> Iterator[tuple[str, Measures, Floats]]:
    """Method, measures and curve of all runs that were played on these tables in this world."""
    names = {task.mark: task.name for task in tasks}
    for path in sorted(folder.glob("*.json")):
        held = json.loads(path.read_text("utf-8"))
        if held["world"] != asdict(world):
            continue
        for run in held["runs"]:
            if run["mark"] in names and run["seed"] < seeds:
                curve = np.array(run.pop("curve"))
                name = names[run.pop("mark")]
                measures = Measures(**{**run, "task": name, "regret": tuple(run["regret"])})
                if not math.isnan(measures.area):
                    yield held["method"], measures, curve
