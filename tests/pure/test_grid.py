"""The sampler that takes every combination once."""

import json
from collections import Counter
from typing import Any

import pytest

from asha_queue.errors import SpecificationError
from asha_queue.samplers import Suggestions
from asha_queue.search.rules import check
from asha_queue.search.space import (
    choice,
    grid_search,
    loguniform,
    normal,
    quniform,
    randint,
    uniform,
)
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.pure.test_conditional import SMALL as CONDITIONAL

#: 2 · 3 · 2 = 12 combinations.
SPACE = {"a": choice(["x", "y"]), "m": {"b": randint(0, 3), "k": 1}, "q": quniform(0, 0.5, 0.5)}


def specification(space: dict[str, Any] = SPACE, **changes: Any) -> Specification:
    fields: dict[str, Any] = {"name": "g", "train": "g.py:train", "space": space, "seed": 7}
    fields |= {"metric": "loss", "mode": "min", "max_t": 9, "reduction_factor": 3}
    return Specification(**(fields | {"sampler": "grid"} | changes))


def texts(made: Specification, n: int, first: int = 0) -> list[str]:
    return [json.dumps(config) for config in Suggestions(made).suggest(first, n)]


@pytest.mark.parametrize(
    ("space", "size"), [(SPACE, 12), (CONDITIONAL, 11), ({"a": choice([1, 1, True])}, 2)]
)
def test_every_combination_is_tried_once_and_num_samples_is_lowered_to_their_number(
    space: dict[str, Any], size: int
) -> None:
    made = specification(space)
    assert made.num_samples == made.num_trials == size
    assert len(set(texts(made, size))) == size
    assert Specification.from_json(made.to_json()) == made
    assert made.differences(specification(space, num_samples=1000)) == []


def test_fewer_samples_than_combinations_are_as_many_different_ones() -> None:
    made = specification(num_samples=5)
    assert made.num_trials == 5
    assert len(set(texts(made, 5))) == 5


def test_the_seed_decides_the_order() -> None:
    one, other = texts(specification(), 12), texts(specification(seed=8), 12)
    assert one != other
    assert sorted(one) == sorted(other)
    assert one != sorted(one)


def test_an_extended_search_begins_again_in_another_order() -> None:
    made = specification().extended({"num_samples": 24})
    again = texts(made, 24)
    assert sorted(again[:12]) == sorted(again[12:])
    assert again[:12] != again[12:]


def test_each_point_of_a_grid_search_is_tried_with_every_combination() -> None:
    made = specification({**SPACE, "g": grid_search([1, 2])})
    assert (made.num_samples, made.num_trials) == (12, 24)
    configs = Suggestions(made).suggest(0, 24)
    assert len({json.dumps(config) for config in configs}) == 24
    assert Counter(config["g"] for config in configs) == {1: 12, 2: 12}
    inside = specification({"g": grid_search([{"k": "x", "d": choice([1, 2])}, {"k": "y"}])})
    assert {json.dumps(config) for config in Suggestions(inside).suggest(0, 4)} == {
        '{"g": {"k": "x", "d": 1}}',
        '{"g": {"k": "x", "d": 2}}',
        '{"g": {"k": "y"}}',
    }


def test_what_is_tried_first_is_not_tried_again() -> None:
    first = {"a": "y", "m": {"b": 2}, "q": 0.5}
    made = specification(initial_configs=[first])
    assert made.num_trials == 12
    configs = texts(made, 12)
    assert json.loads(configs[0]) == {**first, "m": {"b": 2, "k": 1}}
    assert len(set(configs)) == 12


def test_it_is_the_same_one_by_one_and_in_blocks_over_the_end_of_a_round() -> None:
    made = specification({**SPACE, "g": grid_search([1, 2])}).extended({"num_samples": 24})
    whole, alone = Suggestions(made).suggest(0, 48), Suggestions(made)
    assert [alone.suggest(trial, 1)[0] for trial in range(48)] == whole
    assert alone.suggest(3, 2) == whole[3:5]


def test_a_simulated_search_trains_each_combination() -> None:
    result = simulate(
        specification(), lambda config, t: {"loss": config["q"]}, lambda config, start, target: 1.0
    )
    assert check(result.journal) == []
    assert result.state == "finished"
    assert len({json.dumps(trial.config) for trial in result.trials}) == 12 == len(result.trials)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (
            {**SPACE, "lr": loguniform(1e-4, 1.0), "n": {"w": normal(0, 1)}},
            "sampler='grid': takes every combination of discrete domains, which "
            "space.lr = loguniform(0.0001, 1.0), space.n.w = normal(0, 1) cannot give (or has too "
            "many values for); use choice, randint or quniform there, or sampler='random'",
        ),
        (
            {"o": choice([None, {"p": uniform(0, 1)}])},
            "sampler='grid': takes every combination of discrete domains, which "
            "space.o.p = uniform(0, 1) cannot give (or has too many values for); use choice, "
            "randint or quniform there, or sampler='random'",
        ),
        (
            {"a": randint(0, 1000), "b": randint(0, 1000)},
            "sampler='grid': the space has more than 100,000 combinations; use fewer values, or "
            "sampler='random'",
        ),
    ],
)
def test_what_has_no_grid_is_refused_in_one_line(space: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError) as raised:
        specification(space)
    assert str(raised.value) == message
