"""How the best value came about: over time, and over the resource that was spent."""

from typing import Any

import numpy as np

from asha_queue.figures.layout import (
    Figure,
    Floats,
    counts,
    empty,
    escape,
    layout,
    numbers,
    title,
    value_axis,
)
from asha_queue.figures.results import dots, drawn, every_result
from asha_queue.figures.subject import Subject

#: Units of time: the seconds from which on each is used, its length in seconds, its name.
_UNITS = ((2 * 86400.0, 86400.0, "days"), (7200.0, 3600.0, "hours"), (180.0, 60.0, "minutes"))


def unit_of(seconds: float) -> tuple[float, str]:
    """The unit in which so many seconds are read best: its length in seconds, and its name."""
    for least, length, name in _UNITS:
        if seconds >= least:
            return length, name
    return 1.0, "seconds"


def best_over_time(subject: Subject) -> Figure:
    """The best value seen, as steps over the time since the start, and each rung's results."""
    unit, name = unit_of(subject.seconds)
    results, began = every_result(subject), subject.began or 0.0
    line = [(one.at - began) / unit for one in subject.improvements]
    return _progress(
        subject,
        (results.at - began) / unit,
        [*line, subject.seconds / unit],
        {**title(f"{name} since the start"), "rangemode": "tozero"},
        f"after %{{x:.4~g}} {name}",
    )


def best_over_resource(subject: Subject) -> Figure:
    """The best value seen, as steps over the resource spent by all trials."""
    line = [float(one.spent) for one in subject.improvements]
    return _progress(
        subject,
        every_result(subject).spent.astype(np.float64),
        [*line, float(subject.resource_spent)],
        {
            **title("steps spent by all trials"),
            **counts(subject.resource_spent),
            "rangemode": "tozero",
        },
        "%{x:,} steps spent",
    )


def _progress(
    subject: Subject, x: Floats, line: list[float], x_axis: dict[str, Any], hover: str
) -> Figure:
    results = every_result(subject)
    shown = drawn(results, subject.specification.leading.mode)
    if not len(shown):
        return empty("No result yet")
    exact = len(shown) == np.isfinite(results.value).sum()
    data = dots(subject, results.at_indices(shown), x[shown], hover, exact)
    if subject.improvements:
        data.append(_best(subject, line))
    return {"data": data, "layout": layout(x_axis, value_axis(subject, results.value))}


def _best(subject: Subject, line: list[float]) -> dict[str, Any]:
    """The steps; the last of its points is no report, but says that the best still holds."""
    metric = escape(subject.specification.leading.metric)
    improvements = subject.improvements
    values = numbers(np.array([one.value for one in improvements]))
    trials = [one.trial for one in improvements]
    resources = [f"{one.resource:,}" for one in improvements]
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "best so far",
        "x": line,
        "y": [*values, values[-1]],
        "customdata": [*trials, trials[-1]],
        "text": [*resources, resources[-1]],
        "line": {"shape": "hv", "width": 2},
        "hovertemplate": (
            f"<b>best so far</b><br>{metric} %{{y:.6~g}}<br>"
            "trial %{customdata} at step %{text}<extra></extra>"
        ),
    }
