"""Samplers that learn from all metrics where several count, and from constraints."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asha_queue.samplers import Suggestions, forest, trees
from asha_queue.samplers.history import History, Observation
from asha_queue.samplers.optuna import models
from asha_queue.search.rules import check
from asha_queue.search.rung import Standing
from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.pure.test_samplers import scheduled, specification, started

EACH = pytest.mark.parametrize("sampler", ["optuna-nsgaii", "trees"])
CUBE = dict.fromkeys("abcdef", uniform(0, 1))
#: Where each of two metrics is best; the front is what lies between.
ENDS = (0.25, 0.75)


def of(**changes: Any) -> Specification:
    fields = {"sampler": "optuna-nsgaii", "metric": ["one", "other"], "mode": "min"}
    return specification(CUBE, **{**fields, "num_samples": 200, **changes})


def conflicting(config: Mapping[str, float]) -> dict[str, float]:
    point = np.array([*config.values()])
    return dict(zip(("one", "other"), (float(((point - e) ** 2).sum()) for e in ENDS), strict=True))


def completed(trial: int, metrics: Mapping[str, Any], rung: int = 0) -> dict[str, Any]:
    return {"type": "completed", "trial": trial, "rung": rung, "metrics": metrics}


def played(
    made: Specification, evaluate: Callable[[Mapping[str, float]], dict[str, float]]
) -> NDArray[np.float64]:
    """The points of an experiment's trials, each of which is told before the next."""
    suggestions = Suggestions(made)
    points = []
    for trial in range(made.num_samples):
        [config] = started(suggestions, trial, 1)
        points.append([*config.values()])
        suggestions.apply(completed(trial, evaluate(config)))
    return np.array(points)


def told(made: Specification, *results: Any) -> list[tuple[list[float], float]]:
    """What Optuna is told: of each trial the values and the violation. A result is one of the
    first rung, "failed", or a pair of those of the first two rungs."""
    history = History(made.goal, made.prior)
    for trial, result in enumerate(results):
        history.apply(scheduled(trial, dict.fromkeys(CUBE, trial / 99)))
        if result == "failed":
            history.apply({"type": "failed", "trial": trial, "rung": 0, "final": True})
            continue
        for rung, metrics in enumerate(result if isinstance(result, tuple) else (result,)):
            if rung:
                history.apply(scheduled(trial, {}) | {"rung": rung, "target": 3})
            history.apply(completed(trial, metrics, rung))
    trials = models.NsgaII(made).trials(history)
    return [(trial.values, trial.constraints["violation"]) for trial in trials]


@EACH
@pytest.mark.parametrize("seed", [1, 2])
def test_suggestions_come_to_the_front_and_stay_spread_along_it(sampler: str, seed: int) -> None:
    """Random ones come no closer, and those learnt from one metric go to one end."""

    def measured(**changes: Any) -> tuple[float, float]:
        points = played(of(**{"sampler": sampler, "seed": seed, **changes}), conflicting)[-70:]
        along = points.mean(1).clip(*ENDS)
        away = np.linalg.norm(points - along[:, None], axis=1)
        return float(np.median(away)), float(along.mean())

    learnt, middle = measured()
    assert learnt < 0.85 * measured(sampler="random")[0]
    assert abs(middle - 0.5) < 0.06
    assert measured(metric="one")[1] < 0.4


@EACH
def test_a_metric_of_which_more_is_better_is_taken_as_its_mirror_image_is(sampler: str) -> None:
    def mirrored(config: Mapping[str, float]) -> dict[str, float]:
        metrics = conflicting(config)
        return metrics | {"other": -metrics["other"]}

    made = {"num_samples": 60, "sampler": sampler}
    plain = played(of(**made), conflicting)
    assert (played(of(**made, mode=["min", "max"]), mirrored) == plain).all()
    assert (played(of(**made), mirrored) != plain).any()


@EACH
@pytest.mark.parametrize("metric", ["one", ["one", "other"]])
def test_constraints_are_met_before_metrics_are_good(sampler: str, metric: Any) -> None:
    """All metrics are best where the sum is largest, which is what the constraint forbids;
    of random points one in twelve meets it."""

    def evaluate(config: Mapping[str, float]) -> dict[str, float]:
        total = sum(config.values())
        return {"one": -total, "other": -config["a"], "total": total}

    made: dict[str, Any] = {"sampler": sampler, "metric": metric}
    free = played(of(**made), evaluate)[-70:].sum(1)
    bound = played(of(**made, constraints={"total": {"max": 2.0}}), evaluate)[-70:].sum(1)
    assert (free <= 2.0).mean() < 0.15
    assert (bound <= 2.0).mean() > 0.25


def test_trees_rank_by_violation_then_in_each_metric_and_last_what_cannot_be_ranked() -> None:
    standings = [(0.0, (1.0, 3.0)), (0.0, (2.0, 4.0)), (0.5, (0.0, 9.0)), (0.0, (1.0, 4.0))]
    standings += [(math.inf, (0.0, 9.0)), (0.0, (math.nan, 9.0)), (0.0, (0.0, math.inf))]
    results = [
        Observation(trial, 0, 1, values[0], Standing(violation, values))
        for trial, (violation, values) in enumerate(standings)
    ]
    losses = trees.losses_of(results, np.array([1.0, -1.0]))
    order = [forest.ranks(column) * len(results) for column in losses.T]
    assert order[0].tolist() == pytest.approx([1.5, 3, 4, 1.5, 6, 6, 6])
    assert order[1].tolist() == pytest.approx([3, 1.5, 4, 1.5, 6, 6, 6])
    plain = [Observation(0, 0, 1, 2.0), Observation(1, 0, 1, 3.0)]
    assert trees.losses_of(plain, np.array([-1.0])).tolist() == [[-2.0], [-3.0]]


def test_what_cannot_be_ranked_is_not_told_and_violations_are_told_with_their_size() -> None:
    made = of(mode=["min", "max"], constraints={"cost": {"max": 2.0}})
    good = {"one": 1.0, "other": 3.0, "cost": 1.0}
    assert told(
        made,
        good,
        good | {"cost": 3.0},
        good | {"cost": "NaN"},
        good | {"one": "Infinity"},
        {"one": 1.0, "cost": 1.0},
        "failed",
    ) == [([1.0, -3.0], 0.0), ([1.0, -3.0], 0.5)]
    assert told(made, "failed") == told(made) == []


def test_told_are_the_results_of_the_highest_rung_where_enough_can_be_ranked() -> None:
    low, high, strange = ({"one": value, "other": 1.0} for value in (9.0, 3.0, math.nan))
    enough = models.POPULATION
    pairs = [(low, high)] * enough
    assert told(of(), *pairs, low) == [([3.0, 1.0], 0.0)] * enough
    assert told(of(), *pairs[1:], (low, strange)) == [([9.0, 1.0], 0.0)] * enough


def test_of_many_trials_the_best_and_the_newest_are_told() -> None:
    results = [{"one": float(n), "other": float(n)} for n in range(models.LIMIT + 100)]
    values = [values[0] for values, _ in told(of(), *results)]
    half = models.LIMIT // 2
    assert values == [*range(half), *range(half + 100, models.LIMIT + 100)]


def test_what_was_known_before_has_one_value_and_is_left_out_where_more_counts() -> None:
    prior = [{"config": dict.fromkeys(CUBE, n / 40), "resource": 9, "value": n} for n in range(40)]
    result = {"one": 1.0, "other": 2.0}
    assert told(of(prior=prior), result) == [([1.0, 2.0], 0.0)]
    alone = of(prior=prior, metric="one")
    assert len(models.NsgaII(alone).trials(History(alone.goal, alone.prior))) == len(prior)


@EACH
@pytest.mark.parametrize("constraints", [{}, {"cost": {"max": 0.5}}])
@pytest.mark.parametrize("metric", ["one", ["one", "other"]])
def test_a_new_coordinator_suggests_what_the_one_that_lived_on_does(
    sampler: str, metric: Any, constraints: dict[str, Any]
) -> None:
    """From the journal, and from a snapshot and the rest of the journal; a failure is taken back
    in that."""
    made = of(sampler=sampler, metric=metric, constraints=constraints)
    lived, journal, snapshots = Suggestions(made), [], []

    def apply(entry: dict[str, Any]) -> None:
        journal.append(json.loads(json.dumps(entry)))
        lived.apply(journal[-1])
        snapshots.append(json.dumps(lived.snapshot(), allow_nan=False))

    for trial in range(60):
        [config] = lived.suggest(trial, 1)
        apply(scheduled(trial, config))
        metrics: dict[str, Any] = conflicting(config) | {"cost": config["a"]}
        if trial % 9 == 3:
            apply({"type": "failed", "trial": trial, "rung": 0, "final": True})
        elif trial % 9 == 5:
            del metrics["cost"]
            apply(completed(trial, metrics | {"one": "NaN"}))
        else:
            apply(completed(trial, metrics))
    apply({"type": "retried", "trial": 57, "rung": 0})
    replayed = Suggestions(made)
    for entry in journal:
        replayed.apply(entry)
    expected = lived.suggest(60, 3)
    assert replayed.suggest(60, 3) == lived.suggest(60, 3) == expected
    for at in (10, 80, len(journal) - 1):
        resumed = Suggestions(made)
        assert resumed.restore(json.loads(snapshots[at]))
        assert json.dumps(resumed.snapshot()) == snapshots[at]
        for entry in journal[at + 1 :]:
            resumed.apply(entry)
        assert resumed.suggest(60, 3) == expected


@EACH
def test_a_simulated_search_with_several_metrics_keeps_every_rule(sampler: str) -> None:
    made = of(sampler=sampler, num_samples=60, constraints={"one": {"max": 1.0}})
    result = simulate(made, lambda config, t: conflicting(config), lambda config, start, target: 1)
    assert check(result.journal) == []
    assert result.state == "finished"


@pytest.mark.parametrize(
    "changes", [{}, {"metric": "one", "constraints": {"cost": {"max": 0.5}}}, {"sampler": "trees"}]
)
def test_of_what_was_known_the_best_is_tried_first_where_more_counts(changes: Any) -> None:
    prior = [{"config": dict.fromkeys(CUBE, n / 40), "resource": 9, "value": n} for n in range(40)]
    made = of(**changes)
    configs = Suggestions(of(prior=prior, **changes)).suggest(0, 12)
    assert configs[:10] == [dict.fromkeys(CUBE, n / 40) for n in range(10)]
    assert configs[10:] == Suggestions(made).suggest(10, 2)
