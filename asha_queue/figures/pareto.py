"""What is given up of one metric for another: the Pareto front, and the results behind it.

A dot is a trial's result in the highest rung that it has reached. The front is that of the highest
rung that has one (`Result.pareto_front`); trials in lower rungs may lie beyond it, with values that
came from less training. With more than two metrics it is no line in any two of them.
"""

import math
from typing import Any

import numpy as np

from asha_queue.errors import AshaQueueError
from asha_queue.figures.colours import NEUTRAL, rung_colour
from asha_queue.figures.layout import Figure, empty, escape, hover_text, layout, numbers, title
from asha_queue.figures.results import DOTS
from asha_queue.figures.subject import Subject
from asha_queue.search.rung import number


def axes(subject: Subject) -> list[str]:
    """The metrics that may be an axis: those that are ranked by, then those with constraints."""
    specification = subject.specification
    return list(dict.fromkeys([*specification.metrics, *specification.constraints]))


def pareto(subject: Subject, x: str | None = None, y: str | None = None) -> Figure:
    """Two metrics of each trial, by default the second one over the first."""
    names = axes(subject)
    points = [(trial, trial.results[-1]) for trial in subject.trials if trial.results]
    if not points:
        return empty("No result yet")
    if len(names) < 2:
        return empty("There is one metric only, and no constraint on another")
    x, y = x or names[0], y or names[1]
    for axis, name in (("x", x), ("y", y)):
        if name not in names:
            raise AshaQueueError(f"{axis}={name!r}: the metrics are {', '.join(names)}")
    front = {one.trial: one.metrics for one in subject.pareto_front}
    shown = points[:: -(-len(points) // DOTS) or 1]
    behind = [(t, r.metrics, r.rung) for t, r in shown if not r.violation and t.number not in front]
    outside = [(t, r.metrics, r.rung) for t, r in shown if r.violation]
    top = len(subject.rungs) - 1
    colour = rung_colour(top, top + 1)
    rung = next((r.rung for t, r in points if t.number in front), top)
    first = [(subject.trials[trial], metrics, rung) for trial, metrics in front.items()]
    first.sort(key=lambda one: (number(one[1].get(x)), number(one[1].get(y))))
    data = []
    for name, of, marker in (
        ("violates a constraint", outside, {"color": NEUTRAL, "symbol": "circle-open", "size": 7}),
        ("dominated", behind, {"color": NEUTRAL, "size": 6, "opacity": 0.7}),
        ("Pareto front" if len(subject.specification.metrics) > 1 else "best", first, None),
    ):
        trace = _dots(of, x, y)
        if not trace["x"]:
            continue
        data.append(
            {
                **trace,
                "name": name,
                "mode": "markers",
                "marker": marker or {"color": colour, "size": 9},
            }
        )
        objectives = {goal.metric: goal.mode for goal in subject.specification.goal.objectives}
        if marker is None and objectives.keys() == {x, y}:
            # the corner between two points is what both of them dominate
            shape = "hv" if objectives[x] == "min" else "vh"
            data[-1] |= {"mode": "lines+markers", "line": {"shape": shape, "width": 2}}
            data[-1]["line"]["color"] = colour
    if not data:
        return empty("No result yet")
    return {"data": data, "layout": layout(title(x), title(y))}


def _dots(of: list[tuple[Any, Any, int]], x: str, y: str) -> dict[str, Any]:
    """The trials that have both values, as a trace."""
    places = [(number(metrics.get(x)), number(metrics.get(y))) for _, metrics, _ in of]
    kept = [i for i, place in enumerate(places) if all(map(math.isfinite, place))]
    columns = np.array([places[i] for i in kept]).reshape(-1, 2)
    return {
        "type": "scatter",
        "x": numbers(columns[:, 0]),
        "y": numbers(columns[:, 1]),
        "customdata": [of[i][0].number for i in kept],
        "text": [f"rung {of[i][2]}<br>{hover_text(of[i][0].config)}" for i in kept],
        "hovertemplate": (
            f"<b>trial %{{customdata}}</b><br>{escape(x)} %{{x:.6~g}}<br>"
            f"{escape(y)} %{{y:.6~g}}<br>%{{text}}<extra></extra>"
        ),
    }
