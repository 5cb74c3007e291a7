"""What an experiment is expected to take: figures against hand-computed and simulated ones."""

import json
from typing import Any
from zlib import crc32

import pytest

from asha_queue import planning
from asha_queue.errors import SpecificationError
from asha_queue.planning import Forecast, Spread, forecast
from asha_queue.search.space import grid_search, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification


def experiment(**changes: Any) -> Specification:
    fields = {"name": "planned", "train": "p.py:train", "space": {"x": uniform(0, 1)}}
    rules = {"metric": "loss", "mode": "min", "max_t": 64, "num_samples": 64, "hedge": False}
    return Specification(**{**fields, **rules, **changes})


def exactly(value: float) -> Spread:
    return Spread(value, value, value)


def told(plan: Forecast) -> str:
    return "\n".join(plan.warnings)


def test_one_rung_trains_each_trial_in_full_in_waves() -> None:
    ten = experiment(max_t=5, grace_period=5, num_samples=10, keep_checkpoints="all")
    plan = forecast(ten, [2, 4], 2.0, startup=1.0, price=36.0, checkpoint_bytes=100)
    (rung,) = plan.rungs
    assert (rung.level, rung.segments, rung.resource) == (5, exactly(10), exactly(50))
    assert (plan.resource, plan.full, plan.share) == (exactly(50), 50, 1.0)
    two, four = plan.fleets
    # Each segment takes 1 + 5 * 2 seconds: ten are five waves on two workers, on four three.
    assert (two.seconds, two.busy, two.ends) == (exactly(55), exactly(1), "all trials ended")
    assert (four.seconds, four.busy) == (exactly(33), exactly(10 * 11 / (4 * 33)))
    # An hour of a worker costs 36, a second 0.01, idle or not.
    assert (two.cost, four.cost) == (exactly(1.10), exactly(1.32))
    assert (plan.checkpoints, plan.disk) == (exactly(10), exactly(1000))


def test_four_trials_of_whom_one_goes_on_take_what_one_computes_by_hand() -> None:
    four = experiment(max_t=4, num_samples=4)
    plan = forecast(four, [1], 10.0, startup=1.0)
    assert [rung.segments for rung in plan.rungs] == [exactly(4), exactly(1)]
    assert [rung.resource for rung in plan.rungs] == [exactly(4), exactly(3)]
    assert plan.fleets[0].seconds == exactly(5 * 1.0 + 7 * 10.0)
    assert (plan.full, plan.affords, plan.each) == (16, 7 / 4, 7 / 4)
    # What trains from step 0 each time pays for the first step again.
    unsaved = forecast(four, [1], 10.0, startup=1.0, saves=False)
    assert [rung.resource for rung in unsaved.rungs] == [exactly(4), exactly(4)]
    assert unsaved.fleets[0].seconds == exactly(5 * 1.0 + 8 * 10.0)
    assert unsaved.checkpoints == exactly(0)
    assert "saves no checkpoint" in told(unsaved)
    assert "saves no checkpoint" not in told(plan)


def test_without_a_time_per_step_lengths_are_in_steps_and_nothing_is_in_seconds() -> None:
    plan = forecast(experiment(max_t=4, num_samples=4), [1])
    (fleet,) = plan.fleets
    assert (fleet.seconds, fleet.cost, fleet.steps) == (None, None, exactly(7))


def test_a_plan_is_the_same_twice_and_plain_json() -> None:
    plan = forecast(experiment(), [4], curve=True)
    assert forecast(experiment(), [4], curve=True) == plan
    assert json.loads(json.dumps(plan.to_json(), allow_nan=False))["fleets"][0]["workers"] == 4


@pytest.mark.parametrize(
    ("fields", "workers"),
    [
        ({}, 4),
        ({"hedge": True}, 16),
        ({"variant": "delayed"}, 4),
        ({"variant": "stopping"}, 4),
        ({"brackets": 3}, 4),
        ({"metric": ["loss", "size"], "mode": ["min", "min"]}, 4),
        ({"metric": "acc", "mode": "max", "constraints": {"ms": {"max": 20.0}}}, 4),
        ({"space": {"x": grid_search([1, 2, 3, 4]), "y": uniform(0, 1)}, "num_samples": 64}, 4),
        ({"sampler": "sobol"}, 64),
    ],
)
def test_a_plan_is_near_what_a_simulation_with_other_values_takes(
    fields: dict[str, Any], workers: int
) -> None:
    """Learning curves that fall towards a value of their own, which early values tell roughly."""
    specification = experiment(**{"seed": 3, "sampler": "random", "num_samples": 256, **fields})
    plan = forecast(specification, [workers])

    def evaluate(config: dict[str, Any], step: int) -> dict[str, float]:
        x, size, noise = (crc32(f"{config} {of}".encode()) / 2**32 for of in ("", "size", step))
        loss = x + (1 + x) / step + 0.2 * noise / step
        return {"loss": loss, "acc": -loss, "size": size, "ms": 10.0}

    ran = simulate(specification, evaluate, lambda _, a, b: float(b - a), workers=workers)
    assert 1 / 1.6 < ran.resource_spent / plan.resource.median < 1.6
    for rung, planned in zip(ran.rungs, plan.by_level(), strict=True):
        assert rung.level == planned.level
        assert planned.segments.low / 2 - 3 <= rung.results <= 2 * planned.segments.high + 3
    new = [rung.segments for rung in plan.rungs if rung.rung == rung.bracket]
    assert sum(spread.median for spread in new) == specification.num_trials


def test_pasha_is_planned_too() -> None:
    plan = forecast(experiment(variant="pasha"), [2])
    assert plan.rungs[0].segments == exactly(64)
    assert any("settles early" in note for note in plan.notes)


def test_classes_of_machines_are_not_told_apart() -> None:
    plan = forecast(experiment(queues={1: "cpu", 16: "gpu"}), [2])
    assert "queues: planned as if each worker trained at every level" in plan.notes


def test_a_large_experiment_is_scaled_up_from_a_smaller_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = forecast(experiment(num_samples=2000), [8], 1.0)
    monkeypatch.setattr(planning, "MOST", 500)
    scaled = forecast(experiment(num_samples=2000), [8], 1.0)
    assert scaled.rungs[0].segments == exactly(2000)
    assert scaled.resource.median == pytest.approx(whole.resource.median, rel=0.15)
    assert scaled.fleets[0].length.median == pytest.approx(whole.fleets[0].length.median, rel=0.2)
    assert any("played with 500 trials" in note for note in scaled.notes)


@pytest.mark.slow
def test_ten_thousand_trials_on_five_hundred_workers_are_planned() -> None:
    plan = forecast(experiment(num_samples=10_000, hedge=True), [500], 60.0)
    assert plan.rungs[0].segments == exactly(10_000)
    assert 2500 <= plan.rungs[1].segments.median <= 2700
    assert 30_000 <= plan.resource.median <= 40_000
    assert 0.3 < plan.fleets[0].busy.median < 1


def test_what_retention_keeps_is_what_the_disk_has_to_hold() -> None:
    everything = forecast(experiment(keep_checkpoints="all"), [4])
    needed = forecast(experiment(), [4])
    five = forecast(experiment(keep_checkpoints=5), [4])
    segments = sum(rung.segments.median for rung in everything.rungs)
    assert everything.checkpoints.median == pytest.approx(segments, rel=0.1)
    assert five.checkpoints.median < needed.checkpoints.median < everything.checkpoints.median / 1.5


def test_where_segments_are_short_files_that_are_not_removed_yet_fill_the_disk() -> None:
    long = forecast(experiment(), [4], 60.0).checkpoints
    short = forecast(experiment(), [4], 0.01).checkpoints
    untimed = forecast(experiment(), [4]).checkpoints
    assert long.median == pytest.approx(untimed.median, abs=2)
    assert short.median > 2 * long.median


def test_a_curve_covers_all_fleets_and_twice_the_largest() -> None:
    plan = forecast(experiment(), [3, 20], 1.0, curve=True)
    assert [workers for workers, *_ in plan.curve] == [1, 2, 3, 4, 8, 16, 20, 32]
    lengths = [length for _, length, _ in plan.curve]
    assert lengths[0] > 2 * lengths[3] > 0
    assert lengths[2] == plan.fleets[0].length.median


@pytest.mark.parametrize(
    ("fields", "workers", "warning"),
    [
        ({"grace_period": 64}, [1], "grace_period=64 is max_t: there is one rung only"),
        ({"grace_period": 64}, [1], "grace_period=4 would save most of it"),
        ({"grace_period": 27}, [1], "grace_period=27 is long for max_t=64: the first rung alone"),
        ({"num_samples": 10}, [1], "one in 64 gets there, and there are 10; num_samples=64 would"),
        (
            {"space": {"x": grid_search([1, 2])}, "num_samples": 5},
            [1],
            "there are 10; num_samples=32 would do",
        ),
        ({}, [65], "65 workers are more than can ever be used: there are 64 trials"),
        ({"max_concurrent": 2}, [3], "3 workers: max_concurrent=2 lets no more than 2"),
        ({}, [60], "of 60 workers "),
    ],
)
def test_what_makes_no_sense_is_told_with_what_would(
    fields: dict[str, Any], workers: list[int], warning: str
) -> None:
    assert warning in told(forecast(experiment(**fields), workers))


def test_what_is_told_to_be_enough_is_enough() -> None:
    assert forecast(experiment(num_samples=64), [4]).trained_in_full.median >= 1
    assert forecast(experiment(num_samples=64), [1, 4]).warnings == ()
    assert forecast(experiment()).warnings == ()  # of fleets that nobody has asked for


def test_a_budget_of_resource_ends_a_plan_as_it_ends_a_run() -> None:
    limited = experiment(resource_budget=100, num_samples=256)
    plan = forecast(limited, [1, 4])
    assert plan.resource.high <= 100
    assert plan.resource.low > 90
    started = plan.fleets[0].started.median
    assert plan.trials_for_full == pytest.approx(started * plan.full / 100, rel=0.2)
    assert [fleet.ends for fleet in plan.fleets] == ["resource_budget=100 is used"] * 2
    (warning,) = plan.warnings
    assert warning.startswith("resource_budget=100 is used before all trials are started: about ")
    ran = simulate(limited, lambda c, _: {"loss": c["x"]}, lambda _, a, b: float(b - a), workers=4)
    assert ran.resource_spent <= 100
    assert len(ran.trials) == pytest.approx(plan.fleets[1].started.median, rel=0.5)


def test_a_budget_of_time_ends_it_where_the_time_of_a_step_is_known() -> None:
    limited = experiment(time_budget=100.0)
    plan = forecast(limited, [1, 64], 1.0, price=36.0)
    one, many = plan.fleets
    assert (one.ends, many.ends) == ("time_budget=100 is used", "all trials ended")
    assert (one.seconds, one.resource, one.cost) == (exactly(100), exactly(100), exactly(1))
    assert one.started.median == pytest.approx(50, abs=30)
    assert many.started == exactly(64)
    assert plan.resource == one.resource
    assert "time_budget=100 is used by 1 worker before all trials are started" in told(plan)
    unknown = forecast(limited, [1])
    assert unknown.fleets[0].ends == "all trials ended"
    assert any("not planned, as the time of a step is not known" in one for one in unknown.notes)


def test_an_aim_is_left_out_as_values_are_made_up() -> None:
    plan = forecast(experiment(stop_at=-1e9), [4])
    assert plan.fleets[0].ends == "all trials ended"
    assert any(note.startswith("stop_at: not planned") for note in plan.notes)


def test_workers_that_may_not_be_used_bring_nothing() -> None:
    limited = experiment(max_concurrent=4)
    four, twenty = forecast(limited, [4, 20], 1.0).fleets
    assert four.seconds == twenty.seconds
    assert twenty.busy.median == pytest.approx(four.busy.median / 5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": [0]}, "workers=0: must be whole numbers from 1 to 10,000"),
        ({"workers": []}, "workers=0: must"),
        ({"workers": [10_001]}, "workers=10001: must"),
        ({"seconds_per_unit": -1.0}, "seconds_per_unit=-1: must be a number of seconds above 0"),
        ({"seconds_per_unit": float("nan")}, "seconds_per_unit=nan: must"),
        ({"seconds_per_unit": 1.0, "startup": -1.0}, "startup=-1: must"),
        ({"seconds_per_unit": 1.0, "price": -1.0}, "price=-1: must"),
        ({"price": 2.0}, "price: needs to know how long a step takes"),
        ({"startup": 2.0}, "startup: needs to know how long a step takes"),
        ({"checkpoint_bytes": -1}, "checkpoint_bytes=-1: must"),
    ],
)
def test_what_cannot_be_planned_is_refused_in_one_sentence(
    options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SpecificationError, match=message) as told:
        forecast(experiment(), **options)
    assert "\n" not in str(told.value)
