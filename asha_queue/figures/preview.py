"""A figure of lines and dots as a small SVG: what a page shows until plotly.js has been read, which
takes a slow machine seconds, and where scripts do not run."""

import math
from collections.abc import Iterator
from html import escape
from typing import Any

from asha_queue.figures.layout import Figure

#: Size of the picture and of the margins around its axes, in units of its own.
WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 12, 14, 44
#: Ticks of an axis, about.
TICKS = 5


class _Axis:
    """Places the values of one axis between two ends of the picture."""

    def __init__(self, axis: dict[str, Any], values: list[float], low: float, high: float) -> None:
        self.title = axis.get("title", {}).get("text", "")
        self._log = axis.get("type") == "log"
        places = [self._scaled(value) for value in values if not self._log or value > 0]
        least, most = axis.get("range") or (min(places), max(places))
        if axis.get("rangemode") == "tozero":
            least = min(least, 0.0)
        room = 0.0 if "range" in axis else 0.05 * ((most - least) or abs(most)) or 0.5
        self.least, self.most = least - room, most + room
        self._low, self._high = low, high

    @property
    def drawable(self) -> bool:
        """Whether floats can tell its places apart."""
        return 0 < self.most - self.least < math.inf

    def place(self, value: float) -> float | None:
        """Where a value is; None where it is outside of the picture."""
        if self._log and value <= 0:
            return None
        scaled = self._scaled(value)
        if not self.least <= scaled <= self.most:
            return None
        part = (scaled - self.least) / (self.most - self.least)
        return round(self._low + part * (self._high - self._low), 1)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Places of round values, and what they read."""
        rough = (self.most - self.least) / TICKS
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * by for by in (1, 2, 5, 10) if power * by >= rough)
        for count in range(math.ceil(self.least / step), math.floor(self.most / step) + 1):
            value = 10 ** (count * step) if self._log else count * step
            place = self.place(value)
            if place is not None:
                yield place, f"{value:.4g}"

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value


def preview(figure: Figure) -> str:
    """The traces of a figure as SVG; empty if it has no points, or values that no axis can hold."""
    traces = [[*_points(trace)] for trace in figure["data"]]
    points = [point for trace in traces for point in trace]
    if not points:
        return ""
    layout = figure["layout"]
    x = _Axis(layout["xaxis"], [x for x, _ in points], LEFT, WIDTH - RIGHT)
    y = _Axis(layout["yaxis"], [y for _, y in points], HEIGHT - BOTTOM, TOP)
    if not (x.drawable and y.drawable):
        return ""
    drawn = [
        _trace(trace, [(x.place(a), y.place(b)) for a, b in of])
        for trace, of in zip(figure["data"], traces, strict=True)
    ]
    label = escape(layout.get("meta", {}).get("title", ""))
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}" '
        f'class="asha-preview">{_axes(x, y)}{"".join(drawn)}</svg>'
    )


def _points(trace: dict[str, Any]) -> Iterator[tuple[float, float]]:
    for x, y in zip(trace["x"], trace["y"], strict=True):
        if x is not None and y is not None:
            yield x, y


def _trace(trace: dict[str, Any], places: list[tuple[float | None, float | None]]) -> str:
    seen = [(x, y) for x, y in places if x is not None and y is not None]
    if trace["mode"] == "markers":
        marker = trace["marker"]
        path = "".join(f"M{x:g} {y:g}h0" for x, y in seen)
        style = f'stroke="{marker["color"]}" stroke-width="{marker["size"]}" opacity="0.8"'
    else:  # steps: across, then up or down
        path = "".join(
            f"{'H' if i else 'M'}{x:g}{'V' if i else ' '}{y:g}" for i, (x, y) in enumerate(seen)
        )
        style = f'stroke="currentColor" stroke-width="{trace["line"]["width"]}"'
    return f'<path d="{path}" fill="none" stroke-linecap="round" {style}/>'


def _axes(x: _Axis, y: _Axis) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    lines, texts = [], []
    for place, text in x.ticks():
        lines.append(f"M{place:g} {TOP}V{bottom}")
        texts.append(f'<text x="{place:g}" y="{bottom + 16}" text-anchor="middle">{text}</text>')
    for place, text in y.ticks():
        lines.append(f"M{LEFT} {place:g}H{right}")
        texts.append(f'<text x="{LEFT - 6}" y="{place + 4:g}" text-anchor="end">{text}</text>')
    middle = (LEFT + right) / 2
    texts.append(f'<text x="{middle:g}" y="{HEIGHT - 8}" text-anchor="middle">{x.title}</text>')
    return f'<path class="asha-preview-grid" d="{"".join(lines)}"/>{"".join(texts)}'
