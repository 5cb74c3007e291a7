"""An experiment as one HTML file that needs nothing else: to keep, to send, to print.

Rules

* Whatever it shows is in it, plotly.js too; its own policy forbids it to load anything.
* Names, configurations and errors are texts of users: the template escapes them, figures carry
  them as JSON in which no tag can begin or end.
* The tables say what the figures show, for readers without JavaScript or eyesight.
"""

from itertools import combinations
from typing import Any

from asha_queue.figures import (
    FIGURES,
    axes,
    draw,
    parameters,
    plan_and_actual,
    rung_colour,
    steps,
)
from asha_queue.figures.parameters import Parameter
from asha_queue.report.pages import date, page, written
from asha_queue.result import Result
from asha_queue.search.configuration import flatten, short
from asha_queue.search.domains import shown
from asha_queue.selection import choose
from asha_queue.views import aim, duration, number, savings
from asha_queue.views.outlook import budgets
from asha_queue.views.plans import Expected, rungs_planned

#: Trials in the table.
TRIALS = 50
#: Hyperparameters of which there is a figure each.
PARAMETERS = 24


def report(result: Result, made: float) -> str:
    """The page; `made` is the time at which it is made, in seconds."""
    best, _ = choose(result, limit=TRIALS)
    return page(
        "report.html",
        made,
        result=result,
        specification=result.specification,
        best=best,
        steps=steps(result),
        figures=_figures(result),
        began=date(result.began) if result.began else "",
        colour=rung_colour,
        aim=aim(result.specification),
        duration=duration,
        flatten=flatten,
        number=number,
        savings=savings,
        budgets=budgets,
        short=short,
        space=[(parameter.name, _written(parameter)) for parameter in parameters(result)],
    )


def _figures(result: Result) -> list[dict[str, Any]]:
    """Each figure with its title; of those that show one hyperparameter, one for each."""
    found = []
    for kind, figure in FIGURES.items():
        chosen: list[dict[str, str]] = [{}]
        if "parameter" in figure.options:
            names = [parameter.name for parameter in parameters(result)]
            chosen = [{"parameter": name} for name in names[:PARAMETERS]] or [{}]
        if kind == "pareto":
            chosen = [{"x": x, "y": y} for x, y in list(combinations(axes(result), 2))[:PARAMETERS]]
            if not chosen:
                continue
        found.append(
            {
                "kind": kind,
                "title": figure.title,
                "description": figure.description,
                "choices": [", ".join(options.values()) for options in chosen],
                "json": [written(draw(kind, result, **options)) for options in chosen],
            }
        )
        if kind == "ladder":
            found.append(_planned(result))
    return found


def _planned(result: Result) -> dict[str, Any]:
    """What was planned of each rung beside what came of it."""
    figure = plan_and_actual(result, rungs_planned(Expected.of(result)))
    meta = figure["layout"]["meta"]
    return {"kind": "planned", **meta, "choices": [""], "json": [written(figure)]}


def _written(parameter: Parameter) -> str:
    """Its domain as users write it, `loguniform(0.0001, 1.0)`, and the option it belongs to."""
    labels = parameter.described.labels
    domain = f"{parameter.domain.name} of {', '.join(labels)}" if labels else ""
    return (domain or shown(parameter.domain)) + (f" if {parameter.when}" if parameter.when else "")
