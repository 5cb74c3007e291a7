"""Figures of hyperparameters against the metric."""

import math
from typing import Any

import numpy as np
import pytest

from asha_queue.errors import AshaQueueError
from asha_queue.figures import draw, parameters
from asha_queue.figures.parameters import Parameter
from asha_queue.figures.parameters import _lines as lines
from asha_queue.figures.results import Results
from asha_queue.result import Result
from asha_queue.search.space import Space, choice, grid_search
from tests.pure.entries import completed, scheduled
from tests.pure.pictured import drawn_points, played, result_of, specification, validated


def last(result: Result) -> dict[int, float]:
    """Each trial's value in the highest rung it has reached, if that is a number."""
    return {
        trial.number: trial.results[-1].value
        for trial in result.trials
        if trial.results and math.isfinite(trial.results[-1].value)
    }


def test_the_hyperparameters_are_those_of_the_space_as_written_without_constants() -> None:
    names = [parameter.name for parameter in parameters(result_of(played()))]
    assert names == ["lr", "net.layers", "net.kind", "dropout"]


@pytest.mark.parametrize("name", ["lr", "dropout", "net.layers"])
@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_dot_is_a_trial_at_its_value_of_a_number(name: str, mode: str) -> None:
    result = result_of(played(specification(mode=mode)))
    figure = validated("scatter", result, parameter=name)
    first, _, second = name.partition(".")

    def at(trial: int) -> Any:
        value = result.trials[trial].config[first]
        return value[second] if second else value

    expected = {(trial, float(at(trial)), value) for trial, value in last(result).items()}
    assert set(drawn_points(figure)) == expected
    kind = "log" if name == "lr" else "linear"
    assert figure["layout"]["xaxis"]["type"] == kind


def test_a_dot_lies_in_the_column_of_its_option() -> None:
    result = result_of(played())
    figure = validated("scatter", result, parameter="net.kind")
    options = ["small", "<b>large</b>", None]
    shown = drawn_points(figure)
    assert {trial: value for trial, _, value in shown} == last(result)
    for trial, x, _ in shown:
        assert options[round(x)] == result.trials[trial].config["net"]["kind"]
    axis = figure["layout"]["xaxis"]
    assert axis["ticktext"] == ["small", "&lt;b&gt;large&lt;/b&gt;", "None"]


def test_the_first_hyperparameter_is_drawn_by_default_and_an_unknown_one_refused() -> None:
    result = result_of(played())
    assert draw("scatter", result)["layout"]["xaxis"]["title"]["text"] == "lr"
    with pytest.raises(AshaQueueError, match="there are: lr, net.layers, net.kind, dropout"):
        draw("scatter", result, parameter="fixed")


def test_a_space_of_constants_is_no_error() -> None:
    result = result_of(played(specification(space={"x": 1}), value=lambda c, t: 1 / t))
    assert draw("scatter", result)["data"] == []
    assert len(validated("parallel", result)["data"][0]["dimensions"]) == 1


@pytest.mark.parametrize("mode", ["min", "max"])
def test_each_line_of_the_parallel_axes_is_a_trial(mode: str) -> None:
    result = result_of(played(specification(mode=mode)))
    (trace,) = validated("parallel", result)["data"]
    lr, layers, kind, dropout, loss = (one["values"] for one in trace["dimensions"])
    assert set(trace["customdata"]) <= set(last(result))
    assert len(trace["customdata"]) > 20
    for i, trial in enumerate(trace["customdata"]):
        config = result.trials[trial].config
        assert 10 ** lr[i] == pytest.approx(config["lr"])
        assert (layers[i], dropout[i]) == (config["net"]["layers"], config["dropout"])
        assert ["small", "<b>large</b>", None][int(kind[i])] == config["net"]["kind"]
        assert loss[i] == last(result)[trial]
        assert trace["line"]["color"][i] == result.trials[trial].results[-1].rung


def test_a_log_axis_has_ticks_at_round_numbers() -> None:
    (trace,) = draw("parallel", result_of(played()))["data"]
    lr = trace["dimensions"][0]
    assert {"0.001", "0.01", "0.1"} <= set(lr["ticktext"])
    assert [f"{10**tick:g}" for tick in lr["tickvals"]] == lr["ticktext"]


def test_whole_numbers_have_whole_ticks() -> None:
    result = result_of(played())
    (trace,) = draw("parallel", result)["data"]
    assert trace["dimensions"][1]["tickvals"] == [1, 2, 3, 4]
    axis = draw("scatter", result, parameter="net.layers")["layout"]["xaxis"]
    assert axis["dtick"] == 1


def test_of_many_trials_the_best_of_the_highest_rungs_are_among_the_lines() -> None:
    rng = np.random.default_rng(0)
    rung, value = np.repeat([0, 1, 2], [900, 90, 10]), rng.random(1000)
    nothing = np.zeros(1000, np.int64)
    results = Results(np.arange(1000), rung, value, nothing, nothing.astype(float), nothing)
    for mode in ("min", "max"):
        chosen = lines(results, mode, budget=200).tolist()
        assert len(chosen) <= 200
        best = sorted(range(1000), key=lambda i: (-rung[i], value[i] * (1, -1)[mode == "max"]))
        assert set(best[:100]) <= set(chosen)
        assert chosen[-1] == best[0]  # on top
        assert len(set(chosen) & set(best[500:])) > 30


def test_far_values_are_left_out_of_the_parallel_axes() -> None:
    result = Result(specification(space={"x": {"uniform": [0, 1]}}))
    for trial in range(20):
        value = 1e9 if trial == 7 else 1 + trial / 20
        result.apply(scheduled(trial, config={"x": trial / 20}))
        result.apply(completed(trial, 0, value, reached=1))
    (trace,) = validated("parallel", result)["data"]
    assert sorted(trace["customdata"]) == [trial for trial in range(20) if trial != 7]


def test_options_are_told_apart_by_what_they_are() -> None:
    options = [1, "1", True, None, [1, 2], {"a": 1}]
    for domain in (choice(options), grid_search(options)):
        space = Space({"x": domain})
        [one] = [Parameter(space, described) for described in space.hyperparameters]
        column = one.column([{"x": option} for option in options])
        assert column.tolist() == [0, 1, 2, 3, 4, 5]
        assert np.isnan(one.column([{"x": "other"}, {}, {"x": 2}])).all()
