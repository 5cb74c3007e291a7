import itertools
import math
from typing import Any

import numpy as np
import plotly.io
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import AshaQueueError
from asha_queue.figures import FIGURES, NEUTRAL, draw, rung_colour, trial_curve
from asha_queue.figures.layout import hover_text
from asha_queue.figures.progress import unit_of
from asha_queue.figures.results import drawn, every_result
from asha_queue.result import Result
from asha_queue.search.rung import number
from tests.pure.entries import completed, extended, failed, scheduled
from tests.pure.pictured import (
    QUICK,
    drawn_points,
    played,
    result_of,
    specification,
    validated,
)


def of(*entries: dict[str, Any], **fields: Any) -> Result:
    """The result of a journal that is written by hand, of `loss` by `x`."""
    result = Result(specification(space={"x": {"uniform": [0, 1]}}, **fields))
    for entry in entries:
        result.apply(entry)
    return result


# -- what all have in common


@pytest.mark.parametrize("kind", FIGURES)
def test_an_experiment_without_results_has_figures_that_say_so(kind: str) -> None:
    for result in (of(), of(scheduled(0, config={"x": 0.5}))):
        figure = validated(kind, result)
        assert figure["data"] == []
        (note,) = figure["layout"]["annotations"]
        assert note["text"].startswith(("No re", "Importance: needs 20 results"))


@pytest.mark.parametrize("kind", QUICK)
def test_one_trial_is_drawn(kind: str) -> None:
    result = of(scheduled(0, config={"x": 0.5}), completed(0, 0, 0.25, reached=1))
    assert validated(kind, result)["data"]


@pytest.mark.parametrize("kind", QUICK)
def test_results_without_a_number_break_no_figure(kind: str) -> None:
    entries = [scheduled(trial, config={"x": trial / 10}) for trial in range(5)]
    values = ["NaN", "Infinity", "-Infinity", None, 0.5]
    entries += [completed(trial, 0, value, reached=1) for trial, value in enumerate(values)]
    assert validated(kind, of(*entries))["data"]
    validated(kind, of(*entries[:-1]))


@pytest.mark.parametrize("kind", QUICK)
@pytest.mark.parametrize("end", ["cancelled", "finished"])
def test_an_experiment_that_has_ended_early_is_drawn(kind: str, end: str) -> None:
    journal = played()[:60]
    assert validated(kind, result_of([*journal, {"type": end, "at": 1e4}]))["data"]


@pytest.mark.parametrize("kind", QUICK)
def test_a_ladder_that_has_grown_is_drawn(kind: str) -> None:
    journal = [*played(), {**extended(max_t=50), "at": 1e4}]
    best = result_of(journal).best
    assert best is not None
    number_of = best.trial
    journal += [
        scheduled(number_of, 3, 27, config=best.config),
        completed(number_of, 3, -5, reached=27),
    ]
    assert validated(kind, result_of(journal))["data"]


def test_an_unknown_figure_or_option_is_told_with_those_that_there_are() -> None:
    with pytest.raises(AshaQueueError, match="did you mean scatter.*best_over_time, .*importance"):
        draw("scater", of())
    with pytest.raises(AshaQueueError, match="parameter='x': ladder takes no options"):
        draw("ladder", of(), parameter="x")


def test_names_and_values_of_users_are_no_html_and_no_fields_in_what_plotly_reads() -> None:
    metric = "<a href='x'>%{x}</a>"
    journal = played(specification(metric=metric, mode="max"))
    for kind in QUICK:
        figure = validated(kind, result_of(journal))
        assert "<a href" not in repr(figure)
        for trace in figure["data"]:
            assert "%{x}&lt;" not in trace.get("hovertemplate", "")  # it would be a field
            texts = trace.get("text", [])
            assert not any("<b>large" in text for text in texts)
    lines = [text for trace in draw("curves", result_of(journal))["data"] for text in trace["text"]]
    assert any("net.kind=&lt;b&gt;large&lt;/b&gt;" in text for text in lines)
    assert hover_text({"x": "<i>"}) == "x=&lt;i&gt;"


def test_a_long_configuration_is_a_few_short_lines() -> None:
    lines = hover_text({f"parameter{i}": i for i in range(100)}).split("<br>")
    assert lines[0] == "parameter0=0 parameter1=1 parameter2=2"
    assert all(len(line) <= 46 for line in lines)
    assert 8 < len(lines) < 14
    assert lines[-1].endswith(" …")


values = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from([0.0, 1.0, 1.0, 1e-300, 1e308, -1e308]),
)


@settings(deadline=None, max_examples=60)
@given(
    mode=st.sampled_from(["min", "max"]),
    eta=st.integers(2, 4),
    max_t=st.integers(1, 40),
    trials=st.integers(1, 12),
    chosen=st.lists(values, min_size=1, max_size=6),
    drop=st.sampled_from([0.0, 0.01]),
    cut=st.floats(0.05, 1),
)
def test_whatever_the_journal_every_figure_is_json_that_plotly_accepts(
    mode: str, eta: int, max_t: int, trials: int, chosen: list[float], drop: float, cut: float
) -> None:
    experiment = specification(
        mode=mode, reduction_factor=eta, max_t=max_t, num_samples=trials, seed=trials
    )
    journal = played(
        experiment,
        lambda config, step: chosen[(int(config["dropout"] * 1000) + step) % len(chosen)],
        drop=drop,
    )
    result = result_of(journal[: max(1, round(cut * len(journal)))])
    for kind in QUICK:
        validated(kind, result)
    for name in ("net.kind", "dropout"):
        validated("scatter", result, parameter=name)
    for trial in range(len(result.trials)):
        trial_curve(result, trial)


# -- colours


def test_the_colours_of_rungs_can_be_read_on_light_and_dark_paper_and_told_apart() -> None:
    def linear(colour: str) -> Any:
        parts = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)

    def contrast(one: str, other: str) -> float:
        light = sorted(float(linear(c) @ [0.2126, 0.7152, 0.0722]) for c in (one, other))
        return (light[1] + 0.05) / (light[0] + 0.05)

    for rungs in (1, 2, 5, 12):
        colours = [rung_colour(rung, rungs) for rung in range(rungs)]
        assert len(set(colours)) == rungs
        for colour in [*colours, NEUTRAL]:
            assert contrast(colour, "#ffffff") > 3
            assert contrast(colour, "#1b2219") > 3


def test_neighbouring_rungs_differ_for_people_who_see_no_red_or_no_green() -> None:
    protan = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
    deutan = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    for matrix in (protan, deutan):
        seen = []
        for rung in range(6):
            colour = rung_colour(rung, 6)
            parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
            seen.append(np.array(matrix) @ parts)
        for one, other in itertools.pairwise(seen):
            assert float(np.linalg.norm(one - other)) > 20


# -- the best value over time and resource


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_steps_of_the_best_value_and_the_dots_are_those_of_the_journal(mode: str) -> None:
    journal = [{**e, "at": 100 + e.get("at", 0.0)} for e in played(specification(mode=mode))]
    result = result_of(journal)
    unit, name = unit_of(result.seconds)
    done = [e for e in journal if e["type"] == "completed"]
    expected = {
        (e["trial"], (e["at"] - 100) / unit, number(e["metrics"]["loss"]))
        for e in done
        if math.isfinite(number(e["metrics"]["loss"]))
    }
    figure = validated("best_over_time", result)
    assert set(drawn_points(figure)) == expected
    assert figure["layout"]["xaxis"]["title"]["text"] == f"{name} since the start"

    best = figure["data"][-1]
    better = min if mode == "min" else max
    assert best["y"][0] == better(
        v for e in done[:1] for v in [number(p["loss"]) for _, p in e["curve"]]
    )
    ends = [better(best["y"][: i + 1]) for i in range(len(best["y"]))]
    assert best["y"] == ends  # never worse again
    assert best["y"][-1] == result.best_seen.metrics["loss"]  # type: ignore[union-attr]
    assert best["x"][-1] == result.seconds / unit

    over_resource = validated("best_over_resource", result)
    spent = sum(one.level - before for one, before in _levels(result))
    assert max(x for _, x, _ in drawn_points(over_resource)) == spent == result.resource_spent


def _levels(result: Result) -> list[tuple[Any, int]]:
    """Each result with the level that its trial came from: no attempt was lost."""
    return [
        (one, trial.results[i - 1].level if i else 0)
        for trial in result.trials
        for i, one in enumerate(trial.results)
    ]


def test_each_dot_has_the_colour_of_its_rung() -> None:
    result = result_of(played())
    for trace in draw("best_over_time", result)["data"][:-1]:
        rung = int(trace["name"].removeprefix("rung "))
        assert trace["marker"]["color"] == rung_colour(rung, 3)
        for trial in trace["customdata"]:
            assert len(result.trials[trial].results) > rung


def test_of_many_results_small_rungs_are_complete_and_the_best_are_kept() -> None:
    entries: list[dict[str, Any]] = []
    for trial in range(1000):
        entries += [scheduled(trial, config={"x": 0.5}), completed(trial, 0, trial, reached=1)]
    for trial in range(10):
        entries += [scheduled(trial, 1, 3), completed(trial, 1, trial, reached=3)]
    results = every_result(of(*entries))
    for mode, best in (("min", 0.0), ("max", 999.0)):
        chosen = drawn(results, mode, budget=100)
        pairs = list(
            zip(results.rung[chosen].tolist(), results.value[chosen].tolist(), strict=True)
        )
        assert sum(rung == 1 for rung, _ in pairs) == 10
        assert 60 <= sum(rung == 0 for rung, _ in pairs) <= 91
        assert (0, best) in pairs


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [(0, "seconds"), (179, "seconds"), (180, "minutes"), (7200, "hours"), (200000, "days")],
)
def test_time_is_told_in_a_unit_that_fits(seconds: float, unit: str) -> None:
    assert unit_of(seconds)[1] == unit


def test_a_value_that_is_far_out_does_not_press_the_others_flat() -> None:
    entries: list[dict[str, Any]] = []
    for trial in range(20):
        value = 1e9 if trial == 7 else 1 + trial / 20
        entries += [scheduled(trial, config={"x": 0.5}), completed(trial, 0, value, reached=1)]
    figure = draw("best_over_time", of(*entries))
    low, high = figure["layout"]["yaxis"]["range"]
    assert low < 1 < 1.95 < high < 3
    assert (7, 1e9) in {(trial, y) for trial, _, y in drawn_points(figure)}


# -- the ladder


@pytest.mark.parametrize("mode", ["min", "max"])
def test_the_ladder_counts_what_the_journal_has(mode: str) -> None:
    experiment = specification(mode=mode)
    journal = [*played(experiment), failed(29)]
    result = result_of(journal)
    figure = validated("ladder", result)
    went_on, unranked, stayed, share = (trace["x"] for trace in figure["data"])
    for rung in range(3):
        found = [
            number(e["metrics"]["loss"])
            for e in journal
            if e["type"] == "completed" and e["rung"] == rung
        ]
        nan = sum(map(math.isnan, found)) + (rung == 0)
        promoted = sum(
            e["type"] == "scheduled" and e["rung"] == rung + 1 and e["attempt"] == 1
            for e in journal
        )
        assert unranked[rung] == nan
        assert went_on[rung] == (promoted if rung < 2 else len(found) - nan)
        assert went_on[rung] + stayed[rung] + unranked[rung] == len(found) + (rung == 0)
        spent = sum((1, 2, 6)[rung] for _ in found)
        assert share[rung] == pytest.approx(100 * spent / result.resource_spent)
    assert sum(share) == pytest.approx(100)
    assert figure["data"][0]["y"] == ["1", "3", "9"]


def test_the_ladder_tells_the_cut_and_the_value_to_beat() -> None:
    entries: list[dict[str, Any]] = []
    for trial, value in enumerate([0.5, 0.1, 0.4, 0.2, 0.3, "NaN", 0.9]):
        entries += [scheduled(trial, config={"x": 0.5}), completed(trial, 0, value, reached=1)]
    for mode, beaten in (("min", "0.2"), ("max", "0.5")):
        hover = draw("ladder", of(*entries, mode=mode))["data"][0]["hovertext"]
        assert "the best ⌊7/3⌋ = 2 go on" in hover[0]
        assert f"to beat: loss {beaten}" in hover[0]
        assert "7 results, 1 of them diverged or failed" in hover[0]


# -- notebooks


@pytest.mark.parametrize("kind", QUICK)
def test_a_result_plots_itself_for_notebooks(kind: str) -> None:
    result = result_of(played())
    options = {"parameter": "lr"} if kind == "scatter" else {}
    figure = result.plot(kind, **options)
    assert figure.layout.title.text == FIGURES[kind].title
    shown = draw(kind, result, **options)
    assert [trace.type for trace in figure.data] == [trace["type"] for trace in shown["data"]]
    assert figure.layout.height > 100


def test_the_best_line_of_a_notebook_can_be_seen_in_its_theme(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    result = result_of(played())
    light = result.plot("best_over_time").layout.colorway
    monkeypatch.setattr(plotly.io.templates, "default", "plotly_dark")
    assert result.plot("best_over_time").layout.colorway != light


def test_plotting_what_there_is_not_names_what_there_is() -> None:
    result = result_of(played())
    with pytest.raises(AshaQueueError, match="kind='curve'.*did you mean curves"):
        result.plot("curve")
    with pytest.raises(AshaQueueError, match="there are: lr, net.layers, net.kind, dropout"):
        result.plot("scatter")
    with pytest.raises(AshaQueueError, match="parameter='fixed': .*lr, net.layers"):
        result.plot("scatter", parameter="fixed")
