"""What an experiment learns from others at submission, and what samplers make of it."""

import json
import math
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from asha_queue import prior
from asha_queue.coordinator.fold import Fold
from asha_queue.errors import SpecificationError
from asha_queue.experiment import Experiment
from asha_queue.running import submit
from asha_queue.samplers import Suggestions, suggestions
from asha_queue.samplers.history import History, Known
from asha_queue.samplers.sampler import Sampler
from asha_queue.search.goal import Goal
from asha_queue.search.space import choice, grid_search, loguniform, uniform
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.store.journal import dump
from tests.server.test_coordinator import SPECIFICATION, drive, submitted
from tests.server.test_coordinator import store as store


def specification(**changes: Any) -> Specification:
    fields = {"name": "new", "warm_start": ["sums"]} | changes
    if "space" in fields:
        fields["space"] = Specification(
            **(SPECIFICATION.to_json() | fields | {"warm_start": []})
        ).space
    return Specification.from_json(SPECIFICATION.to_json() | fields)


def trained(store: Store) -> str:
    """The experiment sums at its end."""
    uid = submitted(store)
    drive(store, uid, workers=2).leadership.resign()
    return uid


def entries(store: Store, uid: str) -> list[dict[str, Any]]:
    return list(store.read(uid, "0-0", 10_000).entries)


def exported(store: Store, uid: str, path: Path) -> str:
    path.write_text("".join(map(dump, entries(store, uid))), encoding="utf-8")
    return str(path)


def highest(journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each trial's result in its highest rung, the furthest trained and best first."""
    configs, last = {}, {}
    for entry in journal:
        if entry["type"] == "scheduled":
            configs[entry["trial"]] = entry["config"]
        elif entry["type"] == "completed":
            last[entry["trial"]] = (entry["reached"], entry["metrics"]["loss"])
    return [
        {"config": configs[trial], "resource": resource, "value": value}
        for trial, (resource, value) in sorted(last.items(), key=lambda x: (-x[1][0], x[1][1]))
    ]


def test_the_result_of_each_trial_in_its_highest_rung_is_known_from_the_submission_on(
    store: Store, tmp_path: Path
) -> None:
    source = trained(store)
    expected = highest(entries(store, source))
    uid, said = submit(store, specification(), tmp_path / "new")
    assert said == ("experiment new submitted: 30 trials\nwarm start: knows 30 results of sums")
    assert store.describe(uid).specification["prior"] == expected
    assert len(expected) == 30
    assert expected[0]["resource"] == 9
    store.delete(source)
    assert Fold(store, uid).specification.prior == expected
    drive(store, uid, workers=2)  # ends without the one that it learnt from


def test_a_journal_s_file_is_as_good_as_the_experiment(store: Store, tmp_path: Path) -> None:
    source = trained(store)
    path = exported(store, source, tmp_path / "journal.jsonl")
    expected = highest(entries(store, source))
    store.delete(source)
    uid, said = submit(store, specification(warm_start=[path]), tmp_path / "new")
    assert store.describe(uid).specification["prior"] == expected
    assert said.endswith(f"warm start: knows 30 results of {path}")


def test_several_are_taken_together_and_the_furthest_trained_and_best_of_many(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = trained(store)
    path = exported(store, source, tmp_path / "journal.jsonl")
    monkeypatch.setattr(prior, "MOST", 7)
    made, said = prior.informed(store, specification(warm_start=["sums", path]))
    best = highest(entries(store, source))
    assert made.prior == [one for one in best for _ in range(2)][:7]
    assert said == (
        f"warm start: knows 7 results of sums, {path}, the furthest trained and best of 60"
    )


def test_trials_that_do_not_fit_the_space_are_left_out_and_counted(store: Store) -> None:
    journal = entries(store, trained(store))
    made, said = prior.informed(store, specification(space={"x": uniform(0.0, 0.5)}))
    fitting = [one for one in highest(journal) if one["config"]["x"] <= 0.5]
    assert made.prior == fitting
    count = 30 - len(fitting)
    assert 1 < count < 30
    assert said.endswith(f"; {count} trials do not fit the space and count for nothing")


def test_submitted_again_it_goes_on_with_what_it_knew(store: Store, tmp_path: Path) -> None:
    source = trained(store)
    uid, _ = submit(store, specification(), tmp_path / "new")
    drive(store, uid, workers=2)
    knew = store.describe(uid).specification["prior"]
    store.extend(source, "more", "test", "", {"num_samples": 40})
    drive(store, source, workers=2)
    assert submit(store, specification(), tmp_path / "new") == (
        uid,
        "experiment new goes on (finished)",
    )
    store.delete(source)
    assert submit(store, specification(), tmp_path / "new")[0] == uid
    assert store.describe(uid).specification["prior"] == knew
    with pytest.raises(SpecificationError, match=r"exists with another.*warm_start: \['sums'\] ->"):
        submit(store, specification(warm_start=[]), tmp_path / "new")


def test_a_specification_out_of_a_journal_knows_already(store: Store, tmp_path: Path) -> None:
    source = trained(store)
    first, _ = submit(store, specification(), tmp_path / "new")
    again = Specification.from_json(store.describe(first).specification)
    store.delete(source)
    second, said = submit(store, again, tmp_path / "new", fresh=True)
    assert store.describe(second).specification == again.to_json()
    assert "warm start" not in said


def test_an_experiment_may_start_anew_with_what_it_has_learnt(store: Store, tmp_path: Path) -> None:
    expected = highest(entries(store, trained(store)))
    uid, _ = submit(store, specification(name="sums"), tmp_path / "sums", fresh=True)
    assert store.names() == {"sums": uid}
    assert store.describe(uid).specification["prior"] == expected


def test_what_diverged_is_known_and_a_crash_takes_back_no_result(
    store: Store, tmp_path: Path
) -> None:
    first: dict[str, Any] = {"v": 1, "type": "submitted", "uid": "u"}
    first |= {"experiment": SPECIFICATION.to_json()}

    def entry(kind: str, trial: int, rung: int, **fields: Any) -> dict[str, Any]:
        return {"v": 1, "type": kind, "trial": trial, "rung": rung, "attempt": 1, **fields}

    def begun(trial: int, rung: int = 0) -> dict[str, Any]:
        return entry("scheduled", trial, rung, target=3**rung, config={"x": trial / 10})

    journal = [
        first,
        *(begun(0), entry("completed", 0, 0, metrics={"loss": 0.5})),
        *(begun(0, 1), entry("failed", 0, 1, final=True)),
        *(begun(1), entry("completed", 1, 0, metrics={"loss": "NaN"})),
        *(begun(2), entry("failed", 2, 0, final=True)),
        begun(3),
    ]
    path = tmp_path / "journal.jsonl"
    lines = (dump({"id": f"{i}-0", "at": 0.0, **one}) for i, one in enumerate(journal, 1))
    path.write_text("".join(lines), encoding="utf-8")
    uid, _ = submit(store, specification(warm_start=[str(path)]), tmp_path / "new")
    assert store.describe(uid).specification["prior"] == [
        {"config": {"x": 0.0}, "resource": 1, "value": 0.5},
        {"config": {"x": 0.1}, "resource": 1, "value": "NaN"},
        {"config": {"x": 0.2}, "resource": 1, "value": "NaN"},
    ]
    folded = Suggestions(Fold(store, uid).specification)
    assert folded.suggest(0, 1) == [{"x": 0.0}]  # the only one with a number
    assert folded.suggest(1, 5) == Suggestions(SPECIFICATION).suggest(1, 5)


def test_the_command_says_what_it_has_learnt(
    broker: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = connect(broker)
    trained(store)
    program = tmp_path / "p.py"
    program.write_text("def train(trial): ...\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    fields = {**specification().to_json(), "train": "p.py:train"}
    made = Experiment.from_json(fields)
    handle = made.submit(broker=broker, storage=str(tmp_path))
    assert capsys.readouterr() == ("", "warm start: knows 30 results of sums\n")
    assert len(handle.result().specification.prior) == 30
    made.submit(broker=broker, storage=str(tmp_path))
    assert capsys.readouterr() == ("", "")
    store.close()


# -- what cannot be learnt from ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"warm_start": ["sum"]},
            "warm_start='sum': no experiment in this store has that name; there are: empty, sums. "
            "Or give the path of its journal.jsonl",
        ),
        ({"warm_start": ["empty"]}, "warm_start='empty': it has no result to learn from yet"),
        (
            {"warm_start": ["/nowhere/journal.jsonl"]},
            "warm_start='/nowhere/journal.jsonl': no such file: /nowhere/journal.jsonl, or not to "
            "be read: No such file or directory",
        ),
        (
            {"metric": "error"},
            "warm_start='sums': its metric is 'loss' and that of 'new' is 'error': results can be "
            "learnt from only if both are the same",
        ),
        (
            {"mode": "max"},
            "warm_start='sums': its mode is 'min' and that of 'new' is 'max': results can be "
            "learnt from only if both are the same",
        ),
        (
            {"space": {"x": uniform(0, 1), "lr": loguniform(1e-4, 1.0)}},
            "warm_start='sums': none of its 30 trials with a result fits the space, the first "
            "because of config.lr: is missing",
        ),
    ],
)
def test_what_cannot_be_learnt_from_is_told_in_one_line_before_anything_is_deleted(
    store: Store, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    trained(store)
    empty = SPECIFICATION.to_json() | {"name": "empty"}
    store.submit(uuid.uuid4().hex, "empty", empty)
    names = store.names()
    for fresh in (False, True):
        with pytest.raises(SpecificationError) as raised:
            submit(store, specification(**changes), tmp_path / "new", fresh)
        assert str(raised.value) == message
    assert store.names() == names


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (['{"v": 1, "id"'], "it has no|its journal does not begin with `submitted`"),
        (["nonsense", ""], "line 1: not a line of a journal"),
        (
            ['{"v": 1, "id": "1-0", "at": 0, "type": "completed"}', ""],
            "its journal does not begin with `submitted`: its start is missing",
        ),
        (['{"v": 1, "id": "1-0", "at": 0, "type": "submitted"}', ""], "its journal is malformed"),
        (['{"v": 99, "id": "1-0", "at": 0, "type": "submitted"}', ""], "upgrade asha-queue"),
    ],
)
def test_a_journal_that_is_none_is_refused_by_its_path(
    store: Store, tmp_path: Path, lines: list[str], message: str
) -> None:
    path = tmp_path / "journal.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(SpecificationError, match=message) as raised:
        submit(store, specification(warm_start=[str(path)]), tmp_path / "new")
    assert str(raised.value).startswith(f"warm_start={str(path)!r}: ")
    assert "\n" not in str(raised.value)
    assert store.names() == {}


# -- what samplers make of it --------------------------------------------------------------------


def known(count: int, **changes: Any) -> Specification:
    """With results of x = 0.5, 0.501, …, the best first."""
    results = [
        {"config": {"x": 0.5 + i / 1000}, "resource": 9, "value": float(i)} for i in range(count)
    ]
    return specification(prior=results, **changes)


@pytest.mark.parametrize("sampler", ["random", "sobol"])
@pytest.mark.parametrize(("num_samples", "tried"), [(30, 10), (12, 4), (300, 10)])
def test_a_sampler_that_does_not_learn_tries_the_best_first(
    sampler: str, num_samples: int, tried: int
) -> None:
    made = known(20, sampler=sampler, num_samples=num_samples, initial_configs=[{"x": 0.25}])
    plain = Specification.from_json(made.to_json() | {"prior": [], "initial_configs": []})
    configs = Suggestions(made).suggest(0, num_samples)
    assert configs[0] == {"x": 0.25}
    assert configs[1 : 1 + tried] == [{"x": 0.5 + i / 1000} for i in range(tried)]
    assert configs[1 + tried :] == Suggestions(plain).suggest(1 + tried, num_samples - 1 - tried)


def test_what_is_tried_first_is_tried_once() -> None:
    made = known(2, initial_configs=[{"x": 0.5}])
    twice = Specification.from_json(made.to_json() | {"prior": made.prior * 2})
    assert Suggestions(twice).suggest(0, 2) == [{"x": 0.5}, {"x": 0.501}]
    assert Suggestions(twice).suggest(2, 1) == Suggestions(SPECIFICATION).suggest(2, 1)


def test_a_sampler_that_learns_is_given_what_is_known_beside_its_own_history(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a sampler of the test's own."""

    class Learner(Sampler):
        learns: ClassVar[bool] = True

        def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
            assert history.results == []
            return [{"x": history.prior[0].config["x"] / 2} for _ in range(n)]

    monkeypatch.setitem(suggestions.SAMPLERS, "random", Learner)
    made = Suggestions(known(3))
    assert made.suggest(0, 2) == [{"x": 0.25}] * 2
    assert "prior" not in made.snapshot()["history"]
    diverged: list[Mapping[str, Any]] = [{"config": {"x": 1.0}, "resource": 1, "value": "NaN"}]
    [one] = History(Goal("loss", "min"), diverged).prior
    assert (one.config, one.resource) == ({"x": 1.0}, 1)
    assert math.isnan(one.value)
    assert History(Goal("loss", "min"), known(1).prior).prior == [Known({"x": 0.5}, 9, 0.0)]


# -- the field -----------------------------------------------------------------------------------


def test_it_cannot_go_with_a_grid_and_names_are_names() -> None:
    with pytest.raises(SpecificationError, match="^warm_start: cannot go with a grid"):
        specification(space={"x": grid_search([1, 2])})
    with pytest.raises(SpecificationError, match=r"^warm_start='a b': must be the name of an exp"):
        specification(warm_start=["a b"])
    with pytest.raises(SpecificationError, match=r"^warm_start='sums': must be a list of names"):
        specification(warm_start="sums")


def test_in_a_toml_file_a_journal_is_found_beside_the_file(tmp_path: Path) -> None:
    file = tmp_path / "new.toml"
    file.write_text(
        'name = "new"\ntrain = "p.py:train"\nmetric = "loss"\nmode = "min"\nmax_t = 9\n'
        'warm_start = ["old", "runs/journal.jsonl"]\n[space]\nx = {uniform = [0, 1]}\n',
        encoding="utf-8",
    )
    made = Specification.from_toml(file)
    assert made.warm_start == ["old", str(tmp_path / "runs/journal.jsonl")]
    assert json.loads(json.dumps(made.to_json()))["prior"] == []


def test_a_conditional_trial_fits_where_its_option_does(store: Store) -> None:
    space = {"x": uniform(0.0, 1.0), "net": choice(["flat", {"kind": "deep", "p": uniform(0, 1)}])}
    source = specification(name="sums", space=space, warm_start=[], seed=1)
    uid = store.submit(uuid.uuid4().hex, "sums", source.to_json())
    drive(store, uid, workers=1)
    wide = space | {"net": choice([{"kind": "deep", "p": uniform(0, 2)}, {"kind": "wide"}])}
    made, said = prior.informed(store, specification(space=wide))
    assert 0 < len(made.prior) < 30
    assert all(one["config"]["net"]["kind"] == "deep" for one in made.prior)
    assert "fit the space" in said
