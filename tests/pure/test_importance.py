"""How much hyperparameters matter."""

import math
from typing import Any

import pytest

from asha_queue.errors import AshaQueueError
from asha_queue.figures import columns_of, draw, importance, most_results
from asha_queue.importance import Columns, Known, compute, forest
from tests.pure.pictured import played, result_of, specification, validated


def result(value: Any = None, **fields: Any) -> Any:
    experiment = specification(num_samples=90, **fields)
    return result_of(played(experiment, value) if value else played(experiment))


def test_what_decides_is_named_first_and_the_shares_add_up() -> None:
    found = result(lambda config, step: abs(math.log10(config["lr"] / 0.01)) + 1 / step)
    shares = compute(columns_of(found))
    assert shares[0][0] == "lr"
    assert shares[0][1] > 0.8
    assert sum(share for _, share in shares) == pytest.approx(1)
    assert {name for name, _ in shares} == {"lr", "net.layers", "net.kind", "dropout"}
    assert compute(columns_of(found)) == shares


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_category_counts_as_one_and_a_diverged_result_as_the_worst(mode: str) -> None:
    def value(config: Any, step: int) -> float:
        return math.nan if config["net"]["kind"] is None else 1 / step

    found = result(value, mode=mode)
    columns = columns_of(found)
    assert columns.categories == ["net.kind"]
    assert math.inf in columns.losses
    assert compute(columns)[0][0] == "net.kind"


def test_the_rung_with_the_most_results_is_learnt_from() -> None:
    found = result()
    columns = columns_of(found)
    assert (columns.rung, columns.results) == most_results(found) == (0, 90)
    assert [len(values) for values in columns.values.values()] == [90] * 4
    trial = found.trials[7]
    assert columns.values["lr"][7] == pytest.approx(math.log(trial.config["lr"]))
    assert columns.losses[7] == trial.results[0].value


def test_few_results_and_noise_are_told_in_a_sentence() -> None:
    with pytest.raises(AshaQueueError, match="needs 20 results in one rung, there are 5"):
        compute(Columns(0, 5, {"x": [0.0] * 5}, [], [0.0] * 5))
    same = Columns(0, 30, {"x": [float(i) for i in range(30)]}, [], [1.0] * 30)
    with pytest.raises(AshaQueueError, match="no hyperparameter explains"):
        compute(same)


def test_many_results_are_learnt_from_in_part() -> None:
    count = 2 * forest.ROWS + 1
    values = [(i * 7919 % count) / count for i in range(count)]
    columns = Columns(0, count, {"x": values, "y": [0.0] * count}, [], values)
    assert dict(compute(columns)) == pytest.approx({"x": 1, "y": 0})


def test_shares_are_bars_the_largest_on_top_and_reasons_a_note() -> None:
    found = result()
    known = Known([("lr", 0.75), ("dropout", 0.25)], rung=1, results=40)
    (bars,) = validated("importance", found, known=known)["data"]
    assert (bars["y"], bars["x"]) == (["dropout", "lr"], [25, 75])
    axis = importance(found, known)["layout"]["xaxis"]["title"]["text"]
    assert axis == "% of importance, by 40 results of rung 1"
    figure = draw("importance", found, known="computing …")
    assert figure["layout"]["annotations"][0]["text"] == "Importance: computing …"


def test_it_is_computed_where_nobody_has_done_that() -> None:
    (bars,) = validated("importance", result())["data"]
    assert sum(bars["x"]) == pytest.approx(100)
