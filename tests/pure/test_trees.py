"""The sampler that learns by trees, and configurations as numbers."""

import json
import math
import statistics
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.samplers import Suggestions, forest
from asha_queue.samplers.encoding import ABSENT, Encoding
from asha_queue.samplers.forest import LEARNT, Forest, learnt, ranks
from asha_queue.samplers.trees import EVERY, FIRST, due
from asha_queue.search.rules import check
from asha_queue.search.space import (
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
from asha_queue.simulation import simulate
from asha_queue.specification import Specification

EVERY_DOMAIN = {
    "lr": loguniform(1e-4, 1.0),
    "u": uniform(-1, 3),
    "q": quniform(0, 0.5, 0.1),
    "ql": qloguniform(1, 64, 1),
    "i": randint(2, 6),
    "li": lograndint(1, 1001),
    "n": normal(5, 2),
    "c": choice(["a", None, 0.5]),
    "m": {"d": choice([16, 32]), "k": 3},
}
SPACES: dict[str, dict[str, Any]] = {
    "every domain": EVERY_DOMAIN,
    "categories": {"a": choice(["x", "y", [1]]), "b": choice([True, None]), "c": choice([1, 2, 8])},
    "one point": {"a": choice(["x"]), "b": randint(3, 4), "k": 1},
    "constants": {"k": 1},
    "huge": {"a": uniform(-1e300, 1e300), "b": loguniform(1e-300, 1e300)},
    "conditional": {
        "o": choice([{"kind": "sgd", "m": uniform(0, 1)}, {"kind": "adam", "b": randint(1, 9)}]),
        "x": choice([loguniform(1e-3, 1), "none"]),
    },
    "a grid": {"g": grid_search(["x", "y"]), "h": grid_search([1, 2]), "u": uniform(0, 1)},
}
#: Values of results: what JSON holds, and what it does not.
VALUES = st.one_of(
    st.floats(), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, 1e308, -1e308])
)


def specification(space: dict[str, Any], **changes: Any) -> Specification:
    fields = {"name": "s", "train": "s.py:train", "metric": "loss", "mode": "min", "max_t": 9}
    numbers = {"reduction_factor": 3, "num_samples": 40, "seed": 7, "sampler": "trees"}
    return Specification(**{**fields, **numbers, "space": space, **changes})


def scheduled(trial: int, config: Any, rung: int = 0, target: int = 1) -> dict[str, Any]:
    entry = {"type": "scheduled", "trial": trial, "bracket": 0, "rung": rung, "target": target}
    return {**entry, "attempt": 1, "config": config}


def completed(trial: int, value: float, rung: int = 0) -> dict[str, Any]:
    written = value if math.isfinite(value) else str(value)
    return {"type": "completed", "trial": trial, "rung": rung, "metrics": {"loss": written}}


def failed(trial: int) -> dict[str, Any]:
    return {"type": "failed", "trial": trial, "rung": 0, "final": True}


def after(space: dict[str, Any], values: list[float], **changes: Any) -> Suggestions:
    """Suggestions after so many trials, drawn at random, with these results."""
    made = Suggestions(specification(space, **changes))
    for trial, value in enumerate(values):
        made.apply(scheduled(trial, Space(space).draw(7, trial)))
        made.apply(completed(trial, value))
    return made


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("mode", ["min", "max"])
@given(values=st.lists(VALUES, max_size=30))
@settings(max_examples=8, deadline=None)
def test_whatever_the_results_configurations_are_of_the_space_and_restarts_change_none(
    space: dict[str, Any], mode: str, values: list[float]
) -> None:
    made = after(space, values, mode=mode)
    first = len(values)
    configs = made.suggest(first, 7)
    assert all(Space(space).accepted(config, "config") == config for config in configs)
    assert made.suggest(first, 7) == configs
    assert [*made.suggest(first, 3), *made.suggest(first + 3, 4)] == configs or "started" in (
        made.snapshot()  # in a small space one suggestion says which others are no repeats
    )
    again = Suggestions(specification(space, mode=mode))
    assert again.restore(json.loads(json.dumps(made.snapshot(), allow_nan=False)))
    assert again.suggest(first, 7) == configs


@pytest.mark.parametrize("count", [0, 1, 2, FIRST, 3 * FIRST])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1.0])
def test_results_that_say_nothing_are_no_obstacle(count: int, value: float) -> None:
    made = after(EVERY_DOMAIN, [value] * count)
    for config in made.suggest(count, 20):
        assert Space(EVERY_DOMAIN).accepted(config, "config") == config


def test_failures_count_as_bad() -> None:
    """Half of the space fails: few are suggested from there, but for what is drawn at random."""
    space = {"x": uniform(0, 1), "y": uniform(0, 1)}
    made = Suggestions(specification(space))
    for trial in range(100):
        config = Space(space).draw(7, trial)
        made.apply(scheduled(trial, config))
        worse = config["x"] < 0.5
        made.apply(failed(trial) if worse else completed(trial, 1 + config["y"]))
    chosen = [c["x"] for t, c in enumerate(made.suggest(100, 100), 100) if t % EVERY]
    assert sum(x < 0.5 for x in chosen) < 0.2 * len(chosen)


def test_first_trials_and_one_in_so_many_later_are_what_is_drawn_at_random() -> None:
    drawn = Suggestions(specification(EVERY_DOMAIN, sampler="random")).suggest(0, 100)
    made = after(EVERY_DOMAIN, [1.0] * 50)
    same = [t for t, c in enumerate(made.suggest(50, 50), 50) if c == drawn[t]]
    assert same == [*range(50, 100, EVERY)]
    assert Suggestions(specification(EVERY_DOMAIN)).suggest(0, 100) == drawn


def test_trials_that_are_suggested_together_differ() -> None:
    made = after(EVERY_DOMAIN, [float(trial % 7) for trial in range(40)])
    texts = [json.dumps(config) for config in made.suggest(40, 200)]
    assert len(set(texts)) == 200


def test_a_grid_is_gone_through_in_turn() -> None:
    made = after(SPACES["a grid"], [float(trial) for trial in range(40)])
    points = [(c["g"], c["h"]) for c in made.suggest(40, 8)]
    assert points == [
        (c["g"], c["h"]) for c in Suggestions(specification(SPACES["a grid"])).suggest(0, 8)
    ]


def test_a_result_that_is_taken_back_is_forgotten() -> None:
    made, other = (after(EVERY_DOMAIN, [float(t) for t in range(30)]) for _ in range(2))
    [config] = other.suggest(30, 1)
    for one in (made, other):
        one.apply(scheduled(30, config))
    made.apply(failed(30))
    made.suggest(31, 5)
    made.apply({"type": "retried", "trial": 30, "rung": 0})
    assert made.suggest(31, 5) == other.suggest(31, 5)


def test_what_other_experiments_found_is_learnt_from() -> None:
    prior = [
        {"config": {"x": x / 50, "y": 0.5}, "resource": 9, "value": abs(x / 50 - 0.2)}
        for x in range(50)
    ]
    space = {"x": uniform(0, 1), "y": uniform(0, 1)}
    made = Suggestions(specification(space, prior=prior))
    chosen = [c["x"] for t, c in enumerate(made.suggest(0, 50)) if t % EVERY]
    assert statistics.median(abs(x - 0.2) for x in chosen) < 0.05


def loss(config: dict[str, Any], t: int) -> dict[str, float]:
    depth = (config["x"] - 0.3) ** 2 + (config["y"] - 0.7) ** 2
    depth += (math.log10(config["lr"]) + 2) ** 2 / 16 + (0.1 if config["kind"] == "b" else 0.0)
    return {"loss": depth + 1 / t}


def best_of(sampler: str, mode: str, seed: int) -> float:
    space = {"x": uniform(0, 1), "y": uniform(0, 1), "lr": loguniform(1e-4, 1)}
    experiment = specification(
        {**space, "kind": choice(["a", "b"])},
        max_t=4,
        num_samples=120,
        seed=seed,
        sampler=sampler,
        mode=mode,
    )
    sign = 1 if mode == "min" else -1
    result = simulate(
        experiment,
        lambda config, t: {"loss": sign * loss(config, t)["loss"]},
        lambda config, start, target: float(target - start),
        workers=4,
    )
    assert check(result.journal) == []
    return min(loss(trial.config, 16)["loss"] for trial in result.trials) - 1 / 16


@pytest.mark.parametrize("mode", ["min", "max"])
def test_it_finds_a_minimum_far_better_than_random_draws_do(mode: str) -> None:
    found = {
        sampler: statistics.median(best_of(sampler, mode, seed) for seed in range(5))
        for sampler in ("random", "trees")
    }
    assert found["trees"] < 0.4 * found["random"]


def test_what_only_long_training_shows_is_learnt_from_it() -> None:
    """Early results say that a small x is good, late ones that a large one is."""
    rng = np.random.default_rng(0)
    rows = rng.random((300, 2), dtype=np.float32)
    resources = np.where(np.arange(300) < 240, 1.0, 64.0)
    losses = np.where(resources == 1, rows[:, 0], 1 - rows[:, 0])[:, None]
    grown = Forest(rows, resources, losses, seed=0)
    asked = np.array([[0.1, 0.5], [0.9, 0.5]], np.float32)
    late = np.mean([grown.predict(tree, asked, 64) for tree in range(forest.TREES)], axis=0)
    early = np.mean([grown.predict(tree, asked, 1) for tree in range(forest.TREES)], axis=0)
    assert early[0] < early[1]
    assert late[1] < late[0]


def test_the_forest_is_one_of_a_number_of_results_that_grows_with_theirs() -> None:
    counts = [due(results) for results in range(20_000)]
    assert counts[:FIRST] == [0] * FIRST
    assert counts[FIRST] == FIRST
    assert all(count <= results for results, count in enumerate(counts))
    assert counts == sorted(counts)
    assert len(set(counts)) < 120
    assert counts[-1] > 0.9 * 20_000


@given(st.lists(st.tuples(st.sampled_from([1.0, 4.0, 16.0]), st.floats()), min_size=1))
def test_all_results_are_learnt_from_as_long_as_they_are_few(held: list[Any]) -> None:
    resources, losses = (np.array(column) for column in zip(*held, strict=True))
    chosen = learnt(resources, losses, np.random.default_rng(0))
    assert chosen.tolist() == [*range(len(held))]


def test_of_many_results_the_latest_rungs_and_the_best_are_learnt_from() -> None:
    rng = np.random.default_rng(0)
    losses = rng.random(10_000)
    resources = np.ones(10_000)
    resources[rng.permutation(10_000)[:500]] = 64
    chosen = learnt(resources, losses, np.random.default_rng(1))
    assert len(chosen) == len(set(chosen.tolist())) == LEARNT
    assert set(np.flatnonzero(resources == 64)) <= set(chosen.tolist())
    assert set(np.argsort(losses)[: LEARNT // 4]) <= set(chosen.tolist())
    assert losses[chosen].max() > 0.99


def test_ranks_share_places_and_put_last_what_is_no_number() -> None:
    losses = np.array([3.0, math.nan, 1.0, 3.0, math.inf, 2.0])
    assert (ranks(losses) * 6).tolist() == pytest.approx([3.5, 5.5, 1, 3.5, 5.5, 2])


def test_scikit_learn_is_imported_when_a_coordinator_prepares_and_else_not() -> None:
    made = specification(EVERY_DOMAIN).to_json()
    program = f"""
import sys
import asha_queue
from asha_queue import Experiment, Trial
from asha_queue.samplers import Suggestions, prepare
from asha_queue.specification import Specification
made = Specification.from_json({made!r})
looking = Suggestions(made)
assert "sklearn" not in sys.modules
prepare(made)
assert "sklearn.ensemble" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_no_configuration_is_trained_twice_where_one_number_can_be_another() -> None:
    space = {"lr": loguniform(1e-4, 1), "a": choice([1, 2]), "b": choice(["x", "y"])}
    made = specification(space, num_samples=200)
    result = simulate(made, lambda c, t: {"loss": c["lr"] + c["a"]}, lambda c, a, b: b - a, 4)
    configs = [json.dumps(trial.config) for trial in result.trials]
    assert len(set(configs)) == len(configs)


# -- configurations as numbers -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lr", "u", "q", "ql", "i", "li", "n"])
def test_a_number_is_the_share_of_its_distribution_below_it(name: str) -> None:
    domain: Any = EVERY_DOMAIN[name]
    encoding = Encoding(Space({name: domain}))
    shares = np.linspace(0.001, 0.999, 200)
    columns = encoding.rows([{name: domain.at(float(share))} for share in shares])
    assert columns.shape == (200, 1)
    assert columns[:, 0].tolist() == sorted(columns[:, 0].tolist())
    coarse = 0.26 if name in ("q", "i", "ql", "li") else 1e-3
    assert np.abs(columns[:, 0] - shares).max() < coarse


def test_options_have_a_column_each_unless_they_are_numbers() -> None:
    space = {"a": choice(["x", None, [1]]), "b": choice([32, 16, 64]), "c": choice([0, True])}
    encoding = Encoding(Space(space))
    rows = encoding.rows([{"a": None, "b": 16, "c": True}, {"a": [1], "b": 64, "c": 0}])
    assert rows[:, :3].tolist() == [[0, 1, 0], [0, 0, 1]]
    assert rows[0, 3] < rows[1, 3]
    assert rows[:, 4:].tolist() == [[0, 1], [1, 0]]


def test_what_is_not_there_or_of_another_space_is_absent() -> None:
    encoding = Encoding(
        Space({"a": {"x": uniform(0, 1)}, "b": choice(["x", "y"]), "c": randint(0, 9)})
    )
    absent = [ABSENT] * encoding.width
    absurd: list[Any] = [{}, {"a": 3, "b": "z", "c": "text"}, {"a": {}, "c": None}]
    assert encoding.rows(absurd).tolist() == [absent] * 3
    assert encoding.rows([]).shape == (0, 4)


def test_what_is_inside_an_option_is_absent_where_another_one_is_taken() -> None:
    space = {"o": choice([{"kind": "sgd", "momentum": uniform(0, 1)}, {"kind": "adam"}, 3])}
    encoding = Encoding(Space(space))
    rows = encoding.rows([{"o": {"kind": "sgd", "momentum": 0.25}}, {"o": {"kind": "adam"}}])
    assert rows.tolist() == [[1, 0, 0, 0.25], [0, 1, 0, ABSENT]]


def test_huge_and_outlying_values_are_within_the_columns() -> None:
    encoding = Encoding(Space(SPACES["huge"]))
    rows = encoding.rows(
        [{"a": 0.0, "b": 1.0}, {"a": 10**400, "b": -1.0}, {"a": -1.8e307, "b": 1e308}]
    )
    assert rows[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-6)
    assert rows[1].tolist() == [ABSENT, ABSENT]
    assert rows[2, 1] == 1.0
