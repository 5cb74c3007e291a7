"""Which trials a search finds, and in which order."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asha_queue.errors import ChoiceError
from asha_queue.result import Result, TrialResult
from asha_queue.search.configuration import short
from asha_queue.search.space import choice, uniform
from asha_queue.selection import STATES, _contains, choose, names, row
from asha_queue.specification import Specification
from tests.pure.entries import completed, failed, scheduled

SPECIFICATION = Specification(
    name="sim",
    train="sim.py:train",
    space={
        "lr": uniform(0, 1),
        "net": {"act": choice(["relu", "tanh"]), "hidden": choice([16, 32])},
        "steps": choice([10, 20]),
    },
    metric="loss",
    mode="min",
    max_t=9,
    reduction_factor=3,
    num_samples=10,
)


def config(lr: float, act: str = "relu", hidden: int = 16, steps: int = 10) -> dict[str, Any]:
    return {"lr": lr, "net": {"act": act, "hidden": hidden}, "steps": steps}


def played(mode: str = "min") -> Result:
    """Six trials: 0 and 2 in rung 1, 1 diverged, 3 in rung 0, 4 failed, 5 without a result."""
    specification = Specification.from_json(SPECIFICATION.to_json() | {"mode": mode})
    result = Result(specification)
    configs = [
        config(0.0131),
        config(0.5, "tanh"),
        config(0.25, "tanh", 32),
        config(0.75, hidden=32, steps=20),
        config(0.9),
        config(0.123456, "RELU6"),
    ]
    for trial, drawn in enumerate(configs):
        result.apply(scheduled(trial, config=drawn))
    result.apply(completed(0, 0, 0.5, reached=1))
    result.apply(completed(1, 0, "NaN", reached=1))
    result.apply(completed(2, 0, 0.3, reached=1))
    result.apply(completed(3, 0, 0.9, reached=1, metrics={"loss": 0.9, "accuracy": 0.1}))
    result.apply(failed(4))
    for trial, value in ((0, 0.4), (2, 0.2)):
        result.apply(scheduled(trial, 1, 3))
        result.apply(completed(trial, 1, value, reached=3))
    return result


def numbers(result: Result, **wish: Any) -> list[int]:
    return [trial.number for trial in choose(result, **wish)[0]]


def test_the_best_come_first_those_of_the_highest_rung_before_all_others() -> None:
    assert numbers(played()) == [2, 0, 3, 1, 4, 5]
    assert numbers(played("max")) == [0, 2, 3, 1, 4, 5]
    assert numbers(played(), descending=True) == [1, 3, 0, 2, 4, 5]


@pytest.mark.parametrize(
    ("sort", "upwards", "downwards"),
    [
        ("trial", [0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0]),
        ("value", [2, 0, 3, 1, 4, 5], [3, 0, 2, 1, 4, 5]),
        ("loss", [2, 0, 3, 1, 4, 5], [3, 0, 2, 1, 4, 5]),
        ("accuracy", [3, 0, 1, 2, 4, 5], [3, 0, 1, 2, 4, 5]),
        ("resource", [4, 5, 1, 3, 0, 2], [0, 2, 1, 3, 4, 5]),
        ("lr", [0, 5, 2, 1, 3, 4], [4, 3, 1, 2, 5, 0]),
        ("net.act", [5, 0, 3, 4, 1, 2], [1, 2, 0, 3, 4, 5]),
        ("steps", [0, 1, 2, 4, 5, 3], [3, 0, 1, 2, 4, 5]),
        ("state", [1, 4, 5, 0, 2, 3], [0, 2, 3, 5, 4, 1]),
    ],
)
def test_trials_are_sorted_by_columns_parameters_and_metrics_what_is_missing_last(
    sort: str, upwards: list[int], downwards: list[int]
) -> None:
    assert numbers(played(), sort=sort) == upwards
    assert numbers(played(), sort=sort, descending=True) == downwards


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("", [0, 1, 2, 3, 4, 5]),
        ("lr<0.5", [0, 2, 5]),
        ("lr<=0.5", [0, 1, 2, 5]),
        ("lr>0.5", [3, 4]),
        ("lr>=.75", [3, 4]),
        ("lr=0.1235", [5]),  # as it is shown
        ("lr=0.123456", [5]),  # as it is
        ("lr=5e-1", [1]),
        ("lr!=0.5", [0, 2, 3, 4, 5]),
        ("net.act=tanh", [1, 2]),
        ("net.act=TANH net.hidden=32", [2]),
        ("net.act=relu", [0, 3, 4]),
        ("net.act>3", []),
        ("relu", [0, 3, 4, 5]),
        ("Hidden", [0, 1, 2, 3, 4, 5]),
        ("net.h", [0, 1, 2, 3, 4, 5]),
        ("tanh 32", [2]),
        ("0.1235", [5]),
        ("nothing", []),
        ("steps=20", [3]),  # the parameter, not the resource
        ("resource>=3", [0, 2]),
        ("rung=1", [0, 2]),
        ("rung!=1", [1, 3, 4, 5]),
        ("rung=none", [4, 5]),
        ("trial>=4", [4, 5]),
        ("state=failed", [4]),
        ("state!=failed value<0.5", [0, 2]),
        ("value=nan", [1]),
        ("accuracy<1", [3]),
        ("loss>0.3", [0, 3]),
    ],
)
def test_all_words_of_a_search_must_hold(search: str, found: list[int]) -> None:
    trials, matching = choose(played(), search=search, sort="trial")
    assert [trial.number for trial in trials] == found
    assert matching == len(found)


@pytest.mark.parametrize(
    ("wish", "message"),
    [
        ({"search": "lr<0.5 depth>3"}, "search 'depth>3': there is no 'depth'; there are trial"),
        ({"search": "lr<small"}, "search 'lr<small': 'small' is no number"),
        ({"search": "lr<nan"}, "search 'lr<nan': 'nan' is no number"),
        ({"search": "lr="}, "search 'lr=': no value after '='"),
        ({"search": "=3"}, "search '=3': no name before '='"),
        ({"search": "state=runing"}, "search 'state=runing': the states are running, queued"),
        ({"search": "net=3"}, "search 'net=3': there is no 'net'"),
        ({"sort": "depth"}, "sort='depth': there is no 'depth'"),
        ({"state": "runing"}, "state='runing': the states are running, queued"),
    ],
)
def test_a_wish_that_cannot_be_meant_is_one_error_that_names_the_word(
    wish: dict[str, str], message: str
) -> None:
    with pytest.raises(ChoiceError) as error:
        choose(played(), **wish)  # type: ignore[arg-type]
    assert str(error.value).startswith(message)


def test_the_names_there_are_are_told() -> None:
    assert names(played()) == [
        *("trial", "value", "rung", "resource", "state"),
        *("lr", "net.act", "net.hidden", "steps", "loss", "accuracy"),
    ]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ('layers="[16, 32]"', [0]),
        ('"layers=[16, 32]" opt="adam w"', [0]),
        ('"adam w"', [0]),
        ("adam", [0, 1]),
        ('opt!="adam w"', [1]),
        ('opt="adam w', [0]),  # the closing quote is still to be typed
        ('""', [0, 1]),
    ],
)
def test_a_value_with_blanks_stands_in_quotes(search: str, found: list[int]) -> None:
    result = Result(SPECIFICATION)
    result.apply(scheduled(0, config={"layers": [16, 32], "opt": "adam w"}))
    result.apply(scheduled(1, config={"layers": [32], "opt": "adam"}))
    assert numbers(result, search=search) == found


def test_steps_are_the_resource_where_no_parameter_is_called_so() -> None:
    result = Result(SPECIFICATION)
    for trial, reached in enumerate((1, 3)):
        result.apply(scheduled(trial, config={"lr": 0.5}))
        result.apply(completed(trial, 0, 0.5, reached=reached))
    assert numbers(result, search="steps>1") == [1]
    assert numbers(result, sort="steps", descending=True) == [1, 0]


def test_a_page_of_the_trials_is_cut_after_they_were_chosen() -> None:
    result = played()
    assert numbers(result, offset=2, limit=2) == [3, 1]
    assert choose(result, search="relu", sort="trial", offset=1, limit=2)[1] == 4
    assert numbers(result, search="relu", sort="trial", offset=1, limit=2) == [3, 4]
    assert numbers(result, sort="lr", descending=True, offset=5, limit=200) == [0]
    assert numbers(result, descending=True, offset=4, limit=10) == [4, 5]
    assert numbers(result, offset=99, limit=10) == []


@pytest.mark.parametrize("state", STATES)
def test_trials_of_one_state_are_chosen(state: str) -> None:
    result = played()
    assert set(numbers(result, state=state)) == {
        trial.number for trial in result.trials if trial.state == state
    }


def test_a_row_has_what_a_table_shows() -> None:
    assert row(played().trials[2]) == {
        "trial": 2,
        "value": 0.2,
        "rung": 1,
        "resource": 3,
        "state": "waiting",
        "config": config(0.25, "tanh", 32),
    }
    assert row(TrialResult(7))["value"] is None
    assert math.isnan(row(played().trials[1])["value"])


values = st.one_of(
    st.floats(allow_nan=True),
    st.integers(),
    st.booleans(),
    st.none(),
    st.text("aBx1.e", max_size=4),
)
configs = st.dictionaries(
    st.text("aBn1", min_size=1, max_size=3),
    st.one_of(values, st.dictionaries(st.text("aB", min_size=1, max_size=2), values, max_size=2)),
    max_size=4,
)


@given(configs, st.text("abnx1.e-", min_size=1, max_size=4))
def test_a_text_is_found_exactly_where_the_short_configuration_shows_it(
    drawn: dict[str, Any], text: str
) -> None:
    result = Result(SPECIFICATION)
    result.apply(scheduled(0, config=drawn or {"": 0}))
    shown = short(result.trials[0].config).casefold()
    assert bool(numbers(result, search=text)) == (text in shown)
    assert _contains({"A": {"b": True}}, "a.b", False)
