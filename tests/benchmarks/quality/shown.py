"""Figures of a benchmark as a table of text, as JSON and as a plot."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.quality.measures import AT, Mean, Measures, Ratio, compare, summary
from tests.benchmarks.quality.peers.curves import RULE_OF
from tests.benchmarks.quality.play import World
from tests.benchmarks.quality.tables import Floats

#: Measures of the runs of each method, in the order in which methods were named.
Played = Mapping[str, Sequence[Measures]]
#: This project's search by a rule as Ray Tune's, and that.
AS_RAY = ("asha/variant=stopping", "ray-tune-asha")
#: Points in time of a plotted curve.
POINTS = 201
#: The least regret that an interval is drawn to, on an axis that has no 0.
LEAST = 1e-3
COLOURS = ("#2f66d8", "#c58700", "#2c8a4b", "#ba5fc2", "#df6445", "#148a9c", "#7d8778", "#8a5a2b")


def table(world: World, played: Played) -> str:
    """One row for each method; the first of them is the one that others are compared with, then
    how far ahead of each it is, and rules of peers against their own classes."""
    first = next(iter(played))
    at = [f"at {share:.0%}" for share in AT]
    lines = [["method", "runs", "area ± s.e.", "tail", *at, "tail", "top 1 %", "share", "full"]]
    lines[0] += ["ms", f"against {first}, 95 %", "wins"]
    for name, runs in played.items():
        told = summary(runs)
        row = [name, str(told.runs), _mean(told.area), _number(told.tail)]
        row += [_number(regret.mean) for regret in told.regret] + [_number(told.late)]
        row += [f"{_number(told.top.mean, 2)} R", f"{told.share:.0%}"]
        row += [_number(told.full.mean, 1), _number(told.decision * 1000)]
        if name == first:
            row += ["", ""]
        else:
            found = compare(runs, played[first], world.horizon)
            row.append(f"{found.difference:+.3f} ({_signed(found.low)} … {_signed(found.high)})")
            row.append(f"{found.wins:.0%}")
        lines.append(row)
    parts = [heading(world), aligned(lines)]
    if len(played) > 1:
        first, *others = played
        parts.append(ratios(world, played, [(first, other) for other in others]))
    alike = [(f"{RULE_OF}{name}", name) for name in played] + [AS_RAY]
    if pairs := [pair for pair in alike if played.keys() >= set(pair)]:
        parts.append(ratios(world, played, pairs))
    return "\n\n".join(parts)


def ratios(world: World, played: Played, pairs: Sequence[tuple[str, str]]) -> str:
    """How far ahead methods are of others: below 1 is better."""
    lines = [["method", "against", "pairs", "area ×, 95 %", "worst task"]]
    lines[0] += ["time to top 1 % ×, 95 %", "share there", "theirs"]
    for name, other in pairs:
        found = compare(played[name], played[other], world.horizon)
        row = [name, other, str(found.pairs), _ratio(found.area), _number(found.area.worst)]
        row += [_ratio(found.top), f"{found.share:.0%}", f"{found.other_share:.0%}"]
        lines.append(row)
    return aligned(lines)


def heading(world: World) -> str:
    """What the runs were played in."""
    parts = [f"{world.workers} workers", f"{world.horizon:g} R"]
    if world.straggler:
        parts.append(f"stragglers {world.straggler:g}")
    if world.drop:
        parts.append(f"drops {world.drop:g}, {'lost' if world.lost else 'trained again'}")
    if world.training:
        parts.append(f"decisions charged, R = {world.training:g} s")
    return ", ".join(parts)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be: the first to the left, numbers to the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _mean(value: Mean) -> str:
    return f"{_number(value.mean)} ± {_number(value.error)}"


def _ratio(value: Ratio) -> str:
    return f"{_number(value.mean)} ({_number(value.low)} … {_number(value.high)})"


def _number(value: float, digits: int = 3) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _signed(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:+.3f}"


def facts(world: World, played: Played) -> dict[str, Any]:
    """The same and each run as JSON, in which there is no NaN."""
    first = next(iter(played))
    methods = {
        name: {
            "summary": asdict(summary(runs)),
            "against": {first: asdict(compare(runs, played[first], world.horizon))}
            if name != first
            else {},
            "runs": [asdict(run) for run in runs],
        }
        for name, runs in played.items()
    }
    held: dict[str, Any] = _without_nan({"world": asdict(world), "methods": methods})
    return held


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(held) for key, held in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(held) for held in value]
    return None if isinstance(value, float) and math.isnan(value) else value


class Curves:
    """Mean regret over time of each method, with the interval of two standard errors."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._runs: dict[str, list[Floats]] = {}

    @property
    def times(self) -> Floats:
        """Shares of the horizon."""
        return np.linspace(0.0, 1.0, POINTS)

    def add(self, name: str, regret: Floats) -> None:
        """Takes a run's regret at `times`."""
        self._runs.setdefault(name, []).append(regret)

    def figure(self) -> dict[str, Any]:
        """As plotly reads it."""
        times = (self.times * self._world.horizon).tolist()
        traces: list[dict[str, Any]] = []
        for number, (name, runs) in enumerate(self._runs.items()):
            mean = np.mean(runs, axis=0)
            spread = 2 * np.std(runs, axis=0) / math.sqrt(len(runs))
            colour = COLOURS[number % len(COLOURS)]
            dash = "dot" if number >= len(COLOURS) else "solid"
            shared = {"x": times, "mode": "lines", "legendgroup": name, "name": name}
            edge = {**shared, "line": {"width": 0}, "showlegend": False, "hoverinfo": "skip"}
            traces += [
                {**edge, "y": (mean + spread).tolist()},
                {**edge, "y": np.maximum(mean - spread, LEAST).tolist(), "fill": "tonexty"}
                | {"fillcolor": f"{colour}26"},
                {**shared, "y": mean.tolist(), "line": {"color": colour, "width": 2, "dash": dash}},
            ]
        layout = {
            "title": {"text": f"Regret of the best seen: {heading(self._world)}"},
            "template": "none",
            "hovermode": "x unified",
            "height": 520,
            "xaxis": {"title": {"text": "time, in full trainings"}, "hoverformat": ".2f"},
            "yaxis": {
                "title": {"text": "normalised regret, mean ± 2 s.e."},
                "type": "log",
                "dtick": "D2",
                "hoverformat": ".3f",
            },
        }
        return {"data": traces, "layout": layout}


def write_page(path: Path, figures: Sequence[dict[str, Any]]) -> None:
    """Figures one below the other in a file that needs nothing else."""
    from plotly.io import to_html

    parts = [
        to_html(
            figure,
            config={"displayModeBar": False},
            include_plotlyjs=number == 0,
            full_html=False,
        )
        for number, figure in enumerate(figures)
    ]
    head = '<!doctype html><meta charset="utf-8"><title>asha_queue: benchmark</title>'
    path.write_text("\n".join([head, *parts]), "utf-8")
