"""The results of all rungs as columns, and which of them are drawn as dots.

Rules

* A dot is a result that is in the journal. None is moved, averaged or made up.
* Up to `DOTS` results are all drawn. Of more, each rung shows all or every k-th of its results, so
  that the small upper rungs are complete, and the best of each rung is always among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asha_queue.figures.colours import rung_colour
from asha_queue.figures.layout import Floats, Ints, escape, hover_text, numbers
from asha_queue.figures.subject import Outcome, Subject, Trial

#: Dots of a figure, about; each is an element of the page.
DOTS = 2000


@dataclass(frozen=True, slots=True)
class Results:
    """Results as columns of equal length."""

    trial: Ints
    rung: Ints
    value: Floats
    reached: Ints
    at: Floats
    spent: Ints

    @classmethod
    def of(cls, found: Sequence[tuple[Trial, Outcome]]) -> "Results":
        return cls(
            np.array([trial.number for trial, _ in found], np.int64),
            np.array([one.rung for _, one in found], np.int64),
            np.array([one.value for _, one in found], np.float64),
            np.array([one.reached for _, one in found], np.int64),
            np.array([one.at for _, one in found], np.float64),
            np.array([one.spent for _, one in found], np.int64),
        )

    def __len__(self) -> int:
        return len(self.trial)

    def at_indices(self, indices: Ints) -> "Results":
        return Results(*(getattr(self, name)[indices] for name in self.__slots__))

    def losses(self, mode: str) -> Floats:
        """The smaller the better; infinite where there is no value."""
        signed = self.value if mode == "min" else -self.value
        return np.where(np.isnan(signed), np.inf, signed)


def every_result(subject: Subject) -> Results:
    """All results, trial by trial."""
    return Results.of([(trial, one) for trial in subject.trials for one in trial.results])


def last_results(subject: Subject) -> Results:
    """The result of each trial in the highest rung that it has reached."""
    return Results.of([(t, t.results[-1]) for t in subject.trials if t.results])


def drawn(results: Results, mode: str, budget: int = DOTS) -> Ints:
    """Indices of the results that are drawn: finite ones, about `budget` of them."""
    finite = np.isfinite(results.value)
    counts = np.bincount(results.rung[finite])
    if counts.sum() <= budget:
        return np.flatnonzero(finite)
    chosen = np.zeros(len(results), bool)
    losses = results.losses(mode)
    for rung, most in enumerate(shares(counts, budget)):
        places = np.flatnonzero(finite & (results.rung == rung))
        if len(places):
            chosen[places[:: -(-len(places) // max(most, 1))]] = True
            chosen[places[losses[places].argmin()]] = True
    return np.flatnonzero(chosen)


def shares(counts: Ints, budget: int) -> list[int]:
    """How many of each count fit into the budget: small ones whole, the rest equal parts."""
    shares = [0] * len(counts)
    order = sorted(range(len(counts)), key=lambda rung: counts[rung])
    for done, rung in enumerate(order):
        shares[rung] = min(int(counts[rung]), budget // (len(order) - done))
        budget -= shares[rung]
    return shares


def dots(
    subject: Subject, results: Results, x: Floats | Ints, hover: str, exact: bool
) -> list[dict[str, Any]]:
    """One trace of dots per rung, from the lowest; `hover` is a line about x."""
    rungs, trials = len(subject.rungs), subject.trials
    metric = escape(subject.specification.leading.metric)
    traces = []
    for rung in np.unique(results.rung).tolist():
        of = results.rung == rung
        numbered = results.trial[of].tolist()
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"rung {rung}",
                "x": numbers(x[of].astype(np.float64), exact),
                "y": numbers(results.value[of], exact),
                "customdata": numbered,
                "text": [hover_text(trials[trial].config) for trial in numbered],
                "hovertemplate": (
                    f"<b>trial %{{customdata}}</b>, rung {rung}<br>{metric} %{{y:.6~g}}<br>"
                    f"{hover}<br>%{{text}}<extra></extra>"
                ),
                "marker": {
                    "color": rung_colour(rung, rungs),
                    "size": 5 if len(results) > 500 else 7,
                    "opacity": 0.65 if len(results) > 500 else 0.8,
                },
            }
        )
    return traces
