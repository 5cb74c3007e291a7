"""Experiments for tests of figures and reports: simulated, with learning curves."""

import json
import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import plotly.graph_objects

from asha_queue.figures import FIGURES, Figure, draw
from asha_queue.result import Result
from asha_queue.search.rung import number, written
from asha_queue.search.space import choice, loguniform, randint, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification

SPACE = {
    "lr": loguniform(1e-4, 1.0),
    "net": {"layers": randint(1, 5), "kind": choice(["small", "<b>large</b>", None])},
    "dropout": uniform(0, 0.5),
    "fixed": 3,
}
#: All but the one that takes seconds, and the one of several metrics.
QUICK = [kind for kind in FIGURES if kind not in ("importance", "pareto")]


def specification(**fields: Any) -> Specification:
    """Thirty trials drawn at random: some diverge, which a model would come to avoid."""
    given: dict[str, Any] = {
        "name": "pictured",
        "train": "p.py:train",
        "space": SPACE,
        "metric": "loss",
        "mode": "min",
        "max_t": 9,
        "reduction_factor": 3,
        "num_samples": 30,
        "sampler": "random",
        "seed": 0,
    }
    return Specification(**(given | fields))


def loss(config: Mapping[str, Any], step: int) -> float:
    """Better with a small dropout and a large lr; NaN for the largest."""
    return float("nan") if config["lr"] > 0.5 else config["dropout"] - config["lr"] + 1 / step


def played(
    experiment: Specification | None = None,
    value: Callable[[Mapping[str, Any], int], float] = loss,
    **options: Any,
) -> list[dict[str, Any]]:
    """The journal of a simulated experiment, with a curve of every step in each segment."""
    experiment = experiment or specification()
    metric = experiment.leading.metric
    ran = simulate(
        experiment,
        lambda config, step: {metric: value(config, step)},
        lambda config, start, target: 10.0 * (target - start),
        workers=3,
        **options,
    )
    noise, configs, starts = random.Random(0), {}, {}
    for entry in ran.journal:
        trial = entry.get("trial")
        if entry["type"] == "scheduled":
            configs[trial] = entry["config"]
        elif entry["type"] == "started":
            starts[trial] = entry["start"]
        elif entry["type"] == "completed":
            steps = range(starts[trial] + 1, entry["reached"] + 1)
            values = [value(configs[trial], step) + 0.01 * noise.random() for step in steps[:-1]]
            final = entry["metrics"][metric]
            points = zip(steps, [*map(written, values), final], strict=True)
            entry["curve"] = [[step, {metric: one}] for step, one in points]
    return ran.journal


def result_of(journal: Iterable[Mapping[str, Any]]) -> Result:
    return Result.from_journal(dict(entry) for entry in journal)


def reported(journal: Iterable[Mapping[str, Any]], metric: str = "loss") -> dict[int, dict]:
    """By trial, all values by step that the journal has: of curves and of results."""
    found: dict[int, dict[int, float]] = {}
    for entry in journal:
        if entry["type"] == "completed":
            points = found.setdefault(entry["trial"], {})
            points |= {step: number(one.get(metric)) for step, one in entry.get("curve") or []}
            points[entry["reached"]] = number(entry["metrics"].get(metric))
    return found


def drawn_points(figure: Figure) -> list[tuple[int, Any, Any]]:
    """All points (trial, x, y) of the traces that are drawn from trials, but the gaps."""
    return [
        (trial, x, y)
        for trace in figure["data"]
        if "customdata" in trace and trace["name"] != "best so far"
        for trial, x, y in zip(trace["customdata"], trace["x"], trace["y"], strict=True)
        if y is not None
    ]


def validated(kind: str, result: Result, **options: Any) -> Figure:
    """A figure that is JSON without NaN and that plotly accepts."""
    figure = draw(kind, result, **options)
    assert json.loads(json.dumps(figure, allow_nan=False)) == figure
    plotly.graph_objects.Figure(figure)
    assert set(figure["layout"]["meta"]) == {"title", "description", "height"}
    return figure
