"""Spaces with hyperparameters that depend on an option of a choice or a grid."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import SpecificationError
from asha_queue.samplers import Suggestions
from asha_queue.samplers.started import Points
from asha_queue.search.domains import Choice, Domain
from asha_queue.search.hyperparameters import INACTIVE, Condition
from asha_queue.search.space import Space, choice, grid_search, loguniform, randint, uniform
from asha_queue.specification import Specification
from tests.pure.test_space import domains, keys

OPTIMIZER = {
    "optimizer": choice(
        [
            {"kind": "adam", "lr": loguniform(1e-4, 1e-1)},
            {"kind": "sgd", "lr": loguniform(1e-3, 1.0), "momentum": uniform(0, 0.99)},
        ]
    ),
    "batch": choice([16, 32]),
}
#: A dropout or none, and a network in a network. Of discrete values only: 2 + 3 · (1 + 2) = 11.
SMALL = {
    "net": choice(
        [
            {"kind": "flat", "width": choice([8, 16])},
            {"kind": "deep", "depth": randint(1, 4), "skip": choice([None, {"of": randint(2, 4)}])},
        ]
    )
}


def drawn(space: dict[str, Any], trials: int, seed: int = 3) -> list[dict[str, Any]]:
    return [Space(space).draw(seed, trial) for trial in range(trials)]


def specification(**changes: Any) -> Specification:
    fields: dict[str, Any] = {"name": "s", "train": "s.py:train", "space": OPTIMIZER, "seed": 7}
    fields |= {"metric": "loss", "mode": "min", "max_t": 9, "num_samples": 40}
    return Specification(**(fields | changes))


def test_a_configuration_holds_the_hyperparameters_of_the_option_taken_and_no_others() -> None:
    kinds = Counter[str]()
    for config in drawn(OPTIMIZER, 400):
        kinds[config["optimizer"]["kind"]] += 1
        if config["optimizer"]["kind"] == "adam":
            assert config["optimizer"].keys() == {"kind", "lr"}
            assert 1e-4 <= config["optimizer"]["lr"] <= 1e-1
        else:
            assert config["optimizer"].keys() == {"kind", "lr", "momentum"}
            assert 1e-3 <= config["optimizer"]["lr"] <= 1.0
    assert kinds["adam"] == pytest.approx(200, abs=40)


def test_an_option_may_be_a_domain_by_itself() -> None:
    values = [
        config["dropout"] for config in drawn({"dropout": choice([None, uniform(0, 1)])}, 200)
    ]
    assert values.count(None) == pytest.approx(100, abs=30)
    assert len({value for value in values if value is not None}) > 60


def test_the_json_form_has_domains_by_their_names_inside_options() -> None:
    written = Space(OPTIMIZER).to_json()
    assert written["optimizer"] == {
        "choice": [
            {"kind": "adam", "lr": {"loguniform": [1e-4, 1e-1]}},
            {
                "kind": "sgd",
                "lr": {"loguniform": [1e-3, 1.0]},
                "momentum": {"uniform": [0, 0.99]},
            },
        ]
    }
    again = Space(json.loads(json.dumps(written)))
    assert again.to_json() == written
    assert again.draw(1, 2) == Space(OPTIMIZER).draw(1, 2)
    assert Space({"x": {"choice": [None, {"uniform": [0, 1]}]}}).draw(0, 1)


def test_a_space_without_conditions_draws_beside_one_with_them_what_it_always_has() -> None:
    """What a choice has taken does not change what the others draw."""
    one = Space({"a": choice([1, {"x": uniform(0, 1)}]), "b": uniform(0, 1)})
    values = {trial: one.draw(0, trial) for trial in range(20)}
    alone = [np.random.default_rng([0, trial]) for trial in values]
    for trial, rng in enumerate(alone):
        option, x, b = int(rng.integers(2)), rng.random(), rng.random()
        assert values[trial] == {"a": {"x": x} if option else 1, "b": b}


def test_hyperparameters_are_described_by_key_path_name_and_condition() -> None:
    described = Space(OPTIMIZER).hyperparameters
    assert [(one.key, one.name) for one in described] == [
        (("optimizer",), "optimizer"),
        (("optimizer", 0, "lr"), "optimizer[adam].lr"),
        (("optimizer", 1, "lr"), "optimizer[sgd].lr"),
        (("optimizer", 1, "momentum"), "optimizer.momentum"),
        (("batch",), "batch"),
    ]
    assert [one.path for one in described[1:4]] == [
        ("optimizer", "lr"),
        ("optimizer", "lr"),
        ("optimizer", "momentum"),
    ]
    assert described[0].labels == ("adam", "sgd")
    assert isinstance(described[0].domain, Choice)
    assert described[0].domain.options == [0, 1]
    assert described[3].condition == Condition(("optimizer",), 1)
    assert described[0].condition is described[4].condition is None


@pytest.mark.parametrize(
    ("options", "labels", "names"),
    [
        ([None, uniform(0, 1)], ("None", "uniform(0, 1)"), ["x", "x[1]"]),
        (
            [{"a": uniform(0, 1)}] * 2,
            ("{'a': uniform(0, 1)} (0)", "{'a': uniform(0, 1)} (1)"),
            None,
        ),
        (
            ["a", {"kind": "a", "y": uniform(0, 1)}],
            ("'a'", "a"),
            None,
        ),
    ],
)
def test_options_without_a_telling_constant_have_names_too(
    options: list[Any], labels: tuple[str, ...], names: list[str] | None
) -> None:
    described = Space({"x": choice(options)}).hyperparameters
    assert described[0].labels == labels
    assert len({one.name for one in described}) == len(described)
    if names:
        assert [one.name for one in described] == names


@pytest.mark.parametrize("mapping", [OPTIMIZER, SMALL], ids=["large", "small"])
def test_values_are_those_of_the_active_ones_and_fill_the_same_configuration(
    mapping: dict[str, Any],
) -> None:
    space = Space(mapping)
    for config in drawn(mapping, 50):
        values = space.values(config)
        for one in space.hyperparameters:
            condition = one.condition
            active = not condition or values.get(condition.choice) == condition.option
            assert (one.key in values) == active
            assert space.value(config, one.key) == (values[one.key] if active else INACTIVE)
            if active:
                assert one.domain.accepted(values[one.key]) == values[one.key]
        assert space.filled(values) == config
        everything = {one.key: one.domain.at(0) for one in space.hyperparameters} | values
        assert space.filled(everything) == config
        assert space.accepted(config, "config") == config


trees = st.recursive(
    domains.filter(lambda domain: domain.name != "grid_search"),
    lambda inside: st.lists(
        inside | st.dictionaries(keys, inside, min_size=1, max_size=3),
        min_size=1,
        max_size=3,
    ).map(choice),
    max_leaves=6,
)


@given(st.dictionaries(keys, trees, min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_any_space_draws_what_it_accepts_and_survives_a_journey(mapping: dict[str, Domain]) -> None:
    space = Space(mapping)
    assert len({one.key for one in space.hyperparameters}) == len(space.hyperparameters)
    again = Space(json.loads(json.dumps(space.to_json())))
    assert again.to_json() == space.to_json()
    for trial in range(5):
        config = space.draw(1, trial)
        assert json.loads(json.dumps(config)) == config == again.draw(1, trial)
        assert space.filled(space.values(config)) == config
        assert space.accepted(config, "config") == config
    assert space.at([0.999] * space.dimensions, 0) == again.at([0.999] * space.dimensions, 0)


# -- grids ---------------------------------------------------------------------------------------


def test_a_grid_in_an_option_of_a_grid_counts_where_it_is_active() -> None:
    space = Space(
        {
            "a": grid_search([{"kind": "x", "n": grid_search([1, 2, 3])}, {"kind": "y"}]),
            "b": grid_search([0, 1]),
        }
    )
    assert space.grid_size == 8
    texts = [json.dumps(space.draw(0, trial)) for trial in range(16)]
    assert len(set(texts[:8])) == 8
    assert texts[8:] == texts[:8]


def test_an_option_of_a_grid_may_hold_what_is_drawn() -> None:
    configs = drawn({"a": grid_search([{"k": "x", "lr": uniform(0, 1)}, {"k": "y"}])}, 4)
    assert [config["a"]["k"] for config in configs] == ["x", "y", "x", "y"]
    assert configs[0]["a"]["lr"] != configs[2]["a"]["lr"]
    assert configs[1] == {"a": {"k": "y"}}


# -- samplers ------------------------------------------------------------------------------------


def test_a_small_space_has_the_combinations_of_what_is_active() -> None:
    points = Points.of(Space(SMALL))
    assert points is not None
    configs = [points.config(number) for number in range(points.size)]
    assert points.size == 11 == len({json.dumps(config) for config in configs})
    assert [points.number(config) for config in configs] == [*range(11)]
    assert points.number({"net": {"kind": "flat", "width": 9}}) is None


constants = st.sampled_from(["a", "b", 1, 1.0, True, None])
discrete = st.recursive(
    st.lists(constants, min_size=1, max_size=3).map(choice)
    | st.integers(0, 3).map(lambda low: randint(low, low + 2)),
    lambda inside: st.lists(
        constants | inside | st.dictionaries(keys, inside | constants, min_size=1, max_size=2),
        min_size=1,
        max_size=3,
    ).map(choice),
    max_leaves=5,
)


@given(st.dictionaries(keys, discrete, min_size=1, max_size=2))
@settings(max_examples=150, deadline=None)
def test_combinations_are_all_configurations_each_with_its_number(mapping: dict[str, Any]) -> None:
    space = Space(mapping)
    assert space.combinations is not None
    size = space.combinations.size
    texts = [json.dumps(space.combined(number, 0)) for number in range(size)]
    assert {json.dumps(space.draw(0, trial)) for trial in range(20)} <= set(texts)
    points = Points.of(space)
    if points is None:
        assert space.ambiguous
        return
    assert len(set(texts)) == size
    assert [points.number(json.loads(one)) for one in texts] == [*range(size)]


@pytest.mark.parametrize("sampler", ["random", "sobol"])
def test_a_small_space_is_tried_whole_before_anything_is_repeated(sampler: str) -> None:
    made = Suggestions(specification(space=SMALL, sampler=sampler))
    configs = made.suggest(0, 22)
    for begin in (0, 11):
        assert len({json.dumps(config) for config in configs[begin : begin + 11]}) == 11


def test_a_space_whose_options_overlap_is_not_numbered() -> None:
    assert Points.of(Space({"x": choice([{"a": randint(0, 3)}, {"a": randint(2, 5)}])})) is None
    assert Points.of(Space({"x": choice([1, 1, {"a": randint(2, 5)}])})) is None
    assert Points.of(Space({"x": choice([1, True, {"a": randint(2, 5)}])})) is not None


def test_sobol_takes_options_equally_often() -> None:
    configs = Suggestions(specification(sampler="sobol")).suggest(0, 64)
    kinds = Counter(config["optimizer"]["kind"] for config in configs)
    assert kinds == {"adam": 32, "sgd": 32}


# -- what users give -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
def test_a_part_of_an_option_takes_it_and_the_rest_of_it_is_drawn(seed: int) -> None:
    parts: list[dict[str, Any]] = [
        {"optimizer": {"kind": "sgd", "lr": 1}},
        {"optimizer": {"momentum": 0.5}},
        {"optimizer": {"kind": "adam"}, "batch": 16},
    ]
    made = specification(initial_configs=parts, seed=seed)
    first, second, third = Suggestions(made).suggest(0, 3)
    assert first["optimizer"] == {**first["optimizer"], "kind": "sgd", "lr": 1.0}
    assert second["optimizer"] == {**second["optimizer"], "kind": "sgd", "momentum": 0.5}
    assert third["optimizer"].keys() == {"kind", "lr"}
    assert third["batch"] == 16
    for config in (first, second, third):
        assert Space(OPTIMIZER).accepted(config, "config") == config
    plain = Suggestions(specification(seed=seed)).suggest(0, 3)
    assert first["batch"] == plain[0]["batch"]
    assert Specification.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"optimizer": {"kind": "sgd", "lr": 5}},
            r"config\.optimizer\.lr=5: must be a number from 0\.001 to 1\.0",
        ),
        (
            {"optimizer": {"kind": "sgd", "momentun": 0.5}},
            r"config\.optimizer\.momentun=0\.5: the space has no such key; did you mean momentum\?",
        ),
        (
            {"optimizer": {"lr": 0.01}},
            r"config\.optimizer=\{'lr': 0\.01\}: may be a part of \{'kind': 'adam', .*\} and "
            r"\{'kind': 'sgd', .*\}; give what tells them apart, or all of one",
        ),
        (
            {"optimizer": {"kind": "lbfgs"}},
            r"config\.optimizer=\{'kind': 'lbfgs'\}: must be one of \{'kind': 'adam', 'lr': "
            r"loguniform\(0\.0001, 0\.1\)\}, ",
        ),
        ({"optimizer": "adam"}, r"config\.optimizer='adam': must be one of \{'kind': 'adam'"),
    ],
)
def test_what_fits_no_option_is_refused_by_path_value_and_what_fits(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError, match=f"^{message}") as raised:
        Space(OPTIMIZER).accepted(given, "config")
    assert "\n" not in str(raised.value)


def test_a_mistake_inside_an_option_is_named_by_its_path() -> None:
    with pytest.raises(SpecificationError) as raised:
        Space({"o": {"choice": [None, {"lr": {"uniform": [1]}}]}})
    assert str(raised.value) == (
        "space.o: choice option 1.lr: uniform takes 2 values [low, high], not [1]"
    )


def test_a_toml_file_has_options_as_inline_tables(tmp_path: Path) -> None:
    file = tmp_path / "s.toml"
    file.write_text(
        'name = "s"\ntrain = "s.py:train"\nmetric = "loss"\nmode = "min"\nmax_t = 9\n[space]\n'
        "batch = {choice = [16, 32]}\noptimizer = {choice = [\n"
        '  {kind = "adam", lr = {loguniform = [1e-4, 1e-1]}},\n'
        '  {kind = "sgd", lr = {loguniform = [1e-3, 1.0]}, '
        "momentum = {uniform = [0, 0.99]}},\n]}\n",
        encoding="utf-8",
    )
    assert Specification.from_toml(file).parameters.draw(3, 5) == Space(OPTIMIZER).draw(3, 5)


def test_a_changed_option_is_a_difference() -> None:
    other = {**OPTIMIZER, "optimizer": choice([{"kind": "adam", "lr": uniform(0, 1)}])}
    [sentence] = specification().differences(specification(space=other))
    assert sentence.startswith("space.optimizer: ")
    assert specification().differences(specification()) == []
