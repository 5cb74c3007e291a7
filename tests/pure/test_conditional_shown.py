"""Experiments whose trials have different hyperparameters, wherever trials are shown."""

import csv
import json
import math
from typing import Any

import numpy as np
import pytest

from asha_queue.coordinator.exports import trials_csv
from asha_queue.figures import FIGURES, columns_of, parameters
from asha_queue.importance import compute
from asha_queue.report import report
from asha_queue.result import Result
from asha_queue.search.configuration import short
from asha_queue.search.space import choice, loguniform, randint, uniform
from asha_queue.selection import choose, names
from asha_queue.terminal.picture import configuration
from tests.pure.pictured import drawn_points, played, result_of, specification, validated

SPACE = {
    "optimizer": choice(
        [
            {"kind": "adam", "lr": loguniform(1e-4, 1e-1)},
            {"kind": "sgd", "lr": loguniform(1e-3, 1.0), "momentum": uniform(0, 0.99)},
        ]
    ),
    "dropout": choice([None, uniform(0, 0.5)]),
    "layers": choice([1, {"count": randint(2, 5)}]),
}
NAMES = [
    "optimizer",
    "optimizer[adam].lr",
    "optimizer[sgd].lr",
    "optimizer.momentum",
    "dropout",
    "dropout[1]",
    "layers",
    "layers.count",
]


def loss(config: Any, step: int) -> float:
    momentum = config["optimizer"].get("momentum", -1.0)
    return float(momentum) + 1 / step


@pytest.fixture(scope="module")
def result() -> Result:
    return result_of(played(specification(space=SPACE, num_samples=60, sampler="random"), loss))


def test_every_figure_is_drawn(result: Result) -> None:
    assert [one.name for one in parameters(result)] == NAMES
    for kind in FIGURES:
        if kind not in ("scatter", "importance", "pareto"):
            assert validated(kind, result)["data"], kind


@pytest.mark.parametrize("name", NAMES)
def test_a_hyperparameter_is_drawn_against_the_metric_where_it_is_active(
    name: str, result: Result
) -> None:
    figure = validated("scatter", result, parameter=name)
    [one] = [one for one in parameters(result) if one.name == name]
    active = {
        trial.number
        for trial in result.trials
        if one.described.key in result.specification.parameters.values(trial.config)
    }
    assert {trial for trial, _, _ in drawn_points(figure)} == active
    assert 0 < len(active) <= 60
    if name == "optimizer":
        assert figure["layout"]["xaxis"]["ticktext"] == ["adam", "sgd"]


def test_a_line_passes_below_the_values_of_what_its_trial_lacks(result: Result) -> None:
    (trace,) = validated("parallel", result)["data"]
    axes = {axis["label"]: axis for axis in trace["dimensions"]}
    assert list(axes) == [*NAMES, "loss"]
    momentum = axes["optimizer.momentum"]
    for place, trial in enumerate(trace["customdata"]):
        config = result.trials[trial].config["optimizer"]
        absent = config["kind"] == "adam"
        assert (momentum["values"][place] == momentum["tickvals"][0]) == absent
        if not absent:
            assert momentum["values"][place] == config["momentum"]
    assert momentum["ticktext"] == ["–", "0.2", "0.4", "0.6", "0.8"]
    assert momentum["range"][0] == momentum["tickvals"][0] < min(momentum["tickvals"][1:])
    for axis in axes.values():
        assert None not in axis["values"]
        assert len(axis.get("tickvals", [])) == len(axis.get("ticktext", axis.get("tickvals", [])))


def test_importance_is_shared_among_all_of_them(result: Result) -> None:
    columns = columns_of(result)
    assert list(columns.values) == NAMES
    assert columns.categories == ["optimizer", "dropout", "layers"]
    assert np.isnan(columns.values["optimizer.momentum"]).any()
    shares = dict(compute(columns))
    assert shares.keys() == set(NAMES)
    assert shares["optimizer.momentum"] + shares["optimizer"] > 0.8
    assert all(map(math.isfinite, shares.values()))


def test_the_report_tells_each_domain_and_its_option(result: Result) -> None:
    text = report(result, made=0.0)
    for part in (
        "choice of adam, sgd",
        "loguniform(0.001, 1.0) if optimizer is sgd",
        "uniform(0, 0.5) if dropout is uniform(0, 0.5)",
    ):
        assert part in text, part


def test_the_table_of_trials_has_a_column_for_every_name(result: Result) -> None:
    rows = list(csv.DictReader(trials_csv(result).splitlines()))
    assert result.specification.parameters.names == [
        "optimizer.kind",
        "optimizer.lr",
        "optimizer.momentum",
        "dropout",
        "layers",
        "layers.count",
    ]
    assert set(result.specification.parameters.names) <= rows[0].keys()
    for row, trial in zip(rows, result.trials, strict=True):
        optimizer = trial.config["optimizer"]
        assert row["optimizer.kind"] == optimizer["kind"]
        momentum = optimizer.get("momentum")
        assert row["optimizer.momentum"] == ("" if momentum is None else repr(momentum))


def test_trials_are_searched_and_sorted_by_what_some_of_them_have(result: Result) -> None:
    assert {"optimizer.momentum", "layers", "layers.count"} <= set(names(result))
    found, count = choose(result, search="optimizer.momentum>0.5")
    assert count == len(found) > 0
    assert all(trial.config["optimizer"]["momentum"] > 0.5 for trial in found)
    ordered, _ = choose(result, sort="optimizer.momentum")
    momenta = [trial.config["optimizer"].get("momentum") for trial in ordered]
    having = [one for one in momenta if one is not None]
    assert momenta == sorted(having) + [None] * (60 - len(having))
    ordered, _ = choose(result, sort="layers.count")
    assert ordered[-1].config["layers"] == 1
    sorted_by_both, _ = choose(result, sort="layers")
    assert len(sorted_by_both) == 60


def test_a_name_that_no_trial_has_taken_yet_is_no_error() -> None:
    fresh = Result(specification(space=SPACE))
    assert choose(fresh, sort="optimizer.momentum") == ([], 0)


def test_a_configuration_in_one_line_has_what_is_active(result: Result) -> None:
    assert result.best is not None
    config = result.best.config
    pieces = configuration(config)
    assert short(config) == " ".join(pieces)
    assert ("optimizer.momentum" in short(config)) == (config["optimizer"]["kind"] == "sgd")
    assert json.loads(json.dumps(config)) == config
