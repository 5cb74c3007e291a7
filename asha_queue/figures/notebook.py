"""Figures as objects of plotly, for notebooks and for whoever wants to change or save them."""

from typing import Any

from asha_queue.figures.layout import Figure

#: Pixels above a figure for its title, and for a second row of the legend.
TITLE = 72


def plotted(figure: Figure) -> Any:
    """A figure of `draw` as a `plotly.graph_objects.Figure`, with its title and height, in the look
    that plotly has by default there (`plotly.io.templates.default`)."""
    import plotly.graph_objects
    import plotly.io

    frame = figure["layout"]["margin"]
    dark = "dark" in (plotly.io.templates.default or "")
    more = {
        "title": {
            "text": figure["layout"]["meta"]["title"],
            "yref": "container",
            "y": 1,
            "yanchor": "top",
            "pad": {"t": 12},
        },
        "height": figure["layout"]["meta"]["height"] + TITLE,
        "margin": {**frame, "t": frame["t"] + TITLE},
        # of what has no colour of its own: the best, in that of the text
        "colorway": ["#e6ebe3" if dark else "#212822"],
    }
    return plotly.graph_objects.Figure({**figure, "layout": {**figure["layout"], **more}})
