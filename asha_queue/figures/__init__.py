"""The pictures of an experiment, for pages, reports and notebooks: plain dicts that plotly reads.

`FIGURES` lists them. Each is a function from a result (`result.Result`, or what looks like one) to
{"data": […], "layout": {…}} of JSON types. In pages and reports `static/theme_figures.js` draws
them and gives them their colours; `plotted` makes objects of plotly of them, for notebooks.
"""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from asha_queue.errors import AshaQueueError
from asha_queue.figures.colours import NEUTRAL, rung_colour
from asha_queue.figures.influence import columns_of, importance, most_results
from asha_queue.figures.layout import Figure
from asha_queue.figures.learning import curves
from asha_queue.figures.notebook import plotted
from asha_queue.figures.parameters import parallel, parameters, scatter
from asha_queue.figures.pareto import axes, pareto
from asha_queue.figures.planned import busy_shares, lengths, plan_and_actual, planned_rungs
from asha_queue.figures.preview import preview
from asha_queue.figures.progress import best_over_resource, best_over_time
from asha_queue.figures.rungs import ladder, steps
from asha_queue.figures.single import single
from asha_queue.figures.subject import Live, Subject

__all__ = [
    "FIGURES",
    "NEUTRAL",
    "SCRIPT",
    "Figure",
    "axes",
    "busy_shares",
    "columns_of",
    "draw",
    "importance",
    "lengths",
    "most_results",
    "parameters",
    "plan_and_actual",
    "planned_rungs",
    "plotted",
    "preview",
    "rung_colour",
    "steps",
    "trial_curve",
]

#: The script that draws figures in pages and reports.
SCRIPT = Path(__file__).parent / "static" / "theme_figures.js"


@dataclass(frozen=True, slots=True)
class Kind:
    """A figure: its function, its title, and what is to be seen in it, in a sentence."""

    function: Callable[..., Figure]
    title: str
    description: str
    #: Pixels that it is high; of those with bars, for each bar more.
    height: int = 360
    per_bar: int = 0
    options: tuple[str, ...] = ()


FIGURES: dict[str, Kind] = {
    "best_over_time": Kind(
        best_over_time,
        "Best value over time",
        "The best value seen so far, and each result of a rung when it came in.",
    ),
    "best_over_resource": Kind(
        best_over_resource,
        "Best value over resource",
        "The best value seen so far, and each result, by the steps that all trials had spent.",
    ),
    "pareto": Kind(
        pareto,
        "Trade-off",
        "Two metrics of each trial. Grey: behind the Pareto front; hollow: violates a constraint.",
        height=400,
        options=("x", "y"),
    ),
    "curves": Kind(
        curves,
        "Learning curves",
        "The metric of every trial by step, coloured by the highest rung that it has reached.",
        height=440,
        options=("live",),
    ),
    "ladder": Kind(
        ladder,
        "Rungs",
        "Results and cost of each rung. Solid: promoted; pale: not; grey: without a value.",
        height=110,
        per_bar=34,
    ),
    "scatter": Kind(
        scatter,
        "Parameter against metric",
        "One hyperparameter and the metric: each trial's result in the highest rung it reached.",
        height=400,
        options=("parameter",),
    ),
    "parallel": Kind(
        parallel,
        "Parallel coordinates",
        "A line for each trial, but those with a value far off; drag along an axis to choose.",
        height=420,
    ),
    "importance": Kind(
        importance,
        "Parameter importance",
        "How much worse a random forest predicts unseen results without knowing a hyperparameter.",
        height=110,
        per_bar=34,
        options=("known",),
    ),
}


def draw(kind: str, subject: Subject, **options: object) -> Figure:
    """The figure of that kind with its title, description and height in `layout.meta`.

    Raises AshaQueueError for a kind, an option or a parameter that there is not, naming those that
    there are.
    """
    if kind not in FIGURES:
        close = difflib.get_close_matches(kind, FIGURES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise AshaQueueError(
            f"kind={kind!r}: there is no such figure; {hint}There are: {', '.join(FIGURES)}"
        )
    one = FIGURES[kind]
    for option in options:
        if option not in one.options:
            takes = ", ".join(one.options) or "no options"
            raise AshaQueueError(f"{option}={options[option]!r}: {kind} takes {takes}")
    figure = one.function(subject, **options)
    bars = {"ladder": len(subject.rungs), "importance": len(parameters(subject))}.get(kind, 0)
    figure["layout"]["meta"] = {
        "title": one.title,
        "description": one.description,
        "height": one.height + one.per_bar * bars,
    }
    return figure


def trial_curve(subject: Subject, number: int, live: Live | None = None) -> Figure:
    """The learning curve of one trial, with what `draw` says of a figure."""
    figure = single(subject, number, live)
    figure["layout"]["meta"] = {
        "title": f"Learning curve of trial {number}",
        "description": "The metric by step, and the trial's results in the rungs.",
        "height": 360,
    }
    return figure
