"""What earlier versions can read of a specification, and how versions are told apart."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field

from asha_queue.errors import NewerFormat, ProgramError, SpecificationError
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.specification.fields import Fields
from asha_queue.specification.stored import EVERYBODYS, later
from asha_queue.store.contract import Attendant, Worker
from asha_queue.training.programs import execute, load
from asha_queue.views.versions import at_work, left_alone, mix

GIVEN: dict[str, Any] = {
    "name": "sums",
    "train": "sums.py:train",
    "space": {"x": uniform(0.0, 1.0)},
    "metric": "loss",
    "mode": "min",
    "max_t": 9,
}


class Later(Specification):
    """The specification of a later version."""

    colour: str | None = Field(default=None, description="the name of a colour, or None")


def test_a_later_field_is_stored_only_if_it_asks_for_something() -> None:
    plain, red = Later(**GIVEN), Later(**GIVEN, colour="red")
    assert red.to_json() == plain.to_json() | {"colour": "red"}
    assert later(red.to_json()) == ["colour"]
    assert Later.from_json(red.to_json()) == red
    assert Later.from_json(plain.to_json()).colour is None
    assert plain.differences(red) == ["colour: None -> red"]


def test_an_experiment_with_a_later_field_is_refused_as_of_a_newer_version() -> None:
    assert Specification.from_json(Later(**GIVEN).to_json()) == Specification(**GIVEN)
    with pytest.raises(
        NewerFormat,
        match=r"experiment sums was written by a newer version of asha-queue \(it has colour\): "
        "upgrade",
    ):
        Specification.from_json(Later(**GIVEN, colour="red").to_json())


def test_a_worker_trains_a_program_whose_file_makes_an_experiment_with_a_later_field(
    tmp_path: Path,
) -> None:
    path = tmp_path / "exp.py"
    path.write_text(
        "from asha_queue import Experiment, uniform\n"
        "def train(trial):\n    return 0.5\n"
        "experiment = Experiment(name='sums', train=train, space={'x': uniform(0, 1)},\n"
        "    metric='loss', mode='min', max_t=9, colour='red')\n"
    )
    program = load("exp.py:train", [tmp_path], hashlib.sha256(path.read_bytes()).hexdigest())
    assert program(None) == 0.5
    submitted = path.rename(tmp_path / "submitted.py")
    with pytest.raises(ProgramError, match="there is no such field"):
        execute(submitted)


def test_a_field_that_is_misspelt_is_no_newer_version_s() -> None:
    with pytest.raises(SpecificationError, match="there is no such field; did you mean max_t"):
        Specification(**GIVEN, max_tt=9)


def test_an_experiment_that_asks_for_nothing_new_has_the_fields_that_every_version_knows() -> None:
    assert Fields.model_fields.keys() >= EVERYBODYS
    assert Specification(**GIVEN).to_json().keys() == EVERYBODYS


# -- versions at work ----------------------------------------------------------------------------


def fleet(*versions: str) -> list[Worker]:
    return [
        Worker(f"w{n}@a", {"version": one} if one else {}, 1.0, "")
        for n, one in enumerate(versions)
    ]


def test_a_fleet_of_one_version_is_no_mix() -> None:
    found = at_work(fleet("0.2.0", "0.2.0"), [Attendant("head:1", {"version": "0.2.0"}, 1.0)])
    assert found == {"0.2.0": ["w0@a", "w1@a", "coordinator head:1"]}
    assert mix(found, "0.2.0") == ("", "")
    assert mix({}, "0.2.0") == ("", "")


def test_of_a_mix_those_that_are_behind_are_named() -> None:
    found = at_work(fleet("0.10.0", "0.9.1", ""), [Attendant("head:1", {}, 1.0)])
    assert [*found] == ["0.10.0", "0.9.1", "an earlier version"]
    says, does = mix(found, "0.10.0")
    assert says == (
        "asha-queue 0.10.0 beside 0.9.1 on w1@a; an earlier version on w2@a, coordinator head:1"
    )
    assert "asha-queue drain HOST" in does
    says, does = mix(at_work(fleet("0.2.0"), [Attendant("head:1", {}, 1.0)]), "0.2.0")
    assert does == "they work together; start a newer coordinator, then end the older one"


def test_what_coordinators_leave_alone_is_said_with_the_reason() -> None:
    about = {"version": "0.1.0", "leaves": {"b": "it has colour", "a": "its format is 2"}}
    assert left_alone([Attendant("head:1", about, 1.0), Attendant("head:2", {}, 1.0)]) == [
        "coordinator head:1 (0.1.0) leaves a alone: its format is 2",
        "coordinator head:1 (0.1.0) leaves b alone: it has colour",
    ]
