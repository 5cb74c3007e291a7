"""The learning curves of all trials, small enough for a page however many were reported.

Rules

* Every point drawn is one that was reported: none is averaged, moved or made up.
* Up to `POINTS` points are all drawn. Of more, every curve keeps its first point, its last, and
  those of its results in rungs; of the others it keeps every k-th, with the same k for all curves.
* A result that is missing from its curve, as where no curve was kept, is a point of it. Reports
  that are not journalled yet follow the last one that is.
* All curves that came to the same rung are one trace, with a gap between two of them: ten thousand
  trials are a handful of traces. A curve of one point is drawn as a dot.
* Up to `LINES` curves are all drawn. Of more, each rung shows all or every k-th of its curves, so
  that the small upper rungs are complete, and the best one and those in training are always among
  them; the figure says so. A browser takes a second for ten thousand.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asha_queue.figures.colours import NEUTRAL, rung_colour
from asha_queue.figures.layout import (
    Figure,
    Floats,
    Ints,
    empty,
    escape,
    hover_text,
    layout,
    numbers,
    title,
    value_axis,
)
from asha_queue.figures.results import shares
from asha_queue.figures.subject import Live, Subject, Trial

#: Points of the figure, about.
POINTS = 20_000
#: Curves of the figure, about; each is an element of the page.
LINES = 3_000
#: The step axis is logarithmic if the top of the ladder is so many times its lowest level.
LADDER = 8
#: The value axis is logarithmic if values span this factor: the first steps bring most.
VALUES = 20.0
#: A value is far out if it is worse than most by so many times their spread.
FAR = 6.0
#: More than any step: trial * SPAN + step orders all points.
_SPAN = 1 << 40


@dataclass(frozen=True, slots=True)
class Points:
    """Points as columns, by trial and step."""

    trial: Ints
    step: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.trial)

    def only(self, which: NDArray[Any]) -> "Points":
        return Points(self.trial[which], self.step[which], self.value[which])

    @property
    def keys(self) -> Ints:
        return self.trial * _SPAN + self.step

    def starts(self) -> NDArray[np.bool_]:
        """Where the first point of each trial is."""
        first = np.ones(len(self), bool)
        first[1:] = self.trial[1:] != self.trial[:-1]
        return first

    def alone(self) -> NDArray[np.bool_]:
        """Which points are the only ones of their trial."""
        first = self.starts()
        alone: NDArray[np.bool_] = first & np.append(first[1:], True)[: len(self)]
        return alone


def curves(subject: Subject, live: Live | None = None, budget: int = POINTS) -> Figure:
    """The learning curves of all trials, by the highest rung that each has reached."""
    points, results = gathered(subject, live or {})
    if not np.isfinite(points.value).any():
        return empty("No report yet")
    best = _best(subject)
    reached = np.array([t.results[-1].rung if t.results else -1 for t in subject.trials])
    there = np.unique(points.trial)
    chosen = _chosen(there, reached, [*(live or {}), *([] if best is None else [best])])
    results = results[np.isin(results // _SPAN, chosen)]
    shown = points.only(np.isin(points.trial, chosen))
    shown = shown.only(thinned(shown, results, budget))
    pen = _Pen(subject, len(shown) == len(points), len(chosen))
    rung_of = reached[shown.trial]
    if best is not None:  # drawn by itself, above all others
        rung_of[shown.trial == best] = -2
    data = []
    for rung in range(-1, len(subject.rungs)):
        of = shown.only(rung_of == rung)
        alone = of.alone()
        traces = [pen.lines(of.only(~alone), rung), pen.dots(of.only(alone), rung)]
        drawn = [trace for trace in traces if trace["x"]]
        data += [trace | {"showlegend": trace is drawn[0]} for trace in drawn]
    if best is not None:
        data.append(pen.best(shown.only(shown.trial == best), best))
    axes = layout(_steps(subject, points), value_axis(subject, shown.value, VALUES, FAR))
    if len(chosen) < len(there):
        axes["annotations"] = [_said(f"{len(chosen):,} of {len(there):,} curves")]
    return {"data": data, "layout": axes}


def _chosen(trials: Ints, reached: Ints, always: Sequence[int]) -> Ints:
    """The trials whose curves are drawn, of those that have one."""
    if len(trials) <= LINES:
        return trials
    rung_of = reached[trials]
    chosen = np.isin(trials, always)
    for rung, most in enumerate(shares(np.bincount(rung_of + 1), LINES), start=-1):
        places = np.flatnonzero(rung_of == rung)
        if len(places):
            chosen[places[:: -(-len(places) // max(most, 1))]] = True
    return trials[chosen]


def _said(text: str) -> dict[str, Any]:
    """A remark in the upper right corner."""
    corner = {"xref": "paper", "yref": "paper", "x": 1, "y": 1, "xanchor": "right"}
    return {"text": text, "showarrow": False, "yanchor": "top", "font": {"size": 11}, **corner}


def gathered(subject: Subject, live: Live) -> tuple[Points, Ints]:
    """All points of all curves, and the keys of those that are results."""
    metric = subject.specification.leading.metric
    steps, values, lengths = array("q"), array("d"), []
    results: list[tuple[int, int, float]] = []
    for trial in subject.trials:
        at, seen = trial.curve.column(metric)
        steps += at
        values += seen
        lengths.append(len(at))
        results += [(trial.number, one.reached, one.value) for one in trial.results]
    numbered = np.repeat(np.arange(len(lengths)), lengths)
    points = Points(numbered, np.array(steps, np.int64), np.array(values, np.float64))
    keys, points = _with(points, results)
    return _with(points, list(_newer(points, live, len(lengths))))[1], keys


def _with(points: Points, more: Sequence[tuple[int, int, float]]) -> tuple[Ints, Points]:
    """The keys of these points, and all points, among them those that were not there."""
    added = Points(
        np.array([trial for trial, _, _ in more], np.int64),
        np.array([step for _, step, _ in more], np.int64),
        np.array([value for _, _, value in more], np.float64),
    )
    added = added.only(np.argsort(added.keys, kind="stable"))
    keys, known = added.keys, points.keys
    places = np.searchsorted(known, keys)
    there = np.zeros(len(keys), bool)
    inside = places < len(known)
    there[inside] = known[places[inside]] == keys[inside]
    new, at = added.only(~there), places[~there]
    if not len(new):
        return keys, points
    return keys, Points(
        np.insert(points.trial, at, new.trial),
        np.insert(points.step, at, new.step),
        np.insert(points.value, at, new.value),
    )


def _newer(points: Points, live: Live, trials: int) -> Iterator[tuple[int, int, float]]:
    """The live points that lie behind the last journalled one of their trial."""
    for trial, reports in live.items():
        if 0 <= trial < trials:
            end = int(np.searchsorted(points.trial, trial, side="right"))
            known = end > 0 and points.trial[end - 1] == trial
            last = int(points.step[end - 1]) if known else -1
            fresh = {step: value for step, value in reports if step > last}
            yield from ((trial, step, value) for step, value in fresh.items())


def thinned(points: Points, results: Ints, budget: int = POINTS) -> NDArray[np.bool_]:
    """Which points are drawn; `results` are the keys of results."""
    if len(points) <= budget:
        return np.ones(len(points), bool)
    first = points.starts()
    keep: NDArray[np.bool_] = first | np.append(first[1:], True)
    keep[np.searchsorted(points.keys, results)] = True
    room = budget - int(keep.sum())
    if room > 0:
        stride = -(-int((~keep).sum()) // room)
        starts = np.flatnonzero(first)
        place = np.arange(len(points)) - np.repeat(starts, np.diff(starts, append=len(points)))
        keep |= place % stride == 0
    return keep


def _best(subject: Subject) -> int | None:
    """The trial that is best in the highest rung that has a finite value."""
    sign = 1 if subject.specification.leading.mode == "min" else -1

    def place(trial: Trial) -> tuple[int, float]:
        last = trial.results[-1]
        return -last.rung, sign * last.value

    ranked = [t for t in subject.trials if t.results and math.isfinite(t.results[-1].value)]
    return min(ranked, key=place).number if ranked else None


class _Pen:
    """Draws traces of one figure, which is `exact` if it leaves nothing out."""

    def __init__(self, subject: Subject, exact: bool, lines: int) -> None:
        self._exact = exact
        self._rungs = len(subject.rungs)
        self._metric = escape(subject.specification.leading.metric)
        self._texts = [hover_text(trial.config) for trial in subject.trials]
        self._width = 0.5 if lines > 2000 else 0.8 if lines > 200 else 1.5
        self._size = 4 if lines > 200 else 6

    def lines(self, points: Points, rung: int) -> dict[str, Any]:
        line = {"color": self._colour(rung), "width": self._width}
        return {"mode": "lines", "line": line, **self._of_rung(points, rung)}

    def dots(self, points: Points, rung: int) -> dict[str, Any]:
        marker = {"color": self._colour(rung), "size": self._size, "opacity": 0.7}
        return {"mode": "markers", "marker": marker, **self._of_rung(points, rung)}

    def best(self, points: Points, trial: int) -> dict[str, Any]:
        return {
            "mode": "lines+markers" if len(points) < 100 else "lines",
            "line": {"width": 2.5},
            "marker": {"size": 5},
            **self._trace(points, "best: trial"),
            "name": f"best: trial {trial}",
        }

    def _of_rung(self, points: Points, rung: int) -> dict[str, Any]:
        name = f"rung {rung}" if rung >= 0 else "no result yet"
        return {"name": name, "legendgroup": name, **self._trace(points, "trial")}

    def _trace(self, points: Points, word: str) -> dict[str, Any]:
        """The columns, with a gap before each trial but the first."""
        gaps = np.flatnonzero(points.starts())[1:]
        trials = np.insert(points.trial, gaps, points.trial[gaps]).tolist()
        texts = self._texts
        return {
            "type": "scatter",
            "x": np.insert(points.step, gaps, points.step[gaps]).tolist(),
            "y": numbers(np.insert(points.value, gaps, np.nan), self._exact),
            "customdata": trials,
            "text": [texts[trial] for trial in trials],
            "hovertemplate": (
                f"<b>{word} %{{customdata}}</b><br>step %{{x:,}}<br>"
                f"{self._metric} %{{y:.6~g}}<br>%{{text}}<extra></extra>"
            ),
        }

    def _colour(self, rung: int) -> str:
        return rung_colour(rung, self._rungs) if rung >= 0 else NEUTRAL


def _steps(subject: Subject, points: Points) -> dict[str, Any]:
    """The axis of steps: its ticks are the levels of the rungs."""
    levels = [rung.level for rung in subject.rungs]
    axis = title("steps")
    if levels[-1] < LADDER * levels[0] or int(points.step.min()) < 1:
        return axis
    least, most = int(points.step.min()), int(points.step.max())
    low, high = math.log10(least), math.log10(max(most, least + 1))
    ticks = [least, *levels] if 2 * least <= levels[0] else levels
    room = 0.03 * max(high - low, 0.3)
    return axis | {
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{level:,}" for level in ticks],
        "range": [low - room, high + room],
    }
