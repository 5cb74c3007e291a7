"""Optuna's samplers on histories. GP needs PyTorch, so its tests are among the slow ones."""

import importlib.util
import json
import logging
import math
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from asha_queue.errors import SpecificationError
from asha_queue.samplers import Suggestions, require
from asha_queue.samplers.history import History, Observation
from asha_queue.samplers.optuna import known, models
from asha_queue.samplers.optuna.parameters import Parameters
from asha_queue.search.goal import Goal
from asha_queue.search.rules import check
from asha_queue.search.space import Space, choice, grid_search, loguniform, randint, uniform
from asha_queue.simulation import simulate
from tests.pure.test_samplers import EVERY_DOMAIN, SMALL_SPACE, scheduled, specification, started

WITHOUT_TORCH = importlib.util.find_spec("torch") is None
GP = pytest.param(
    "optuna-gp",
    marks=[pytest.mark.slow, pytest.mark.skipif(WITHOUT_TORCH, reason="PyTorch is not installed")],
)
QUICK = ["optuna-tpe", "optuna-cmaes", "optuna-nsgaii"]
EACH = pytest.mark.parametrize("sampler", [*QUICK, GP])

CONDITIONAL = {
    "x": uniform(0, 1),
    "optimizer": choice(
        [
            {"kind": "sgd", "lr": loguniform(1e-3, 1.0), "momentum": uniform(0, 1)},
            {"kind": "adam", "lr": loguniform(1e-5, 1e-2), "layers": choice([[1], [1, 2]])},
        ]
    ),
    "data": grid_search(["a", "b"]),
}
PLANE = {"x": uniform(0, 1), "y": uniform(0, 1)}


def completed(trial: int, rung: int, value: Any) -> dict[str, Any]:
    return {"type": "completed", "trial": trial, "rung": rung, "metrics": {"loss": value}}


def failed(trial: int, rung: int) -> dict[str, Any]:
    return {"type": "failed", "trial": trial, "rung": rung, "final": True, "metrics": {}}


def promoted(trial: int, rung: int) -> dict[str, Any]:
    return scheduled(trial, {}) | {"rung": rung, "target": 3**rung}


def found(model: models.Model, history: History) -> list[tuple[int, str]]:
    """Of what a model tells Optuna, the number of each trial and its state."""
    numbers = {json.dumps(model._parameters.told(c)): n for n, c in enumerate(history.configs)}
    return [(numbers[json.dumps(t.params)], t.state.name) for t in model.trials(history)]


def history_of(values: Sequence[Mapping[int, float]], running: int = 0) -> History:
    """Trials at points of the plane with these values by resource, and some in training."""
    history = History(Goal("loss", "min"))
    rng = np.random.default_rng(3)
    for _ in range(len(values) + running):
        history.configs.append(dict(zip(PLANE, rng.random(2).tolist(), strict=True)))
    for rung, resource in enumerate(sorted({step for trial in values for step in trial})):
        for trial, steps in enumerate(values):
            if resource in steps:
                history.results.append(Observation(trial, rung, resource, steps[resource]))
    history.running = dict.fromkeys(range(len(values), len(values) + running), 1)
    return history


# -- configurations there and back ---------------------------------------------------------------


@pytest.mark.parametrize("space", [EVERY_DOMAIN, SMALL_SPACE, CONDITIONAL, {"a": choice([7, 7])}])
def test_a_configuration_comes_back_from_optuna_as_it_was_told(space: dict[str, Any]) -> None:
    parameters = Parameters(Space(space))
    for trial in range(100):
        config = Space(space).draw(1, trial)
        params = parameters.told(config)
        for name, value in params.items():
            distribution = parameters.distributions[name]
            assert distribution._contains(distribution.to_internal_repr(value))
        assert same(parameters.config(params, trial, 1), config)


def same(one: Any, other: Any) -> bool:
    """Equal but for the last digits of numbers that went through a distribution function."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-6)
    return bool(one == other and type(one) is type(other))


@EACH
def test_suggestions_are_configurations_of_the_space_in_plain_json(sampler: str) -> None:
    for space in (EVERY_DOMAIN, CONDITIONAL, SMALL_SPACE):
        made = Suggestions(specification(space, sampler=sampler))
        for block in range(4 if sampler == "optuna-gp" else 10):
            configs = started(made, block * 4, 4)
            for trial, config in enumerate(configs, block * 4):
                assert json.loads(json.dumps(config)) == config
                assert Space(space).accepted(config, "config") == config
                made.apply(completed(trial, 0, (trial * 7) % 5))


@EACH
def test_grids_are_gone_through_in_turn_whatever_is_learnt(sampler: str) -> None:
    made = Suggestions(specification({"a": grid_search([1, 2]), **PLANE}, sampler=sampler))
    for trial in range(40):
        [config] = started(made, trial, 1)
        assert config["a"] == 1 + trial % 2
        made.apply(completed(trial, 0, config["x"] + config["a"]))


@EACH
def test_a_space_of_constants_or_single_values_has_one_configuration(sampler: str) -> None:
    for space, config in (({"a": 1}, {"a": 1}), ({"a": randint(3, 4)}, {"a": 3})):
        made = Suggestions(specification(space, sampler=sampler))
        for trial in range(25):
            assert started(made, trial, 1) == [config]
            made.apply(completed(trial, 0, 1.0))


# -- a function of the history -------------------------------------------------------------------

OUTCOMES = st.sampled_from([0.5, 0.25, 2.0, "NaN", "Infinity", "-Infinity", None, "failed"])


@pytest.mark.parametrize("space", [EVERY_DOMAIN, CONDITIONAL], ids=["plain", "conditional"])
@EACH
@given(st.data())
# an example takes a second, so a failing one is shown as it is
@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.generate])
def test_a_new_coordinator_suggests_what_the_one_that_lived_on_does(
    sampler: str, space: dict[str, Any], data: st.DataObject
) -> None:
    """From the journal, and from a snapshot and the rest of the journal."""
    made, drawn = specification(space, sampler=sampler), specification(space)
    lived, journal, snapshots = Suggestions(made), [], []
    open_ones: list[tuple[int, int]] = []
    done: list[tuple[int, int]] = []
    lost: list[tuple[int, int]] = []

    def apply(entry: dict[str, Any]) -> None:
        journal.append(json.loads(json.dumps(entry)))
        lived.apply(journal[-1])

    trials = 0
    random_ones = random.Random(data.draw(st.integers(0, 99)))
    for _ in range(data.draw(st.integers(20, 50))):
        if open_ones and random_ones.random() < 0.5:
            trial, rung = open_ones.pop(random_ones.randrange(len(open_ones)))
            outcome = data.draw(OUTCOMES)
            if outcome == "failed":
                apply(failed(trial, rung))
                lost.append((trial, rung))
            else:
                value = outcome if isinstance(outcome, str | None) else outcome + trial % 7
                apply(completed(trial, rung, value))
                done.append((trial, rung))
        elif done and random_ones.random() < 0.3:
            trial, rung = done.pop(random_ones.randrange(len(done)))
            apply(promoted(trial, rung + 1))
            open_ones.append((trial, rung + 1))
        elif lost and random_ones.random() < 0.3:
            trial, rung = lost.pop()
            apply({"type": "retried", "trial": trial, "rung": rung})
            open_ones.append((trial, rung))
        else:
            # a GP takes long
            [config] = (lived if sampler in QUICK else Suggestions(drawn)).suggest(trials, 1)
            apply(scheduled(trials, config))
            open_ones.append((trials, 0))
            trials += 1
        snapshots.append(json.dumps(lived.snapshot()))
    at = data.draw(st.integers(0, len(journal) - 1))
    replayed, resumed = Suggestions(made), Suggestions(made)
    for entry in journal:
        replayed.apply(entry)
    assert resumed.restore(json.loads(snapshots[at]))
    for entry in journal[at + 1 :]:
        resumed.apply(entry)
    expected = lived.suggest(trials, 3)
    assert replayed.suggest(trials, 3) == resumed.suggest(trials, 3) == expected
    assert lived.suggest(trials, 3) == expected
    # one by one, each in training before the next is asked for
    assert [started(lived, trials + place, 1)[0] for place in range(3)] == expected


@EACH
def test_another_seed_brings_other_configurations_and_the_same_seed_the_same(sampler: str) -> None:
    history = history_of([{1: trial % 9} for trial in range(60)], running=3)

    def suggested(seed: int) -> list[dict[str, Any]]:
        model = models.MODELS[sampler](specification(PLANE, sampler=sampler, seed=seed))
        return model.suggest(history, 63, 5)

    assert suggested(1) == suggested(1)
    assert suggested(1) != suggested(2)


@EACH
def test_a_larger_metric_is_taken_as_its_mirror_image_is(sampler: str) -> None:
    def suggested(mode: str) -> list[dict[str, Any]]:
        sign = -1.0 if mode == "max" else 1.0
        steps = [{1: sign * (trial % 9)} for trial in range(60)]
        for trial in range(0, 60, 3):
            steps[trial][3] = sign * (trial % 7)
        made = specification(PLANE, sampler=sampler, mode=mode)
        return models.MODELS[sampler](made).suggest(history_of(steps), 60, 4)

    assert suggested("max") == suggested("min")


# -- what they learn -----------------------------------------------------------------------------


@EACH
def test_what_is_suggested_gets_better_with_results(sampler: str) -> None:
    made = Suggestions(specification(PLANE, sampler=sampler))
    distances = []
    for trial in range(100):
        [config] = started(made, trial, 1)
        distances.append(math.dist((config["x"], config["y"]), (0.8, 0.3)))
        made.apply(completed(trial, 0, distances[-1] ** 2))
    # NSGA-II mixes and mutates for good, which is meant for fronts
    part = 0.9 if sampler == "optuna-nsgaii" else 0.5
    assert np.mean(distances[-40:]) < part * np.mean(distances[:20])


@EACH
def test_results_of_higher_rungs_count_more_than_those_below(sampler: str) -> None:
    """After a little training a small x looks good, after more it is a large one that is."""
    history = history_of([{} for _ in range(150)])
    for trial, config in enumerate(history.configs):
        history.results.append(Observation(trial, 0, 1, config["x"]))
    for trial, config in enumerate(history.configs[::3]):
        history.results.append(Observation(3 * trial, 1, 3, 1 - config["x"]))
    model = models.MODELS[sampler](specification(PLANE, sampler=sampler))
    configs = model.suggest(history, 150, 20)
    assert np.mean([config["x"] for config in configs]) > 0.6


def test_tpe_is_told_of_every_trial_as_pruned_or_running() -> None:
    history = history_of([{1: 5.0}, {1: 4.0, 3: 3.0}, {1: 1.0, 3: math.nan}, {}], running=1)
    history.running[1] = 9  # it was promoted, and keeps the values that it has
    history.running[3] = 1
    model = models.Tpe(specification(PLANE, sampler="optuna-tpe"))
    assert found(model, history) == [
        (0, "PRUNED"),
        (1, "PRUNED"),
        (2, "PRUNED"),
        (3, "RUNNING"),
        (4, "RUNNING"),
    ]
    steps = [trial.intermediate_values for trial in model.trials(history)]
    assert steps == [{1: 5.0}, {1: 4.0, 3: 3.0}, {}, {}, {}]


@pytest.mark.parametrize("kind", [models.Gp, models.NsgaII])
def test_models_of_values_are_told_those_of_the_highest_rung_with_enough_of_them(kind: Any) -> None:
    model = kind(specification(PLANE))
    for above, expected in ((model.enough, 3), (model.enough - 1, 1)):
        steps = [{1: 9.0} | ({3: 1.0} if trial < above else {}) for trial in range(40)]
        history = history_of(steps, running=2)
        complete = [trial for trial in model.trials(history) if trial.state.name == "COMPLETE"]
        assert [trial.value for trial in complete] == (
            [1.0] * above if expected == 3 else [9.0] * 40
        )
        running = [trial for trial in found(model, history) if trial[1] == "RUNNING"]
        assert running == ([(40, "RUNNING"), (41, "RUNNING")] if kind is models.Gp else [])


def test_what_is_no_number_counts_as_the_worst_number_of_its_rung() -> None:
    values = [1.0, math.nan, math.inf, 3.0, -math.inf]
    results = [Observation(trial, 0, 1, value) for trial, value in enumerate(values)]
    assert known.numbers(results, 1.0) == [1.0, 3.0, 3.0, 3.0, 1.0]
    assert known.numbers(results, -1.0) == [-1.0, -1.0, -3.0, -3.0, -1.0]
    assert known.numbers([Observation(0, 0, 1, math.nan)], 1.0) == [0.0]


def test_of_many_trials_the_better_half_of_the_limit_and_the_newest_are_told() -> None:
    best_first = [8, 1, 9, 0, 2, 3, 4, 5, 6, 7]
    assert models.chosen(best_first, 4) == [1, 7, 8, 9]
    assert models.chosen(best_first, 10) == list(range(10))
    assert models.chosen(best_first, 99) == list(range(10))
    assert models.chosen([], 4) == []


@pytest.mark.parametrize("sampler", ["optuna-tpe", "optuna-nsgaii"])
def test_a_suggestion_costs_little_after_ten_thousand_results(sampler: str) -> None:
    steps = [{1: trial % 97, 3: trial % 89} if trial % 4 else {1: trial} for trial in range(6000)]
    history = history_of(steps, running=20)
    model = models.MODELS[sampler](specification(PLANE, sampler=sampler))
    model.suggest(history, 6020, 1)
    began = time.process_time()
    model.suggest(history, 6020, 5)
    assert (time.process_time() - began) / 5 < 0.5  # 0.02 s, usually


def test_cma_es_goes_on_from_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Going through the history anew takes as long as it is; it does so for a failure taken back
    only."""
    model = models.CmaEs(specification(PLANE, sampler="optuna-cmaes"))
    moved: list[int] = []
    move = model._move

    def counted(history: History, population: Sequence[Observation]) -> None:
        moved.append(len(population))
        move(history, population)

    monkeypatch.setattr(model, "_move", counted)
    history = history_of([{1: trial % 97} for trial in range(60)])
    model.suggest(history, 60, 1)
    first = len(moved)
    assert first == 60 // model._size
    model.suggest(history, 60, 2)
    assert len(moved) == first
    del history.results[1]
    model.suggest(history, 60, 1)
    assert len(moved) == first + 59 // model._size


def test_what_was_known_before_the_first_trial_is_learnt_from() -> None:
    """Here of trials that went further than max_t, and one that diverged."""
    configs = [{"x": place / 40, "y": 0.5} for place in range(40)]
    prior = [
        {"config": config, "resource": 81, "value": abs(config["x"] - 0.9)} for config in configs
    ]
    prior[3]["value"] = "NaN"
    for sampler in QUICK:
        history = History(Goal("loss", "min"), prior)
        model = models.MODELS[sampler](specification(PLANE, sampler=sampler))
        mean = np.mean([config["x"] for config in model.suggest(history, 0, 30)])
        assert mean > 0.6
        assert {result.resource for result in model.results(history)} == {9}
        assert model.suggest(history, 0, 2) == model.suggest(history, 0, 2)


@EACH
def test_a_simulated_search_keeps_every_rule(sampler: str) -> None:
    made = specification(EVERY_DOMAIN, sampler=sampler, num_samples=30, initial_configs=[{"i": 2}])
    result = simulate(
        made, lambda config, t: {"loss": config["lr"] / t}, lambda config, start, target: 1.0
    )
    assert check(result.journal) == []
    assert result.state == "finished"
    assert result.trials[0].config["i"] == 2


# -- good manners --------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", QUICK)
def test_optuna_says_nothing_and_its_settings_and_global_randomness_are_left_alone(
    sampler: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    optuna.logging.enable_propagation()
    try:
        state = np.random.get_state()[1].tolist()  # type: ignore[index]
        drawn = random.getstate()
        with caplog.at_level(logging.DEBUG):
            history = history_of([{1: trial % 9} for trial in range(40)])
            models.MODELS[sampler](specification(PLANE, sampler=sampler)).suggest(history, 40, 3)
        assert optuna.logging.get_verbosity() == optuna.logging.INFO
        assert np.random.get_state()[1].tolist() == state  # type: ignore[index]
        assert random.getstate() == drawn
        assert [record.message for record in caplog.records if "optuna" in record.name] == []
        assert capfd.readouterr() == ("", "")
    finally:
        optuna.logging.disable_propagation()


@pytest.mark.parametrize(
    ("sampler", "hidden", "said"),
    [
        ("optuna-tpe", {"optuna"}, r"needs optuna, .*; pip install 'asha-queue\[optuna\]', or use"),
        ("optuna-nsgaii", {"optuna"}, "sampler='optuna-nsgaii': needs optuna"),
        ("optuna-cmaes", {"optuna", "cmaes"}, r"cmaes, .* install 'asha-queue\[optuna\]', or use"),
        ("optuna-gp", {"torch"}, "needs torch, not installed here; pip install torch, or use"),
        ("optuna-gp", {"optuna", "torch"}, r"install 'asha-queue\[optuna\]' torch, or use"),
    ],
)
def test_what_is_not_installed_is_told_in_one_message_with_the_command(
    sampler: str, hidden: set[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages are hidden: both with and without them cannot be installed at once."""
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in hidden else find(name)
    )
    made = specification(PLANE, sampler=sampler)
    require(specification(PLANE))
    for call in (lambda: require(made), lambda: Suggestions(made).suggest(0, 1)):
        with pytest.raises(SpecificationError, match=said):
            call()


def test_optuna_is_imported_when_a_coordinator_prepares_and_else_not() -> None:
    made = specification(PLANE, sampler="optuna-cmaes").to_json()
    program = f"""
import sys
from asha_queue.samplers import Suggestions, prepare
from asha_queue.specification import Specification
made = Specification.from_json({made!r})
looking = Suggestions(made)
assert not {{"optuna", "cmaes"}} & sys.modules.keys()
prepare(made)
assert {{"optuna", "cmaes"}} <= sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
