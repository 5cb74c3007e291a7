import functools
from pathlib import Path
from typing import Any

import pytest

from asha_queue.errors import SpecificationError
from asha_queue.search.space import choice, grid_search, loguniform
from asha_queue.specification import Specification, reference


def train(trial: object) -> None:
    """Stands for a user's program; never called."""


@functools.cache
def cached(trial: object) -> None:
    """A decorated program."""


FIELDS: dict[str, Any] = {
    "name": "digits",
    "train": "digits.py:train",
    "space": {"lr": loguniform(1e-4, 1.0), "hidden": choice([16, 32])},
    "metric": "accuracy",
    "mode": "max",
    "max_t": 64,
}

TOML = """
name = "digits"
train = "digits.py:train"
metric = "accuracy"
mode = "max"
max_t = 64

[space]
lr = {loguniform = [1e-4, 1.0]}
hidden = {choice = [16, 32]}
"""


def specification(**changes: Any) -> Specification:
    return Specification(**{**FIELDS, **changes})


def test_fields_that_are_not_given_have_their_defaults() -> None:
    assert specification().to_json() == {
        "name": "digits",
        "train": "digits.py:train",
        "space": {"lr": {"loguniform": [1e-4, 1.0]}, "hidden": {"choice": [16, 32]}},
        "metric": "accuracy",
        "mode": "max",
        "max_t": 64,
        "grace_period": 1,
        "reduction_factor": 4,
        "num_samples": 64,
        "seed": None,
        "retries": 1,
        "segment_timeout": None,
        "report_timeout": None,
        "weight": 1.0,
        "max_concurrent": None,
        "queue": "asha",
        "storage": "asha-runs",
        "digest": "",
    }


def test_json_and_toml_bring_the_same_specification(tmp_path: Path) -> None:
    file = tmp_path / "digits.toml"
    file.write_text(TOML)
    assert Specification.from_toml(file) == specification(train=f"{tmp_path}/digits.py:train")
    assert Specification.from_json(specification().to_json()) == specification()
    assert specification() != specification(seed=1)


def test_time_limits_are_seconds_in_toml_too(tmp_path: Path) -> None:
    file = tmp_path / "digits.toml"
    file.write_text("segment_timeout = 3600\nreport_timeout = 0.5" + TOML)
    made = Specification.from_toml(file)
    assert (made.segment_timeout, made.report_timeout) == (3600.0, 0.5)
    assert "segment_timeout: None -> 60.0" in specification().differences(
        specification(segment_timeout=60)
    )


def test_a_specification_knows_its_ladder_its_space_and_its_number_of_trials() -> None:
    made = specification(space={"a": grid_search([1, 2, 3])}, num_samples=5)
    assert made.ladder.levels == (1, 4, 16, 64)
    assert made.num_trials == 15
    assert made.parameters.draw(0, 1) == {"a": 2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reduction_factor": 1}, "reduction_factor=1: must be a whole number of at least 2"),
        ({"reduction_factor": 2.5}, "reduction_factor=2.5: must be a whole number"),
        ({"grace_period": 100}, "grace_period=100: must be at most max_t, which is 64"),
        ({"grace_period": 0}, "grace_period=0: must be a whole number from 1 to max_t"),
        ({"max_t": 0}, "max_t=0: must be a whole number of at least 1"),
        ({"max_t": "64"}, "max_t='64': must be a whole number of at least 1"),
        ({"mode": "up"}, "mode='up': must be 'min' if a smaller metric is better, 'max' if"),
        ({"space": {}}, "space={}: must be a dict with at least one hyperparameter"),
        ({"space": {"m": {"lr": {"uniform": [1, 0]}}}}, "space.m.lr: uniform(low=1, high=0): low"),
        ({"name": "my run"}, "name='my run': must be 1 to 64 letters, digits, '_' or '-'"),
        ({"name": "digits\n"}, "name='digits\\n': must be 1 to 64 letters"),
        ({"name": "-x"}, "name='-x': must be 1 to 64 letters"),
        ({"num_samples": -1}, "num_samples=-1: must be a whole number of at least 1"),
        ({"metric": ""}, "metric='': must be the name of the reported number"),
        ({"seed": -1}, "seed=-1: must be a whole number of at least 0, or None for any"),
        ({"retries": -1}, "retries=-1: must be a whole number of at least 0"),
        ({"segment_timeout": 0}, "segment_timeout=0: must be a number of seconds above 0, or None"),
        ({"segment_timeout": "1h"}, "segment_timeout='1h': must be a number of seconds above 0"),
        ({"report_timeout": -5}, "report_timeout=-5: must be a number of seconds above 0, or None"),
        ({"report_timeout": float("inf")}, "report_timeout=inf: must be a number of seconds"),
        ({"weight": 0}, "weight=0: must be a number above 0: its share of the workers"),
        ({"weight": float("inf")}, "weight=inf: must be a number above 0"),
        ({"max_concurrent": 0}, "max_concurrent=0: must be a whole number of at least 1, or None"),
        ({"queue": "two words"}, "queue='two words': must be 1 to 64 letters, digits, '_' or '-'"),
        ({"storage": 3}, "storage=3: must be a text: the folder"),
        ({"train": "digits.py"}, "train='digits.py': must be a function at the top of a file, or"),
        ({"train": "digits:train"}, "train='digits:train': must be a function at the top"),
        ({"train": 3}, "train=3: must be a function at the top of a file"),
        ({"train": print}, "train=<built-in function print>: workers cannot find it by name"),
        ({"num_sample": 3}, "num_sample=3: there is no such field; did you mean num_samples?"),
        ({"brackets": 3}, "brackets=3: there is no such field; the fields are name, train, space"),
    ],
)
def test_a_bad_field_is_named_in_one_line_with_its_value_and_what_is_allowed(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError) as caught:
        specification(**changes)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_a_missing_field_is_named() -> None:
    fields = {name: value for name, value in FIELDS.items() if name != "metric"}
    with pytest.raises(SpecificationError, match="^metric: is missing; it must be the name of"):
        Specification(**fields)


def test_each_bad_field_has_a_line_of_its_own() -> None:
    with pytest.raises(SpecificationError) as caught:
        specification(mode="up", max_t=0, space={"lr": {"uniform": [1]}})
    lines = str(caught.value).splitlines()
    assert [line.split("=")[0].split(":")[0] for line in lines] == ["space.lr", "mode", "max_t"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (TOML + "x = {uniform = [1.0, 0.5]}\n", "space.x: uniform(low=1.0, high=0.5): low must"),
        (TOML.replace("64", "0"), "max_t=0: must be a whole number"),
        (TOML + "x = [1, \n", "not valid TOML: "),
        (TOML.replace("mode =", "mode ? "), "not valid TOML: "),
    ],
)
def test_an_error_in_a_toml_file_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "digits.toml"
    file.write_text(text)
    with pytest.raises(SpecificationError) as caught:
        Specification.from_toml(file)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_an_error_in_the_syntax_of_a_toml_file_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "digits.toml"
    file.write_text('name = "digits"\nmode ? "max"\n')
    with pytest.raises(SpecificationError, match="at line 2"):
        Specification.from_toml(file)


def test_a_toml_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match=r"none\.toml: cannot be read: No such file"):
        Specification.from_toml(tmp_path / "none.toml")


def test_a_function_is_named_by_its_file() -> None:
    made = specification(train=train)
    assert made.train == reference(train)
    assert made.train.endswith("test_specification.py:train")


def test_a_file_below_the_directory_is_named_relative_to_it_and_others_absolutely(
    tmp_path: Path,
) -> None:
    here = Path(__file__)
    assert reference(train, here.parent.parent) == "pure/test_specification.py:train"
    assert reference(train, tmp_path) == f"{here}:train"


def test_a_decorated_function_is_found_behind_its_decorator() -> None:
    assert reference(cached, Path(__file__).parent) == "test_specification.py:cached"


def test_functions_that_no_file_has_at_its_top_are_refused() -> None:
    def inner(trial: object) -> None: ...

    for function in (inner, lambda trial: None, functools.partial(train, 1), str.upper):
        with pytest.raises(SpecificationError, match=r"define it with `def` at the top of a \.py"):
            specification(train=function)


def test_a_seed_is_drawn_once() -> None:
    with pytest.raises(SpecificationError, match="no seed has been drawn"):
        _ = specification().drawn_seed
    made = specification().seeded()
    assert made.seeded().drawn_seed == made.drawn_seed == made.seed
    assert specification(seed=0).seeded().drawn_seed == 0


def test_an_extended_specification_counts_its_trials_by_the_new_values() -> None:
    made = specification(space={"a": grid_search([1, 2, 3])}, num_samples=5)
    extended = made.extended({"num_samples": 7, "max_t": 100})
    assert (extended.num_trials, extended.max_t) == (21, 100)
    assert made.differences(extended) == ["max_t: 64 -> 100", "num_samples: 5 -> 7"]


def test_differences_are_said_in_sentences() -> None:
    old = specification(seed=1, digest="a")
    new = specification(
        seed=2, digest="b", num_samples=128, space={"lr": 0.1, "hidden": choice([16, 32])}
    )
    assert old.differences(new) == [
        "the program digits.py has changed",
        "num_samples: 64 -> 128",
        "seed: 1 -> 2",
        "space.lr: {'loguniform': [0.0001, 1.0]} -> 0.1",
    ]
    removed = specification(space={"lr": FIELDS["space"]["lr"]})
    assert specification().differences(removed) == ["space.hidden: {'choice': [16, 32]} -> absent"]


def test_a_new_specification_without_seed_or_digest_asks_for_no_particular_one() -> None:
    assert specification(seed=7, digest="a").differences(specification()) == []
    assert specification().differences(specification(seed=7)) == ["seed: None -> 7"]
