"""How much each hyperparameter matters, as bars; what that means is said in `importance.forest`."""

from collections.abc import Sequence

import numpy as np

from asha_queue.errors import AshaQueueError
from asha_queue.figures.colours import rung_colour
from asha_queue.figures.layout import Figure, empty, escape, layout, title
from asha_queue.figures.parameters import parameters
from asha_queue.figures.results import every_result
from asha_queue.figures.subject import Subject
from asha_queue.importance import Columns, Known, compute


def importance(subject: Subject, known: Known | str | None = None) -> Figure:
    """Each hyperparameter's share, from what is `known`; computed here, which takes seconds, for
    None. A text says why there is none."""
    if known is None:
        try:
            columns = columns_of(subject)
            known = Known(compute(columns), columns.rung, columns.results)
        except AshaQueueError as error:
            known = str(error)
    if isinstance(known, str):
        return empty(f"Importance: {known}")
    return _bars(known.shares, known, len(subject.rungs))


def most_results(subject: Subject) -> tuple[int, int]:
    """The rung with the most results that can be learnt from, and how many it has."""
    counts = [0] * len(subject.rungs)
    for trial in subject.trials:
        for one in trial.results:
            counts[one.rung] += 1
    rung = counts.index(max(counts))
    return rung, counts[rung]


def columns_of(subject: Subject) -> Columns:
    """What is learnt from: the results of the rung with the most of them, trial by trial."""
    rung, _ = most_results(subject)
    results = every_result(subject)
    results = results.at_indices(np.flatnonzero(results.rung == rung))
    configs = [subject.trials[trial].config for trial in results.trial.tolist()]
    values, categories = {}, []
    for one in parameters(subject):
        column = one.column(configs)
        values[one.name] = (np.log(column) if one.log else column).tolist()
        if one.categories is not None:
            categories.append(one.name)
    losses = results.losses(subject.specification.leading.mode).tolist()
    return Columns(rung, len(losses), values, categories, losses)


def _bars(shares: Sequence[tuple[str, float]], known: Known, rungs: int) -> Figure:
    upwards = list(reversed(shares))
    names = [escape(name) for name, _ in upwards]
    data = {
        "type": "bar",
        "orientation": "h",
        "x": [100 * share for _, share in upwards],
        "y": names,
        "text": [f"{share:.0%}" for _, share in upwards],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": rung_colour(known.rung, rungs)},
        "hovertemplate": "%{y}: %{x:.1f} %<extra></extra>",
        "showlegend": False,
    }
    widest = max(share for _, share in shares)
    axes = layout(
        {
            **title(f"% of importance, by {known.results:,} results of rung {known.rung}"),
            "range": [0, 115 * widest],
        },
        {"type": "category", "showgrid": False},
        bargap=0.35,
    )
    return {"data": [data], "layout": axes}
