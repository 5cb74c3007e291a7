"""Hyperparameters against the metric: each trial by its result in the highest rung it reached."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asha_queue.errors import AshaQueueError
from asha_queue.figures.colours import rung_colour
from asha_queue.figures.layout import (
    Figure,
    Floats,
    Ints,
    empty,
    escape,
    fence,
    layout,
    numbers,
    title,
    value_axis,
)
from asha_queue.figures.results import Results, dots, drawn, last_results
from asha_queue.figures.subject import Subject
from asha_queue.search.domains import Choice, Domain, LogRandInt, LogUniform, QLogUniform, RandInt
from asha_queue.search.hyperparameters import Hyperparameter
from asha_queue.search.space import Space

#: Lines of the parallel coordinates, about.
LINES = 2000
#: Width of the column in which dots of one category lie beside each other, of 1 between columns.
COLUMN = 0.5
#: How far below an axis lines pass that have no value there, of its length.
GAP = 0.15
#: Characters of a category's name.
NAME = 14
#: Whole numbers up to so many have a tick each.
WHOLE = 12
_LOG = (LogUniform, QLogUniform, LogRandInt)


@dataclass(frozen=True, slots=True)
class Parameter:
    """A hyperparameter of a space, as figures show it."""

    space: Space
    described: Hyperparameter

    @property
    def name(self) -> str:
        return self.described.name

    @property
    def domain(self) -> Domain:
        return self.described.domain

    @property
    def log(self) -> bool:
        return isinstance(self.domain, _LOG)

    @property
    def whole(self) -> bool:
        return isinstance(self.domain, RandInt)

    @property
    def categories(self) -> list[str] | None:
        """The names of its options as plain text, None for a number."""
        if not isinstance(self.domain, Choice):
            return None
        return [_name(option) for option in self.described.labels or self.domain.options]

    @property
    def when(self) -> str:
        """The option inside which it is, `optimizer is sgd`; empty if it is always there."""
        condition = self.described.condition
        if condition is None:
            return ""
        choice = next(
            one for one in self.space.hyperparameters if one.key == condition.choice and one.labels
        )
        return f"{choice.name} is {(choice.labels or ())[condition.option]}"

    def column(self, configs: Sequence[Any]) -> Floats:
        """Its value in each configuration: the place of the option in a choice, NaN where it is
        none of the domain, or not active."""
        values = [self.space.value(config, self.described.key) for config in configs]
        if isinstance(self.domain, Choice):
            places = {repr(option): float(i) for i, option in enumerate(self.domain.options)}
            return np.array([places.get(repr(value), math.nan) for value in values], np.float64)
        read = [
            float(v) if isinstance(v, int | float) and not isinstance(v, bool) else math.nan
            for v in values
        ]
        column = np.array(read, np.float64)
        return np.where(column > 0, column, np.nan) if self.log else column


def parameters(subject: Subject) -> list[Parameter]:
    """The hyperparameters of the space, in the order in which they were written."""
    space = subject.specification.parameters
    return [Parameter(space, one) for one in space.hyperparameters]


def parameter_of(subject: Subject, name: str | None) -> Parameter | None:
    """The hyperparameter of that name, the first one for None; None if there are none at all."""
    there = parameters(subject)
    if name is None:
        return there[0] if there else None
    for one in there:
        if one.name == name:
            return one
    names = ", ".join(one.name for one in there) or "none"
    raise AshaQueueError(f"parameter={name!r}: there is no such hyperparameter; there are: {names}")


def scatter(subject: Subject, parameter: str | None = None) -> Figure:
    """One hyperparameter (the first by default) against the metric."""
    chosen = parameter_of(subject, parameter)
    if chosen is None:
        return empty("The space has constants only")
    results = last_results(subject)
    x = chosen.column([subject.trials[trial].config for trial in results.trial.tolist()])
    results, x = results.at_indices(np.flatnonzero(~np.isnan(x))), x[~np.isnan(x)]
    shown = drawn(results, subject.specification.leading.mode)
    if not len(shown):
        return empty("No result yet")
    exact = len(shown) == np.isfinite(results.value).sum()
    axis: dict[str, Any] = {**title(chosen.name), "type": "log" if chosen.log else "linear"}
    hover = f"{escape(chosen.name)} %{{x:.6~g}}"
    if chosen.whole and not chosen.log and np.ptp(x[shown]) <= WHOLE:
        axis["dtick"] = 1
    categories = chosen.categories
    places = x[shown]
    if categories is not None:
        axis |= {
            "tickvals": list(range(len(categories))),
            "ticktext": [escape(name) for name in categories],
            "range": [-0.6, len(categories) - 0.4],
            "showgrid": False,
        }
        hover = escape(chosen.name)
        places = places + _beside(results.trial[shown])
    data = dots(subject, results.at_indices(shown), places, hover, exact)
    if categories is not None:
        for trace in data:  # the place of a dot says nothing to a reader, its category does
            trace["hovertemplate"] = trace["hovertemplate"].replace(f"<br>{hover}<br>", "<br>")
    return {"data": data, "layout": layout(axis, value_axis(subject, results.value))}


def parallel(subject: Subject) -> Figure:
    """All hyperparameters and the metric, one line per trial, coloured by its highest rung; without
    those whose values are far out, which would press all others into a point."""
    results = last_results(subject)
    signed = results.losses(subject.specification.leading.mode)
    limit = fence(subject, results.value)
    results = results.at_indices(
        np.flatnonzero(signed <= (limit if subject.specification.leading.mode == "min" else -limit))
    )
    shown = _lines(results, subject.specification.leading.mode)
    if not len(shown):
        return empty("No result yet")
    exact = len(shown) == np.isfinite(results.value).sum()
    results = results.at_indices(shown)
    configs = [subject.trials[trial].config for trial in results.trial.tolist()]
    dimensions = []
    for one in parameters(subject):
        column = one.column(configs)
        if not np.isnan(column).all():
            dimensions.append(_dimension(one, column, exact))
    name = escape(subject.specification.leading.metric)
    metric = {
        "label": name,
        "values": numbers(results.value, exact),
        "range": _range(results.value),
    }
    rungs = len(subject.rungs)
    trace = {
        "type": "parcoords",
        "dimensions": [*dimensions, metric],
        "customdata": results.trial.tolist(),
        "line": {
            "color": results.rung.tolist(),
            "colorscale": _scale(rungs),
            "cmin": -0.5,
            "cmax": rungs - 0.5,
            "showscale": True,
            "colorbar": {
                "orientation": "h",
                "x": 0.5,
                "y": -0.06,
                "yanchor": "top",
                "thickness": 8,
                "len": 1,
                "outlinewidth": 0,
                "tickvals": list(range(rungs)),
                "ticktext": [str(rung) for rung in range(rungs)],
                "title": {"text": "rung", "side": "bottom"},
            },
        },
    }
    frame = {"l": _left(dimensions or [metric]), "r": _half(name), "t": 44, "b": 56}
    return {"data": [trace], "layout": {**layout({}, {}), "margin": frame}}


def _half(label: str) -> int:
    """Pixels that half of a label takes, which is centred on its axis."""
    return min(96, max(24, 4 * len(label)))


def _left(dimensions: Sequence[dict[str, Any]]) -> int:
    """Pixels that the label of the first axis and its ticks take at the left."""
    ticks = max((len(text) for text in dimensions[0].get("ticktext", ())), default=0)
    return min(110, max(_half(dimensions[0]["label"]), 7 * ticks + 8))


def _lines(results: Results, mode: str, budget: int = LINES) -> Ints:
    """The trials that are drawn, the best of the highest rungs last, so that they lie on top: all,
    or these as half of them and of the others every k-th."""
    losses = results.losses(mode)
    order = np.lexsort((losses, -results.rung))
    order = order[np.isfinite(results.value[order])]
    if len(order) > budget:
        best, rest = order[: budget // 2], order[budget // 2 :]
        order = np.concatenate([best, rest[:: -(-len(rest) // (budget // 2))]])
    return order[::-1]


def _dimension(one: Parameter, column: Floats, exact: bool) -> dict[str, Any]:
    """An axis; where a trial lacks the parameter its line passes below all values, at a dash."""
    axis = _axis(one, column, exact)
    absent = np.isnan(column)
    if not absent.any():
        return axis
    low, high = axis["range"]
    below = low - (1.0 if one.categories is not None else GAP * (high - low))
    ticks = axis.get("tickvals") or _steps(low, high)
    return axis | {
        "values": [below if gone else at for gone, at in zip(absent, axis["values"], strict=True)],
        "range": [below, high],
        "tickvals": [below, *ticks],
        "ticktext": ["–", *axis.get("ticktext", [f"{tick:.4g}" for tick in ticks])],
    }


def _axis(one: Parameter, column: Floats, exact: bool) -> dict[str, Any]:
    label = escape(one.name)
    if one.categories is not None:
        count = len(one.categories)
        return {
            "label": label,
            "values": numbers(column),
            "range": [0, count - 1] if count > 1 else [-0.5, 0.5],
            "tickvals": list(range(count)),
            "ticktext": one.categories,  # texts of these axes are shown as they are
        }
    if not one.log:
        low, high = _range(column)
        axis = {"label": label, "values": numbers(column, exact), "range": [low, high]}
        if one.whole and high - low <= WHOLE:
            axis["tickvals"] = list(range(math.ceil(low), math.floor(high) + 1))
        return axis
    logs = np.asarray(np.log10(column), np.float64)
    low, high = _range(logs)
    ticks = _decades(low, high)
    return {
        "label": label,
        "values": numbers(logs, exact),
        "range": [low, high],
        "tickvals": [math.log10(tick) for tick in ticks],
        "ticktext": [f"{tick:g}" for tick in ticks],
    }


def _steps(low: float, high: float) -> list[float]:
    """Round numbers from low to high, a handful; the lower end if there are none."""
    step = 10.0 ** math.floor(math.log10((high - low) / 4))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= 6)
    inside = range(math.ceil(low / step), math.floor(high / step) + 1)
    return [float(f"{number * step:.12g}") for number in inside] or [low]


def _decades(low: float, high: float) -> list[float]:
    """Round numbers between 10**low and 10**high, a handful."""
    powers = range(math.floor(low), math.ceil(high) + 1)
    for digits in ((1,), (1, 3), (1, 2, 5)):
        ticks = [digit * 10.0**power for power in powers for digit in digits]
        inside = [tick for tick in ticks if low - 1e-9 <= math.log10(tick) <= high + 1e-9]
        if len(inside) >= 3:
            return inside[:: -(-len(inside) // 8)]
    return [10**low, 10**high]


def _range(column: Floats) -> list[float]:
    finite = column[np.isfinite(column)]
    low, high = float(finite.min()), float(finite.max())
    return [low, high] if low < high else [low - 0.5, high + 0.5]


def _scale(rungs: int) -> list[list[Any]]:
    """A colour scale with a step per rung."""
    scale: list[list[Any]] = []
    for rung in range(rungs):
        colour = rung_colour(rung, rungs)
        scale += [[rung / rungs, colour], [(rung + 1) / rungs, colour]]
    return scale


def _beside(trials: Ints) -> Floats:
    """Where in its column a dot lies: spread evenly by the golden ratio, the same each time."""
    spread = np.asarray(trials * 0.6180339887498949 % 1.0, np.float64)
    return (spread - 0.5) * COLUMN


def _name(option: Any) -> str:
    name = f"{option:.4g}" if isinstance(option, float) else str(option)
    return name if len(name) <= NAME else f"{name[: NAME - 1]}…"
