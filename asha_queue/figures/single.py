"""The learning curve of one trial, with its results in the rungs."""

from typing import Any

import numpy as np

from asha_queue.figures.colours import rung_colour
from asha_queue.figures.layout import Figure, empty, escape, layout, numbers, title, value_axis
from asha_queue.figures.subject import Live, Subject


def single(subject: Subject, number: int, live: Live | None = None) -> Figure:
    """Every point of trial `number` that is journalled, and the live ones behind the last."""
    trial, metric = subject.trials[number], escape(subject.specification.leading.metric)
    points = dict(zip(*trial.curve.column(subject.specification.leading.metric), strict=True))
    results = {one.reached: one for one in trial.results}
    points |= {step: one.value for step, one in results.items() if step not in points}
    last = max(points, default=-1)
    points |= {step: value for step, value in (live or {}).get(number, ()) if step > last}
    steps = sorted(points)
    values = np.array([points[step] for step in steps], np.float64)
    if not np.isfinite(values).any():
        return empty("No report yet")
    line: dict[str, Any] = {
        "type": "scatter",
        "mode": "lines+markers" if len(steps) <= 200 else "lines",
        "name": "reports",
        "x": steps,
        "y": numbers(values),
        "marker": {"size": 4},
        "line": {"width": 1.5},
        "hovertemplate": f"step %{{x:,}}<br>{metric} %{{y:.6~g}}<extra></extra>",
    }
    reached = sorted(results)
    colours = [rung_colour(results[step].rung, len(subject.rungs)) for step in reached]
    marks: dict[str, Any] = {
        "type": "scatter",
        "mode": "markers",
        "name": "results in rungs",
        "x": reached,
        "y": numbers(np.array([results[step].value for step in reached], np.float64)),
        "customdata": [results[step].rung for step in reached],
        "marker": {"size": 11, "color": colours},
        "hovertemplate": (
            f"<b>rung %{{customdata}}</b><br>step %{{x:,}}<br>{metric} %{{y:.6~g}}<extra></extra>"
        ),
    }
    axis = value_axis(subject, values)
    axis.pop("range", None)  # of one trial, all is shown
    return {"data": [line, marks], "layout": layout(title("steps"), axis)}
