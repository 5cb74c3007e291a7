import json
import math
import time
from collections import Counter
from typing import Any

import pytest

from asha_queue.errors import SpecificationError
from asha_queue.result import Result
from asha_queue.search.rules import check
from asha_queue.search.space import choice, grid_search, loguniform, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification

SPACE = {"lr": loguniform(1e-4, 1.0), "x": uniform(0, 1)}


def experiment(**changes: Any) -> Specification:
    fields = {"name": "sim", "train": "sim.py:train", "space": SPACE, "metric": "loss"}
    numbers = {"mode": "min", "max_t": 27, "reduction_factor": 3, "num_samples": 40, "seed": 0}
    return Specification(**{**fields, **numbers, **changes})


def evaluate(config: dict[str, Any], t: int) -> dict[str, float]:
    return {"loss": config["x"] + 1 / t}


def seconds(config: dict[str, Any], start: int, target: int) -> float:
    return (target - start) * float(1 + config["x"])


def run(workers: int = 4, **options: Any) -> Result:
    return simulate(experiment(), evaluate, seconds, workers=workers, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 1},
        {"workers": 7},
        {"workers": 1000},
        {"straggler": 1.3},
        {"drop": 0.05},
        {"straggler": 0.5, "drop": 0.05, "until": 30.0},
    ],
)
def test_a_simulated_journal_keeps_all_rules_and_is_plain_json(options: dict[str, Any]) -> None:
    result = run(**options)
    assert check(result.journal) == []
    assert json.loads(json.dumps(result.journal, allow_nan=False)) == result.journal


def test_a_simulation_runs_to_the_end_and_finds_the_best() -> None:
    result = run()
    assert result.state == "finished"
    assert result.journal[0]["type"] == "submitted"
    assert result.journal[-1]["type"] == "finished"
    assert result.best is not None
    # Values keep their order in each rung here, so promotion must find the best of all.
    assert result.best.config["x"] == min(trial.config["x"] for trial in result.trials)
    assert Counter(trial.state for trial in result.trials).keys() == {"stopped", "done"}


def test_the_same_seed_brings_the_same_journal_and_another_seed_another() -> None:
    first = run(straggler=0.3, drop=0.02)
    assert run(straggler=0.3, drop=0.02).journal == first.journal
    other = simulate(experiment(seed=1), evaluate, seconds, workers=4, straggler=0.3, drop=0.02)
    assert other.journal != first.journal


def test_without_a_seed_the_one_that_was_drawn_is_journalled() -> None:
    result = simulate(experiment(seed=None), evaluate, seconds)
    drawn = result.journal[0]["experiment"]["seed"]
    again = simulate(experiment(seed=drawn), evaluate, seconds)
    assert again.journal == result.journal


def test_trials_get_the_configurations_that_the_space_draws() -> None:
    made = experiment(space={"a": grid_search([1, 2]), "x": choice([0.1, 0.2])}, num_samples=3)
    result = simulate(made, evaluate, seconds)
    assert [t.config for t in result.trials] == [made.parameters.draw(0, n) for n in range(6)]


def test_no_worker_trains_two_segments_at_once_and_none_is_ever_idle_while_trials_are_left() -> (
    None
):
    result = run(workers=3)
    busy: dict[str, float] = {}
    last_start = max(e["at"] for e in result.journal if e["type"] == "scheduled" and not e["rung"])
    for entry in result.journal:
        if entry["type"] == "started":
            idle_since = busy.pop(entry["worker"], 0.0)
            assert idle_since == entry["at"] or entry["at"] > last_start
        elif entry["type"] == "completed":
            assert entry["worker"] not in busy
            busy[entry["worker"]] = entry["at"]


def test_one_worker_takes_the_sum_of_all_segments_and_many_take_less() -> None:
    alone = run(workers=1)
    spent = sum(r.seconds for trial in alone.trials for r in trial.results)
    assert alone.seconds == pytest.approx(spent)
    assert run(workers=8).seconds < alone.seconds / 4


def test_dropped_segments_are_lost_and_trained_again_with_the_next_attempt() -> None:
    result = run(drop=0.1)
    lost = [entry for entry in result.journal if entry["type"] == "lost"]
    assert len(lost) > 10
    again = {(e["trial"], e["rung"], e["attempt"]) for e in result.journal if "attempt" in e}
    assert all((e["trial"], e["rung"], e["attempt"] + 1) in again for e in lost)
    assert result.state == "finished"
    assert result.seconds > run().seconds
    assert result.resource_spent > run().resource_spent


def test_the_chance_of_a_drop_is_per_unit_of_time() -> None:
    made = experiment(max_t=1, num_samples=4000)
    result = simulate(made, evaluate, lambda config, start, target: 1.0, drop=0.2)
    dropped = sum(entry["type"] == "lost" for entry in result.journal)
    attempts = sum(entry["type"] == "started" for entry in result.journal)
    assert dropped / attempts == pytest.approx(0.2, abs=0.02)


def test_stragglers_take_longer_by_the_mean_of_a_folded_normal_deviate() -> None:
    made = experiment(max_t=1, num_samples=4000)
    result = simulate(made, evaluate, lambda config, start, target: 1.0, straggler=0.5)
    taken = [r.seconds for trial in result.trials for r in trial.results]
    assert min(taken) >= 1.0
    assert sum(taken) / len(taken) == pytest.approx(1 + 0.5 * math.sqrt(2 / math.pi), abs=0.02)


def test_nothing_happens_after_the_time_limit() -> None:
    result = run(until=10.0)
    assert result.state == "running"
    assert max(entry["at"] for entry in result.journal) <= 10.0
    assert any(trial.state == "running" for trial in result.trials)


def test_diverging_trials_do_not_stop_a_simulation() -> None:
    def diverging(config: dict[str, Any], t: int) -> dict[str, float]:
        return {"loss": math.nan if config["x"] < 0.5 else config["x"]}

    result = simulate(experiment(), diverging, seconds)
    assert check(result.journal) == []
    assert {t.state for t in result.trials if t.config["x"] < 0.5} == {"diverged"}
    assert result.state == "finished"


def test_ids_are_those_of_a_stream_and_only_grow() -> None:
    ids = [tuple(map(int, entry["id"].split("-"))) for entry in run(drop=0.05).journal]
    assert ids == sorted(set(ids))


@pytest.mark.parametrize(
    "options", [{"workers": 0}, {"straggler": -1.0}, {"drop": 1.0}, {"drop": -0.1}]
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any]) -> None:
    ((name, value),) = options.items()
    with pytest.raises(SpecificationError, match=f"{name}={value}.*must have"):
        run(**options)


def test_ten_thousand_trials_on_five_hundred_workers_take_less_than_ten_seconds() -> None:
    made = experiment(num_samples=10_000, max_t=64, reduction_factor=4, sampler="random")
    began = time.perf_counter()
    result = simulate(made, evaluate, seconds, workers=500, straggler=0.1)
    assert time.perf_counter() - began < 10
    assert result.state == "finished"
    assert len(result.trials) == 10_000
