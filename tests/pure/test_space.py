import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import SpecificationError
from asha_queue.search.space import (
    Domain,
    Space,
    choice,
    grid_search,
    lograndint,
    loguniform,
    normal,
    qloguniform,
    quniform,
    randint,
    uniform,
)


def untyped(value: Any) -> Any:
    """A value of the wrong type, hidden from the type checker."""
    return value


def samples(domain: Domain, count: int = 2000) -> list[Any]:
    rng = np.random.default_rng(0)
    return [domain.sample(rng) for _ in range(count)]


@pytest.mark.parametrize(
    ("domain", "low", "high"),
    [
        (uniform(-1, 3), -1, 3),
        (loguniform(1e-4, 1.0), 1e-4, 1.0),
        (quniform(0.1, 0.7, 0.1), 0.1, 0.7),
        (qloguniform(1, 64, 1), 1, 64),
    ],
)
def test_floats_stay_within_their_bounds(domain: Domain, low: float, high: float) -> None:
    drawn = samples(domain)
    assert all(type(value) is float for value in drawn)
    assert low <= min(drawn)
    assert max(drawn) <= high


@pytest.mark.parametrize("domain", [randint(2, 6), lograndint(2, 6)])
def test_the_upper_bound_of_whole_numbers_is_exclusive(domain: Domain) -> None:
    drawn = samples(domain)
    assert all(type(value) is int for value in drawn)
    assert set(drawn) == {2, 3, 4, 5}


def test_quantised_values_are_exact_multiples() -> None:
    assert set(samples(quniform(0, 0.5, 0.1))) == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5}


@pytest.mark.parametrize(
    ("domain", "middle"), [(loguniform(1e-4, 1.0), 1e-2), (qloguniform(1, 10_000, 1), 100)]
)
def test_logarithmic_domains_draw_half_of_the_values_below_the_geometric_mean(
    domain: Domain, middle: float
) -> None:
    assert sum(value < middle for value in samples(domain)) == pytest.approx(1000, abs=80)


def test_lograndint_prefers_small_numbers() -> None:
    drawn = samples(lograndint(1, 1001))
    assert sum(value <= 31 for value in drawn) == pytest.approx(1000, abs=80)


def test_normal_has_its_mean_and_deviation() -> None:
    drawn = samples(normal(5, 2))
    assert np.mean(drawn) == pytest.approx(5, abs=0.2)
    assert np.std(drawn) == pytest.approx(2, abs=0.2)
    assert all(type(value) is float for value in drawn)


def test_choices_are_equally_likely_and_keep_their_types() -> None:
    drawn = samples(choice(["relu", None, 0.5, [1, 2]]))
    for option in ("relu", None, 0.5, [1, 2]):
        assert drawn.count(option) == pytest.approx(500, abs=80)


def test_numpy_s_values_and_tuples_become_plain_json_values() -> None:
    array: Any = np.array([16, 32])
    space = Space({"a": choice(array), "b": np.float64(0.5), "c": (1, 2)})
    assert space.to_json() == {"a": {"choice": [16, 32]}, "b": 0.5, "c": [1, 2]}
    assert type(space.draw(0, 0)["a"]) is int
    assert type(space.draw(0, 0)["b"]) is float


NESTED = {
    "lr": loguniform(1e-4, 1.0),
    "model": {"hidden": choice([16, 32]), "layers": 3, "norm": {"eps": uniform(0, 1)}},
    "name": "net",
    "sizes": [1, 2],
    "empty": {},
}


def test_a_configuration_has_the_shape_of_the_space() -> None:
    config = Space(NESTED).draw(seed=3, trial=7)
    assert list(config) == ["lr", "model", "name", "sizes", "empty"]
    assert config["model"]["hidden"] in (16, 32)
    assert config["model"]["layers"] == 3
    assert 0 <= config["model"]["norm"]["eps"] < 1
    assert config["sizes"] == [1, 2]
    assert json.loads(json.dumps(config)) == config


def test_a_configuration_depends_on_seed_and_trial_alone() -> None:
    space, other = Space(NESTED), Space(NESTED)
    later = [other.draw(5, trial) for trial in reversed(range(20))]
    assert [space.draw(5, trial) for trial in range(20)] == later[::-1]
    assert space.draw(5, 0) != space.draw(5, 1)
    assert space.draw(5, 0) != space.draw(6, 0)


def test_the_order_in_which_hyperparameters_are_written_does_not_matter() -> None:
    space = Space({"a": uniform(0, 1), "b": uniform(0, 1)})
    assert space.draw(0, 0) == Space({"b": uniform(0, 1), "a": uniform(0, 1)}).draw(0, 0)


def test_a_configuration_that_training_code_changes_does_not_change_the_space() -> None:
    space = Space(NESTED)
    space.draw(0, 0)["sizes"].append(3)
    assert space.draw(0, 0)["sizes"] == [1, 2]


def test_a_grid_is_gone_through_in_turn() -> None:
    space = Space({"a": grid_search([1, 2, 3]), "m": {"b": grid_search(["x", "y"])}, "c": 0})
    assert space.grid_size == 6
    points = [(c["a"], c["m"]["b"]) for c in (space.draw(0, trial) for trial in range(12))]
    assert set(points[:6]) == {(a, b) for a in (1, 2, 3) for b in "xy"}
    assert points[6:] == points[:6]


def test_without_a_grid_its_size_is_one() -> None:
    assert Space(NESTED).grid_size == 1


def test_domains_in_json_are_the_domains_they_name() -> None:
    written = {
        "lr": {"loguniform": [1e-4, 1.0]},
        "model": {
            "hidden": {"choice": [16, 32]},
            "layers": 3,
            "norm": {"eps": {"uniform": [0, 1]}},
        },
        "name": "net",
        "sizes": [1, 2],
        "empty": {},
    }
    assert Space(NESTED).to_json() == written
    assert Space(written).draw(1, 2) == Space(NESTED).draw(1, 2)


numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
ordered = st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1])
positive = ordered.filter(lambda pair: pair[0] > 0)
constants = st.none() | st.booleans() | st.integers() | numbers | st.text(max_size=5)
domains = (
    ordered.map(lambda pair: uniform(*pair))
    | positive.map(lambda pair: loguniform(*pair))
    | st.integers(-9, 9).map(lambda low: randint(low, low + 5))
    | st.integers(1, 9).map(lambda low: lograndint(low, low + 5))
    | st.integers(1, 9).map(lambda low: quniform(low, low + 5, 0.5))
    | st.integers(1, 9).map(lambda low: qloguniform(low, low + 5, 0.5))
    | numbers.map(lambda mean: normal(mean, 1.5))
    | st.lists(constants, min_size=1, max_size=4).map(choice)
    | st.lists(constants, min_size=1, max_size=4).map(grid_search)
)
keys = st.text("abcdef", min_size=1, max_size=3)
spaces = st.dictionaries(
    keys, domains | constants | st.dictionaries(keys, domains | constants), min_size=1, max_size=5
)


@given(spaces)
@settings(max_examples=40, deadline=None)
def test_the_json_form_survives_a_journey_and_draws_the_same(mapping: dict[str, Any]) -> None:
    space = Space(mapping)
    written = space.to_json()
    again = Space(json.loads(json.dumps(written)))
    assert again.to_json() == written
    assert again.draw(3, 4) == space.draw(3, 4)
    assert json.loads(json.dumps(space.draw(3, 4))) == space.draw(3, 4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: uniform(1, 0), r"uniform\(low=1, high=0\): low must be less than high"),
        (
            lambda: uniform(untyped("a"), 1),
            r"uniform\(low='a', high=1\): low must be a finite number",
        ),
        (lambda: uniform(0, math.inf), "high must be a finite number"),
        (lambda: uniform(False, 1), "low must be a finite number"),
        (lambda: loguniform(0, 1), r"loguniform\(low=0, high=1\): low must be greater than 0"),
        (lambda: quniform(0, 1, 0), r"quniform\(low=0, high=1, q=0\): q must be greater than 0"),
        (lambda: quniform(0, 1, 0.3), "high must be a multiple of q"),
        (lambda: qloguniform(0, 1, 0.5), "low must be greater than 0"),
        (lambda: randint(1, 1), "low must be less than high, which is exclusive"),
        (lambda: randint(untyped(0.5), 2), "low must be a whole number"),
        (lambda: lograndint(0, 2), "low must be greater than 0"),
        (lambda: normal(0, 0), r"normal\(mean=0, sd=0\): sd must be greater than 0"),
        (lambda: choice([]), r"choice\(options=\[\]\): options must not be empty"),
        (lambda: choice("abc"), "options must be a list"),
        (lambda: choice([1, {1, 2}]), r"choice option 1=\{1, 2\}: must be a domain, or a number"),
        (
            lambda: choice([{"a": [uniform(0, 1)]}]),
            r"choice option 0\.a=Uniform.*: must be a domain, or a number",
        ),
        (
            lambda: choice([1, {"a": grid_search([1])}]),
            "choice option 1: cannot hold a grid_search, as it is drawn in some trials only; use "
            "choice there",
        ),
        (lambda: grid_search([]), r"grid_search\(options=\[\]\): options must not be empty"),
    ],
)
def test_bad_arguments_of_a_domain_are_refused_at_once(make: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        make()


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({}, "space={}: must be a dict with at least one hyperparameter"),
        (3, "space=3: must be a dict"),
        ({"m": {"lr": {"uniform": [1, 0]}}}, r"space\.m\.lr: uniform\(low=1, high=0\)"),
        (
            {"m": {"lr": {"uniform": [1]}}},
            r"space\.m\.lr: uniform takes 2 values \[low, high\], not \[1\]",
        ),
        ({"a": {"choice": []}}, r"space\.a: choice"),
        ({"a": object()}, r"space\.a=<object .*>: must be a domain, or a number"),
        ({"a": math.nan}, r"space\.a=nan: must be a domain"),
        ({"m": {3: 1}}, r"space\.m: the key 3 must be a non-empty text"),
    ],
)
def test_what_is_wrong_in_a_space_is_named_by_its_path(mapping: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        Space(mapping)
