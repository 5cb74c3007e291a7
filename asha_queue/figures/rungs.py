"""The ladder: of each rung the results, how many went on, and what it cost."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from asha_queue.figures.colours import NEUTRAL, rung_colour
from asha_queue.figures.layout import Figure, counts, empty, escape, layout, title
from asha_queue.figures.results import every_result
from asha_queue.figures.subject import Subject
from asha_queue.search.goal import Goal

#: Share of the width that the bars of results have; the rest is the resource's.
_LEFT = 0.62


@dataclass(frozen=True, slots=True)
class Step:
    """One level. `results` counts final failures too; `cut` is how many of the best may go on,
    ⌊n/η⌋ of each bracket's n, and `threshold` the value of the worst of these, which several
    brackets do not share; at the top there are none."""

    rung: int
    level: int
    results: int
    promoted: int
    ranked: int
    cut: int | None
    threshold: float | None
    spent: int
    share: float

    @property
    def went_on(self) -> int:
        """Results that were promoted; at the top, all with a value."""
        return self.ranked if self.cut is None else min(self.promoted, self.ranked)

    @property
    def stayed(self) -> int:
        """Results with a value that were not promoted (yet)."""
        return self.ranked - self.went_on

    @property
    def unranked(self) -> int:
        """Results without a value: diverged, or failed for good."""
        return max(0, self.results - self.ranked)


def steps(subject: Subject) -> list[Step]:
    """The rungs, from the lowest."""
    rungs = subject.rungs
    mode = subject.specification.leading.mode
    goal = subject.specification.goal
    # else no one value is to be beaten
    alone = isinstance(goal, Goal) and subject.specification.brackets == 1
    results = every_result(subject)
    losses = results.losses(mode)
    whole = max(1, sum(rung.resource for rung in rungs))
    found = []
    for rung in rungs:
        ranked = np.sort(losses[(results.rung == rung.rung) & (losses < np.inf)])
        cut = None if rung.rung == len(rungs) - 1 else rung.cut
        threshold = None
        if alone and cut and cut <= len(ranked):
            threshold = float(ranked[cut - 1] if mode == "min" else -ranked[cut - 1])
        found.append(
            Step(
                rung.rung,
                rung.level,
                rung.results,
                rung.promoted,
                len(ranked),
                cut,
                threshold,
                rung.resource,
                rung.resource / whole,
            )
        )
    return found


def ladder(subject: Subject) -> Figure:
    """Of each rung, from the top down, the results and the share of the resource."""
    found = steps(subject)
    if not any(step.results or step.spent for step in found):
        return empty("No result yet")
    names = [f"{step.level:,}" for step in found]
    colours = [rung_colour(step.rung, len(found)) for step in found]
    hover = [_hover(subject, step) for step in found]

    def bars(name: str, values: list[Any], **more: Any) -> dict[str, Any]:
        return {
            "type": "bar",
            "orientation": "h",
            "name": name,
            "x": values,
            "y": names,
            "hovertext": hover,
            "hovertemplate": "%{hovertext}<extra></extra>",
            **more,
        }

    data = [
        bars("promoted", [step.went_on for step in found], marker={"color": colours}),
        bars(
            "not promoted",
            [step.stayed for step in found],
            marker={"color": colours, "opacity": 0.35},
            text=[_text(step) for step in found],
            textposition="outside",
            cliponaxis=False,
        ),
        bars(
            "share of the resource",
            [100 * step.share for step in found],
            marker={"color": colours},
            xaxis="x2",
            text=[f"{step.share:.1%}" for step in found],
            textposition="outside",
            cliponaxis=False,
        ),
    ]
    if any(step.unranked for step in found):
        unranked = [step.unranked for step in found]
        data.insert(1, bars("diverged or failed", unranked, marker={"color": NEUTRAL}))
    widest = max(step.results for step in found) or 1
    dearest = max(100 * step.share for step in found) or 1.0
    room = 1.25 + 0.045 * max(len(_text(step)) for step in found)
    axes = layout(
        {
            **title("results"),
            **counts(widest),
            "domain": [0, _LEFT],
            "range": [0, room * widest],
            "nticks": 5,
        },
        {**title("level in steps"), "type": "category", "showgrid": False},
        barmode="stack",
        showlegend=False,
        bargap=0.35,
        xaxis2={
            **title("% of resource"),
            "domain": [_LEFT + 0.06, 1],
            "range": [0, 1.6 * dearest],
            "nticks": 4,
            "anchor": "y",
            "zeroline": False,
        },
    )
    return {"data": data, "layout": axes}


def _text(step: Step) -> str:
    """What stands at the end of a bar of results."""
    if step.cut is None or not step.results:
        return f"{step.results:,}"
    return f"{step.promoted:,}/{step.results:,}"


def _hover(subject: Subject, step: Step) -> str:
    metric = escape(subject.specification.leading.metric)
    lines = [
        f"<b>rung {step.rung}</b>, level {step.level:,}",
        f"{step.results:,} results, {step.unranked:,} of them diverged or failed"
        if step.unranked
        else f"{step.results:,} results",
    ]
    if step.cut is not None:
        eta = subject.specification.reduction_factor
        lines.append(f"{step.promoted:,} promoted")
        best = f"{step.cut:,} of the brackets' best"
        if subject.specification.brackets == 1:
            best = f"the best ⌊{step.results:,}/{eta}⌋ = {step.cut:,}"
        lines.append(f"cut: {best} go on")
        if step.threshold is not None:
            lines.append(f"to beat: {metric} {step.threshold:.6g}")
    lines.append(f"{step.spent:,} steps spent, {step.share:.1%} of all")
    return "<br>".join(lines)
