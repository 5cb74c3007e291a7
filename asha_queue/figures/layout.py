"""What all figures have in common: axes, legend, margins, and texts that are safe to show.

Colours of paper, grid and font, and the height, are left to whoever shows a figure. plotly reads
texts as a subset of HTML and `%{…}` in templates as fields, so names and values that users gave
pass through `escape` before they go anywhere.
"""

import math
from collections.abc import Mapping
from html import escape as escape_html
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.figures.subject import Subject
from asha_queue.search.configuration import short

#: A figure as plotly reads it: {"data": […], "layout": {…}}, of JSON types only.
Figure = dict[str, Any]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Characters of a configuration in a hover text: of a line, and in all.
LINE = 44
WHOLE = 400
#: Significant digits of numbers in a figure that leaves points out.
DIGITS = 6
#: A value is far out if it is worse than three quarters of all by so many times their spread.
FAR = 2.0
#: A value axis is logarithmic if its values, but those far out, span this factor.
LOGARITHMIC = 100.0
#: From this number on, counts on an axis are written as 10k, 2M.
MANY = 10_000


def escape(text: object) -> str:
    """A text that plotly shows as it is, wherever it stands."""
    return escape_html(str(text), quote=False).replace("%", "&#37;")


def hover_text(config: Mapping[str, Any]) -> str:
    """A configuration in the few short lines of a hover text."""
    line = short(config)
    if len(line) <= LINE:
        return escape_html(line, quote=False)
    lines, width = [""], 0
    for word in line[:WHOLE].split(" "):
        if width and width + 1 + len(word) > LINE:
            lines.append("")
            width = 0
        lines[-1] += f" {word}" if width else word
        width += 1 + len(word)
    more = " …" if len(line) > WHOLE else ""
    return escape_html("\n".join(lines), quote=False).replace("\n", "<br>") + more


def numbers(values: Floats, exact: bool = True) -> list[float | None]:
    """A column for JSON, which has no NaN: None stands for what is no finite number."""
    if exact:
        return [value if math.isfinite(value) else None for value in values.tolist()]
    return [
        float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None for value in values.tolist()
    ]


def layout(x: dict[str, Any], y: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The layout of a figure with these axes."""
    common = {"automargin": True, "zeroline": False, "exponentformat": "e"}
    return {
        "xaxis": {**common, **x},
        "yaxis": {**common, **y},
        "margin": {"l": 48, "r": 12, "t": 8, "b": 44},
        "hovermode": "closest",
        "hoverlabel": {"align": "left", "namelength": -1},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 1.02,
            "yanchor": "bottom",
            "itemsizing": "constant",
        },
        # what a person has zoomed or hidden stays so when the figure is drawn with newer points
        "uirevision": "asha",
        **more,
    }


def title(text: object) -> dict[str, Any]:
    return {"title": {"text": escape_html(str(text), quote=False)}}


def counts(most: float) -> dict[str, Any]:
    """How an axis of counts up to `most` writes them."""
    return {"tickformat": "~s"} if most >= MANY else {}


def fence(subject: Subject, values: Floats, far: float = FAR) -> float:
    """The value that nothing but what is far out is worse than: one diverging trial must not press
    all others into a line."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return math.nan
    # losses, the smaller the better; numbers near the largest that there are may overflow
    losses = finite if subject.specification.leading.mode == "min" else -finite
    with np.errstate(over="ignore", invalid="ignore"):
        usual = float(np.quantile(losses, 0.75))
    best = float(losses.min())
    limit = usual + far * (usual - best)
    worst = float(losses[losses <= limit].max() if math.isfinite(limit) else losses.max())
    return worst if subject.specification.leading.mode == "min" else -worst


def value_axis(
    subject: Subject, values: Floats, factor: float = LOGARITHMIC, far: float = FAR
) -> dict[str, Any]:
    """The axis of the metric for these values: logarithmic where they span this factor; values that
    are far out lie outside of its first view."""
    axis = title(subject.specification.leading.metric)
    finite = values[np.isfinite(values)]
    if len(finite) < 2:
        return axis
    least = subject.specification.leading.mode == "min"
    low, high = float(finite.min()), float(finite.max())
    best, worst = (low, high) if least else (high, low)
    bulk = fence(subject, values, far)
    if least and best > 0 and bulk / best >= factor:
        # labels at 1, 2 and 5, and of many decades at each
        axis |= {"type": "log", "dtick": 1 if bulk / best > 1000 else "D2"}
        best, bulk, worst = math.log10(best), math.log10(bulk), math.log10(worst)
    if bulk != worst and bulk != best:
        room = 0.06 * (bulk - best)  # towards the worse, of either sign
        if math.isfinite(room):
            axis["range"] = sorted((best - room, bulk + room))
    return axis


def empty(message: str) -> Figure:
    """A figure that says why it shows nothing yet."""
    hidden = {"visible": False}
    note = {
        "text": escape(message),
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
    }
    return {"data": [], "layout": layout(hidden, hidden, annotations=[note])}
