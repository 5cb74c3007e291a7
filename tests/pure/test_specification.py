import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asha_queue.errors import SpecificationError
from asha_queue.search.goal import Goal
from asha_queue.search.space import (
    choice,
    grid_search,
    loguniform,
    normal,
    quniform,
    randint,
)
from asha_queue.specification import Specification
from asha_queue.specification.program import reference


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
    assert specification().model_dump() == {
        "name": "digits",
        "train": "digits.py:train",
        "dialect": "trial",
        "space": {"lr": {"loguniform": [1e-4, 1.0]}, "hidden": {"choice": [16, 32]}},
        "metric": "accuracy",
        "mode": "max",
        "constraints": {},
        "max_t": 64,
        "grace_period": 1,
        "reduction_factor": 4,
        "variant": "promotion",
        "brackets": 1,
        "hedge": True,
        "num_samples": 64,
        "seed": None,
        "sampler": "trees",
        "initial_configs": [],
        "warm_start": [],
        "time_budget": None,
        "resource_budget": None,
        "stop_at": None,
        "retries": 1,
        "segment_timeout": None,
        "report_timeout": None,
        "weight": 1.0,
        "max_concurrent": None,
        "queue": "asha",
        "queues": {},
        "storage": "asha-runs",
        "trackers": [],
        "keep_checkpoints": "needed",
        "keep_bytes": None,
        "command": None,
        "pattern": None,
        "files": {},
        "folder": ".",
        "digest": "",
        "prior": [],
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
        (
            {"metric": []},
            "metric=[]: must be the name of the reported number to rank trials by, or",
        ),
        (
            {"metric": 3},
            "metric=3: must be the name of the reported number to rank trials by, or a",
        ),
        ({"metric": ["a", "b", "a"]}, "metric=['a', 'b', 'a']: 'a' is there twice; leave one out"),
        (
            {"metric": ["a", "b"], "mode": ["min"]},
            "mode=['min']: 1 for 2 metrics; give one for each, or one text that is meant for all",
        ),
        ({"mode": ["min", "max"]}, "mode=['min', 'max']: 2 for 1 metric; give one for each"),
        ({"mode": ["min", "up"]}, "mode=['min', 'up']: must be 'min' if a smaller metric is"),
        ({"constraints": ["latency <= 20"]}, "constraints=['latency <= 20']: must be a dict from"),
        ({"constraints": {"a": 3}}, "constraints['a']=3: must be a dict with a finite number as"),
        ({"constraints": {"a": {}}}, "constraints['a']={}: must be a dict with a finite number"),
        (
            {"constraints": {"a": {"most": 3}}},
            "constraints['a']={'most': 3}: must be a dict with a",
        ),
        ({"constraints": {"a": {"max": True}}}, "constraints['a']={'max': True}: must be a dict"),
        ({"constraints": {"a": {"max": float("inf")}}}, "constraints['a']={'max': inf}: must be"),
        (
            {"constraints": {"a": {"min": 3, "max": 2}}},
            "constraints['a']={'min': 3, 'max': 2}: no number is at least the one and at most the",
        ),
        ({"seed": -1}, "seed=-1: must be a whole number of at least 0, or None for any"),
        ({"sampler": "sobel"}, "sampler='sobel': must be 'trees' for a model that learns"),
        ({"sampler": None}, "sampler=None: must be 'trees' for"),
        ({"initial_configs": {"lr": 1}}, "initial_configs={'lr': 1}: must be a list of"),
        ({"initial_configs": [3]}, "initial_configs[0]=3: must be a dict of hyperparameters"),
        (
            {"initial_configs": [{}, {"lr": 2.0}]},
            "initial_configs[1].lr=2.0: must be a number from 0.0001 to 1.0",
        ),
        ({"initial_configs": [{"lr": "a"}]}, "initial_configs[0].lr='a': must be a number from"),
        (
            {"initial_configs": [{"hidden": 64}]},
            "initial_configs[0].hidden=64: must be one of 16, 32",
        ),
        (
            {"initial_configs": [{"hiden": 16}]},
            "initial_configs[0].hiden=16: the space has no such key; did you mean hidden?",
        ),
        (
            {"initial_configs": [{"x": 16}]},
            "initial_configs[0].x=16: the space has no such key; there are lr, hidden",
        ),
        (
            {"initial_configs": [{}, {}, {}], "num_samples": 2},
            "initial_configs: 3 configurations are more than num_samples allows, which counts them "
            "and is 2",
        ),
        (
            {"initial_configs": [{"a": 1}], "space": {"a": grid_search([1, 2])}},
            "initial_configs: cannot go with a grid, whose points are tried in turn; use choice",
        ),
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
        ({"gpus": 3}, "gpus=3: there is no such field; the fields are name, train, dialect, space"),
        ({"variant": "stoping"}, "variant='stoping': must be 'promotion', 'delayed' for no more"),
        ({"variant": "pasha", "brackets": 2}, "brackets=2: cannot go with variant='pasha'"),
        (
            {"hedge": True, "brackets": 2},
            "hedge=True: goes with variant='promotion' and one bracket",
        ),
        ({"hedge": True, "variant": "delayed"}, "hedge=True: goes with variant='promotion'"),
        ({"brackets": 0}, "brackets=0: must be a whole number from 1 to the number of levels"),
        ({"brackets": 5}, "brackets=5: must be at most 4, a bracket for each of the levels 1, 4,"),
    ],
)
def test_a_bad_field_is_named_in_one_line_with_its_value_and_what_is_allowed(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError) as caught:
        specification(**changes)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_a_near_miss_of_a_choice_is_guessed_at() -> None:
    with pytest.raises(SpecificationError, match=r"did you mean 'sobol'\?$"):
        specification(sampler="sobel")
    with pytest.raises(SpecificationError, match="for several metrics a list of these$"):
        specification(mode="up")


def test_a_bad_space_is_the_only_thing_said_beside_configurations_that_it_should_hold() -> None:
    with pytest.raises(SpecificationError) as caught:
        specification(space={}, initial_configs=[{"lr": 0.1}])
    assert str(caught.value).startswith("space={}: must be")
    assert len(str(caught.value).splitlines()) == 1


def test_initial_configurations_are_kept_as_they_would_be_drawn() -> None:
    space = {
        "lr": loguniform(1e-4, 1.0),
        "q": quniform(0, 0.5, 0.1),
        "net": {"layers": randint(1, 4), "norm": normal(0, 1), "bias": True},
        "act": choice(["relu", None, [1, 2]]),
    }
    given = [{"lr": 1, "net": {"layers": np.int64(3), "bias": True}}, {"act": (1, 2), "q": 3 * 0.1}]
    made = specification(space=space, initial_configs=given)
    assert made.initial_configs == [
        {"lr": 1.0, "net": {"layers": 3, "bias": True}},
        {"act": [1, 2], "q": 0.3},
    ]
    assert Specification.from_json(json.loads(json.dumps(made.to_json()))) == made


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"q": 0.25}, "initial_configs[0].q=0.25: must be a multiple of 0.1 from 0 to 0.5"),
        ({"net": {"layers": 4}}, "initial_configs[0].net.layers=4: must be a whole number from 1"),
        ({"net": {"layers": 2.0}}, "initial_configs[0].net.layers=2.0: must be a whole number"),
        ({"net": {"layers": True}}, "initial_configs[0].net.layers=True: must be a whole number"),
        ({"net": 4}, "initial_configs[0].net=4: must be a dict of hyperparameters"),
        ({"net": {"bias": 1}}, "initial_configs[0].net.bias=1: must be True, a constant of the"),
        ({"sd": None}, "initial_configs[0].sd=None: must be a finite number"),
        ({"sd": 10**400}, "initial_configs[0].sd=1000"),
        ({"sd": float("nan")}, "initial_configs[0].sd=nan: must be a"),
    ],
)
def test_a_value_that_the_space_does_not_have_is_named_by_its_path(
    part: dict[str, Any], message: str
) -> None:
    space = {
        "q": quniform(0, 0.5, 0.1),
        "sd": normal(0, 1),
        "net": {"layers": randint(1, 4), "bias": True},
    }
    with pytest.raises(SpecificationError) as caught:
        specification(space=space, initial_configs=[part])
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) == 1


def test_sampler_and_initial_configurations_stand_in_toml_too(tmp_path: Path) -> None:
    file = tmp_path / "digits.toml"
    file.write_text(
        'sampler = "sobol"\ninitial_configs = [{lr = 0.1, hidden = 16}, {hidden = 32}]' + TOML
    )
    made = Specification.from_toml(file)
    assert made.sampler == "sobol"
    assert made.initial_configs == [{"lr": 0.1, "hidden": 16}, {"hidden": 32}]


def test_an_experiment_submitted_before_there_were_samplers_goes_on() -> None:
    stored = specification(seed=1).to_json()
    del stored["sampler"], stored["initial_configs"]
    assert Specification.from_json(stored).differences(specification()) == []


def test_another_sampler_or_other_initial_configurations_are_a_difference() -> None:
    changed = specification(sampler="sobol", initial_configs=[{"lr": 0.1}])
    assert specification().differences(changed) == [
        "sampler: trees -> sobol",
        "initial_configs: [] -> [{'lr': 0.1}]",
    ]


def test_several_metrics_and_constraints_stand_in_toml_too(tmp_path: Path) -> None:
    text = TOML.replace('metric = "accuracy"', 'metric = ["accuracy", "latency"]')
    text = text.replace('mode = "max"', 'mode = ["max", "min"]')
    (tmp_path / "two.toml").write_text(text + "\n[constraints]\nlatency = {max = 20}\n")
    read = Specification.from_toml(tmp_path / "two.toml")
    assert (read.metric, read.mode) == (["accuracy", "latency"], ["max", "min"])
    assert read.constraints == {"latency": {"max": 20.0}}
    assert read.metrics == read.metric
    assert read.leading == Goal("accuracy", "max")
    assert Specification.from_json(json.loads(json.dumps(read.to_json()))) == read


def test_one_mode_is_meant_for_all_metrics_and_a_list_of_one_is_that_one() -> None:
    assert specification(metric=["a", "b"], mode="min").mode == ["min", "min"]
    alone = specification(metric=["accuracy"], mode=["max"])
    assert alone == specification()
    assert alone.metrics == ["accuracy"]


def test_other_constraints_are_a_difference() -> None:
    other = specification(constraints={"latency": {"max": 20}})
    assert specification().differences(other) == ["constraints: {} -> {'latency': {'max': 20.0}}"]


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


def test_an_experiment_of_a_version_without_hedging_does_not_hedge() -> None:
    fields = specification(hedge=True).to_json()
    assert Specification.from_json(fields).hedge
    del fields["hedge"]
    assert not Specification.from_json(fields).hedge
    assert not Specification.from_json(fields).plan.hedge


def test_what_does_not_go_with_hedging_turns_it_off_where_it_is_not_asked_for() -> None:
    assert specification().hedge
    assert not specification(variant="stopping").hedge
    assert not specification(brackets=2).hedge
    assert not specification(hedge=False).hedge


def test_what_is_kept_of_checkpoints_is_said_clearly() -> None:
    assert specification(keep_checkpoints=50, keep_bytes=10**9).keep_checkpoints == 50
    with pytest.raises(SpecificationError, match="keep_checkpoints=0: must be 'needed'"):
        specification(keep_checkpoints=0)
    with pytest.raises(SpecificationError, match="keep_bytes: cannot go with"):
        specification(keep_checkpoints="all", keep_bytes=1)


def test_an_earlier_experiment_keeps_all_its_checkpoints_and_is_the_same_one() -> None:
    fields = specification().to_json()
    del fields["keep_checkpoints"], fields["keep_bytes"]
    earlier = Specification.from_json(fields)
    assert earlier.keep_checkpoints == "all"
    assert not [line for line in earlier.differences(specification()) if "keep" in line]


def test_a_model_suggests_trials_also_of_several_metrics_unless_there_are_very_many() -> None:
    several = {"metric": ["accuracy", "size"], "mode": ["max", "min"]}
    assert specification(num_samples=10_000).sampler == "trees"
    assert specification(**several).sampler == "trees"
    assert specification(num_samples=10_001).sampler == "random"
