"""What an experiment is expected to take, by rung and by fleet, and what came of it.

Figures stand below `planning`, as below `result`: the protocols are all that they know of a plan.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from asha_queue.figures.colours import NEUTRAL, rung_colour
from asha_queue.figures.layout import Figure, counts, layout, title
from asha_queue.figures.progress import unit_of
from asha_queue.figures.subject import Subject

#: Share of the width that the left one of two panels has.
_LEFT = 0.47
#: Pixels of a figure with bars, without them and for each.
_HEIGHT = 110
_PER_BAR = 34


class Spread(Protocol):
    @property
    def low(self) -> float: ...
    @property
    def median(self) -> float: ...
    @property
    def high(self) -> float: ...


class PlannedRung(Protocol):
    """Segments and steps that are expected in one rung."""

    @property
    def rung(self) -> int: ...
    @property
    def level(self) -> int: ...
    @property
    def segments(self) -> Spread: ...
    @property
    def resource(self) -> Spread: ...


#: Workers, the seconds or steps that the experiment takes with them, and their busy share.
Point = tuple[int, float, float]


def planned_rungs(rungs: Sequence[PlannedRung]) -> Figure:
    """Segments and steps of each rung, with the range of the plays."""
    data = []
    for panel, spreads in enumerate(_panels(rungs)):
        colours = [rung_colour(rung.rung, len(rungs)) for rung in rungs]
        data.append(_bars("planned", rungs, panel, spreads, colours, ranged=True))
    meta = {
        "title": "Planned rungs",
        "description": "Segments and steps of each rung: the median of all plays, and their range.",
        "height": _HEIGHT + _PER_BAR * len(rungs),
    }
    return {"data": data, "layout": _two_panels("segments", meta, data)}


def plan_and_actual(subject: Subject, rungs: Sequence[PlannedRung]) -> Figure:
    """Of each rung what was planned, and what came of it so far."""
    planned = {rung.level: rung for rung in rungs}
    actual = subject.rungs
    known = [rung for rung in rungs if rung.level in {one.level for one in actual}]
    colours = [rung_colour(rung.rung, len(actual)) for rung in actual]
    results: list[float] = [rung.results for rung in actual]
    steps: list[float] = [rung.resource for rung in actual]
    data = []
    for panel, (values, spreads) in enumerate(zip((results, steps), _panels(known), strict=True)):
        neutral = [NEUTRAL] * len(known)
        pale = _bars("planned", known, panel, spreads, neutral, ranged=True)
        pale["marker"]["opacity"] = 0.5
        data.append(pale)
        data.append(
            {
                **_bars("actual", actual, panel, [], colours),
                "x": values,
                "hovertemplate": "actual: %{x:,}<extra></extra>",
            }
        )
    meta = {
        "title": "Plan and actual",
        "description": "Results and steps of each rung, coloured; grey: as they are planned, the "
        "median of plays with made-up values, and their range.",
        "height": _HEIGHT + 2 * _PER_BAR * max(len(planned), len(actual)),
    }
    grouped = {"barmode": "group", "bargap": 0.3, "bargroupgap": 0.05}
    return {"data": data, "layout": _two_panels("results", meta, data) | grouped}


def lengths(points: Sequence[Point], timed: bool) -> Figure:
    """How long it takes, over the number of workers."""
    longest = max(length for _, length, _ in points)
    unit, name = unit_of(longest) if timed else (1.0, "steps one after the other")
    values = [length / unit for _, length, _ in points]
    line = _line(points, values, f"%{{y:,.4~g}} {name}", rung_colour(0, 2))
    axis = {**title(name), "rangemode": "tozero"}
    meta = {
        "title": "Time over workers",
        "description": f"How long the experiment takes with so many workers, in {name}.",
        "height": 320,
    }
    return {"data": [line], "layout": layout(_workers(points), axis, meta=meta, showlegend=False)}


def busy_shares(points: Sequence[Point]) -> Figure:
    """The share of the time in which workers train, over their number."""
    line = _line(
        points, [100 * share for *_, share in points], "%{y:.0f} % busy", rung_colour(1, 2)
    )
    axis = {**title("% of the time in training"), "range": [0, 105]}
    meta = {
        "title": "Busy share",
        "description": "The share of their time in which workers train; the rest they wait for the "
        "last trials to end.",
        "height": 320,
    }
    return {"data": [line], "layout": layout(_workers(points), axis, meta=meta, showlegend=False)}


def _panels(rungs: Sequence[PlannedRung]) -> tuple[list[Spread], list[Spread]]:
    return [rung.segments for rung in rungs], [rung.resource for rung in rungs]


def _bars(
    name: str,
    rungs: Sequence[Any],
    panel: int,
    spreads: Sequence[Spread],
    colours: list[str],
    ranged: bool = False,
) -> dict[str, Any]:
    """Bars of one panel, in a row for each level; with the range of the plays, if `ranged`."""
    bars: dict[str, Any] = {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "x": [spread.median for spread in spreads],
        "y": [f"{rung.level:,}" for rung in rungs],
        "marker": {"color": colours},
        "showlegend": False,
        "hovertemplate": "%{hovertext}<extra></extra>",
        "hovertext": [
            f"{name}: {spread.median:,.0f} ({spread.low:,.0f} to {spread.high:,.0f})"
            for spread in spreads
        ],
    }
    if panel:
        bars["xaxis"] = "x2"
    if ranged:
        bars["error_x"] = {
            "type": "data",
            "symmetric": False,
            "array": [spread.high - spread.median for spread in spreads],
            "arrayminus": [spread.median - spread.low for spread in spreads],
            "color": "#8f9a8a",
            "thickness": 1.5,
            "width": 4,
        }
    return bars


def _two_panels(left: str, meta: dict[str, Any], data: list[dict[str, Any]]) -> dict[str, Any]:
    most = [
        max([1.0, *(x for one in data if one.get("xaxis", "x") == axis for x in one["x"])])
        for axis in ("x", "x2")
    ]
    return layout(
        {
            **title(left),
            **counts(most[0]),
            "domain": [0, _LEFT],
            "rangemode": "tozero",
            "nticks": 5,
        },
        {**title("level in steps"), "type": "category", "showgrid": False},
        meta=meta,
        bargap=0.35,
        xaxis2={
            **title("steps"),
            **counts(most[1]),
            "domain": [_LEFT + 0.06, 1],
            "rangemode": "tozero",
            "nticks": 5,
            "anchor": "y",
            "zeroline": False,
        },
    )


def _line(points: Sequence[Point], values: list[float], hover: str, colour: str) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "x": [workers for workers, *_ in points],
        "y": values,
        "line": {"width": 2, "color": colour},
        "marker": {"size": 7, "color": colour},
        "hovertemplate": f"%{{x:,}} workers<br>{hover}<extra></extra>",
    }


def _workers(points: Sequence[Point]) -> dict[str, Any]:
    """The axis of fleets, whose sizes double."""
    fleets = [workers for workers, *_ in points]
    ticks = [workers for workers in fleets if workers & (workers - 1) == 0]
    axis = {**title("workers"), "type": "log", "tickmode": "array", "tickvals": ticks}
    return {**axis, "ticktext": [f"{workers:,}" for workers in ticks]}
