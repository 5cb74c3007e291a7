"""The figure of all learning curves."""

import math
from typing import Any

import numpy as np
import pytest

from asha_queue.figures import draw
from asha_queue.figures.learning import LINES, curves, gathered, thinned
from asha_queue.result import Result
from tests.pure.entries import completed, scheduled
from tests.pure.pictured import (
    drawn_points,
    played,
    reported,
    result_of,
    specification,
    validated,
)


def long_journal(trials: int = 40) -> list[dict[str, Any]]:
    """Trials of two rungs with some hundred points each."""
    experiment = specification(grace_period=100, max_t=200, reduction_factor=2, num_samples=trials)
    return played(experiment)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_every_point_of_a_small_experiment_is_drawn_as_it_was_reported(mode: str) -> None:
    journal = played(specification(mode=mode))
    figure = validated("curves", result_of(journal))
    assert sorted(drawn_points(figure)) == sorted(
        (trial, step, value)
        for trial, points in reported(journal).items()
        for step, value in points.items()
        if math.isfinite(value)
    )


def test_a_line_is_one_trial_and_ends_with_a_gap() -> None:
    for trace in draw("curves", result_of(played()))["data"]:
        before = None
        for trial, step, value in zip(trace["customdata"], trace["x"], trace["y"], strict=True):
            if before is not None and trial != before[0]:
                assert value is None  # the gap
            elif before is not None:
                assert step > before[1] or before[2] is None
            before = (trial, step, value)


def test_trials_are_coloured_by_the_highest_rung_and_the_best_is_above_all() -> None:
    result = result_of(played())
    figure = draw("curves", result)
    assert result.best is not None
    assert figure["data"][-1]["name"] == f"best: trial {result.best.trial}"
    assert set(figure["data"][-1]["customdata"]) == {result.best.trial}
    for trace in figure["data"][:-1]:
        rungs = {result.trials[trial].results[-1].rung for trial in trace["customdata"]}
        assert trace["name"] == f"rung {rungs.pop()}"
        assert not rungs
        assert result.best.trial not in trace["customdata"]
    names = [trace["name"] for trace in figure["data"] if trace.get("showlegend")]
    assert names == ["rung 0", "rung 1", "rung 2"]


def test_a_hover_text_tells_the_trial_and_its_configuration() -> None:
    result = result_of(played())
    for trace in draw("curves", result)["data"]:
        assert "trial %{customdata}" in trace["hovertemplate"]
        for trial, text in zip(trace["customdata"], trace["text"], strict=True):
            assert f"lr={result.trials[trial].config['lr']:.4g}" in text.replace("<br>", " ")


def test_a_large_experiment_is_thinned_to_points_that_were_reported() -> None:
    journal = long_journal()
    result = result_of(journal)
    whole = reported(journal)
    figure = curves(result, budget=1000)
    shown = drawn_points(figure)
    assert 500 < len(shown) <= 1000
    by_trial: dict[int, list[int]] = {}
    for trial, step, value in shown:
        assert value == pytest.approx(whole[trial][step], rel=1e-5)
        by_trial.setdefault(trial, []).append(step)
    strides = set()
    for one in result.trials:
        points = {step for step, value in whole[one.number].items() if math.isfinite(value)}
        if not points:
            continue
        steps = by_trial[one.number]
        assert {min(points), max(points)} <= set(steps)
        kept = {found.reached for found in one.results if math.isfinite(found.value)}
        assert kept <= set(steps)
        between = [step for step in steps if step not in kept | {max(points)}]
        strides |= set(np.diff(between).tolist())
    assert len(strides) == 1  # the same for all curves


def test_what_must_be_kept_is_kept_even_beyond_the_budget() -> None:
    result = result_of(long_journal())
    points, results = gathered(result, {})
    kept = points.only(thinned(points, results, budget=10))
    must = sum(1 + len(trial.results) for trial in result.trials)
    assert len(kept) == must  # the first, and the results, of which one is the last


def test_the_last_point_of_a_segment_that_was_suspended_is_kept_too() -> None:
    result = Result(specification(space={"x": {"uniform": [0, 1]}}, grace_period=100, max_t=300))
    curve = [[step, {"loss": 1 / step}] for step in range(1, 80)]
    result.apply(scheduled(0, target=100, config={"x": 0.1}))
    result.apply({"type": "suspended", "trial": 0, "rung": 0, "reached": 79, "curve": curve})
    steps = [step for _, step, _ in drawn_points(curves(result, budget=5))]
    assert steps[0] == 1
    assert steps[-1] == 79
    assert len(steps) <= 5


def test_results_are_points_where_no_curve_was_kept() -> None:
    journal = [{k: v for k, v in e.items() if k != "curve"} for e in played()]
    figure = validated("curves", result_of(journal))
    assert sorted(drawn_points(figure)) == sorted(
        (trial, step, value)
        for trial, points in reported(journal).items()
        for step, value in points.items()
        if math.isfinite(value)
    )


def test_live_points_follow_the_last_that_is_journalled() -> None:
    result = Result(specification(space={"x": {"uniform": [0, 1]}}))
    curve = [[1, {"loss": 0.9}], [3, {"loss": 0.7}]]
    for entry in (
        scheduled(0, config={"x": 0.1}),
        completed(0, 0, 0.7, reached=3, curve=curve),
        scheduled(1, config={"x": 0.2}),
        scheduled(2, config={"x": 0.3}),
    ):
        result.apply(entry)
    live = {0: [(2, 9.0), (3, 9.0), (4, 0.6)], 1: [(1, 0.5), (2, math.nan)], 7: [(1, 0.0)]}
    figure = validated("curves", result, live=live)
    assert sorted(drawn_points(figure)) == [
        (0, 1, 0.9),
        (0, 3, 0.7),
        (0, 4, 0.6),
        (1, 1, 0.5),
    ]
    (running,) = (trace for trace in figure["data"] if trace["customdata"][0] == 1)
    assert running["name"] == "no result yet"


def test_a_curve_of_one_point_is_a_dot() -> None:
    result = Result(specification(space={"x": {"uniform": [0, 1]}}))
    for trial in range(3):
        result.apply(scheduled(trial, config={"x": 0.1}))
        result.apply(completed(trial, 0, trial, reached=1))
    dots, best = draw("curves", result)["data"]
    assert dots["mode"] == "markers"
    assert dots["customdata"] == [1, 1, 2] or dots["customdata"] == [1, 2, 2]
    assert best["mode"] == "lines+markers"


def test_the_ticks_of_the_steps_are_the_levels() -> None:
    axis = draw("curves", result_of(played()))["layout"]["xaxis"]
    assert (axis["type"], axis["tickvals"]) == ("log", [1, 3, 9])
    low, high = axis["range"]
    assert low < 0 < math.log10(9) < high


def test_of_thousands_of_curves_each_rung_shows_some_and_the_figure_says_so() -> None:
    entries = []
    for trial in range(LINES * 2):
        entries += [scheduled(trial), completed(trial, 0, trial / 10, reached=1)]
    for trial in range(40):
        entries += [scheduled(trial, 1, 3), completed(trial, 1, trial / 10, reached=3)]
    last = LINES * 2 - 1
    entries.append(scheduled(last, 1, 3))
    result = Result(specification())
    for entry in entries:
        result.apply(entry)
    figure = validated("curves", result, live={last: [(2, 0.5)]})
    trials = {trial for trial, _, _ in drawn_points(figure)}
    assert LINES / 2 < len(trials) < LINES + 50
    assert {*range(40), last} <= trials
    said = f"{len(trials):,} of {LINES * 2:,} curves"
    assert [one["text"] for one in figure["layout"]["annotations"]] == [said]


def test_a_million_points_are_a_handful_of_traces() -> None:
    experiment = specification(num_samples=300, max_t=81)
    figure = draw("curves", result_of(played(experiment)))
    assert len(figure["data"]) <= 2 * 5 + 1
