"""What is counted of segments and workers, against journals written by hand and simulated ones."""

from collections import Counter, defaultdict
from typing import Any

import pytest

from asha_queue import tally
from asha_queue.result import Result
from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.tally import BOUNDS, Tally

SPECIFICATION = Specification(
    name="sim",
    train="sim.py:train",
    space={"x": uniform(0, 1)},
    metric="loss",
    mode="min",
    max_t=9,
    reduction_factor=3,
    num_samples=60,
    seed=3,
)


def scheduled(at: float, trial: int = 0, rung: int = 0, attempt: int = 1) -> dict[str, Any]:
    return {"type": "scheduled", "at": at, "trial": trial, "rung": rung, "attempt": attempt}


def started(at: float, trial: int = 0, worker: str = "w") -> dict[str, Any]:
    return {"type": "started", "at": at, "trial": trial, "rung": 0, "worker": worker}


def ended(at: float, kind: str, trial: int = 0, worker: str = "w", **more: Any) -> dict[str, Any]:
    return {"type": kind, "at": at, "trial": trial, "rung": 0, "worker": worker, **more}


def order(at: float, kind: str) -> dict[str, Any]:
    return {"type": kind, "at": at, "by": "me", "reason": ""}


def tally_of(*entries: dict[str, Any]) -> Tally:
    found = Tally()
    for entry in entries:
        found.apply(entry)
    return found


def test_a_simulated_run_is_counted_as_its_journal_is() -> None:
    result = simulate(
        SPECIFICATION,
        lambda config, step: {"loss": config["x"]},
        lambda config, start, target: (target - start) * (1 + config["x"]),
        workers=5,
        drop=0.1,
    )
    kinds = Counter(entry["type"] for entry in result.journal)
    assert kinds["lost"] > 0
    assert result.tally.outcomes == {kind: kinds[kind] for kind in tally.OUTCOMES}
    promotions = [
        e
        for e in result.journal
        if e["type"] == "scheduled" and e["attempt"] == 1 and e["rung"] > 0
    ]
    assert result.tally.promotions == len(promotions) > 0
    busy: dict[str, float] = defaultdict(float)
    open_since: dict[str, float] = {}
    for entry in result.journal:
        if entry["type"] == "started":
            open_since[entry["worker"]] = entry["at"]
        elif entry["type"] in tally.OUTCOMES:
            busy[entry["worker"]] += entry["at"] - open_since.pop(entry["worker"])
    end = result.journal[-1]["at"]
    assert end < tally.REMEMBERED
    for name, worker in result.tally.workers.items():
        assert result.tally.busy(name, 0.0, end) == pytest.approx(busy[name])
        assert worker.busy(0.0, end) <= end - worker.since + 1e-9
        lost = [e for e in result.journal if e["type"] == "lost" and e["worker"] == name]
        assert worker.losses == len(lost)


def test_a_result_holds_the_tally_of_its_journal() -> None:
    submitted = {"type": "submitted", "at": 0.0, "experiment": SPECIFICATION.to_json()}
    result = Result.from_journal([submitted, started(1), ended(2, "lost", reason="boom")])
    assert result.tally.outcomes["lost"] == 1


@pytest.mark.parametrize(
    ("kind", "more", "gaps"),
    [
        ("completed", {}, 1),
        ("failed", {"final": False}, 1),
        ("failed", {"final": True}, 1),
        ("failed", {"final": True, "witness": "death"}, 0),
        ("lost", {}, 0),
        ("suspended", {}, 0),
    ],
)
def test_a_hand_off_follows_what_a_program_has_ended_and_no_loss_or_drain(
    kind: str, more: dict[str, Any], gaps: int
) -> None:
    found = tally_of(started(10.0), ended(20.0, kind, **more), started(20.02, trial=1))
    assert found.gaps.count == gaps
    assert found.gaps.sum == pytest.approx(0.02 * gaps)


@pytest.mark.parametrize(
    ("between", "at"),
    [([order(3.0, "paused"), order(4.0, "resumed")], 5.0), ([order(3.0, "finished")], 5.0)],
)
def test_no_gap_is_counted_across_a_pause_or_an_end(between: list[dict], at: float) -> None:
    found = tally_of(started(1.0), ended(2.0, "completed"), *between, started(at, 1))
    assert found.gaps.count == 0


def test_a_gap_counts_up_to_the_longest_one_and_not_beyond() -> None:
    for gap, counted in ((tally.LONGEST_GAP, 1), (tally.LONGEST_GAP + 1, 0)):
        found = tally_of(started(1.0), ended(2.0, "completed"), started(2.0 + gap, 1))
        assert found.gaps.count == counted


def test_each_worker_has_gaps_of_its_own() -> None:
    found = tally_of(
        started(0.0, 0, "a"),
        started(0.0, 1, "b"),
        ended(1.0, "completed", 0, "a"),
        ended(2.0, "completed", 1, "b"),
        started(2.5, 2, "b"),
        started(3.0, 3, "a"),
    )
    assert found.gaps.sum == pytest.approx(2.0 + 0.5)
    assert found.gaps.count == 2


def test_the_lag_is_that_from_the_last_result_to_the_first_decision_after_it() -> None:
    found = tally_of(
        ended(1.0, "completed", 0),
        ended(2.0, "completed", 1),
        scheduled(2.01, 2),
        scheduled(2.01, 3),
        ended(3.0, "failed", 2, final=True),
        scheduled(3.2, 4),
    )
    assert found.lags.count == 2
    assert found.lags.sum == pytest.approx(0.01 + 0.2)


@pytest.mark.parametrize(
    "between",
    [
        [],
        [ended(1.0, "failed", final=False), scheduled(1.0, attempt=2)],
        [ended(1.0, "lost"), scheduled(1.0, attempt=2)],
        [ended(1.0, "completed"), order(2.0, "paused"), order(3.0, "resumed")],
        [ended(1.0, "completed"), order(2.0, "finished"), order(3.0, "extended")],
    ],
)
def test_what_is_no_answer_to_a_result_is_no_lag(between: list[dict]) -> None:
    assert tally_of(*between, scheduled(9.0, trial=5)).lags.count == 0


def test_a_segment_scheduled_again_does_not_answer_a_result() -> None:
    found = tally_of(ended(1.0, "completed"), scheduled(1.5, attempt=2), scheduled(2.0, trial=5))
    assert (found.lags.count, found.lags.sum) == (1, 1.0)


def test_what_trains_now_is_busy_until_now() -> None:
    found = tally_of(started(10.0))
    assert found.busy("w", 0.0, 25.0) == 15.0
    assert found.busy("w", 20.0, 25.0) == 5.0
    assert found.busy("nobody", 0.0, 25.0) == 0.0
    assert found.workers["w"].since == 10.0


def test_an_attempt_without_an_end_is_busy_until_the_next_start_or_the_cancellation() -> None:
    found = tally_of(started(0.0, 0), started(10.0, 1), order(15.0, "cancelled"))
    assert found.busy("w", 0.0, 100.0) == 15.0


def test_the_late_end_of_another_segment_does_not_end_the_one_in_training() -> None:
    found = tally_of(started(0.0, 0), started(10.0, 1), ended(12.0, "lost", 0))
    assert found.busy("w", 0.0, 20.0) == 20.0
    assert found.workers["w"].losses == 1


def test_what_is_longer_ago_than_an_hour_is_forgotten_and_memory_is_bounded() -> None:
    found = Tally()
    for number in range(40_000):  # half a second of work in each second
        found.apply(started(number, number))
        found.apply(ended(number + 0.5, "completed", number))
    now = 40_000.0
    assert found.busy("w", now - 3600, now) == pytest.approx(1800, abs=tally.GRAIN)
    assert found.busy("w", 0.0, now) == pytest.approx(1800, abs=2 * tally.GRAIN)
    assert len(found.workers["w"]._spans) <= tally.REMEMBERED / tally.GRAIN + 2
    assert found.gaps.count == 39_999


def test_a_clock_that_goes_back_makes_nothing_negative() -> None:
    found = tally_of(started(100.0), ended(50.0, "completed"), scheduled(40.0), started(30.0, 1))
    assert found.busy("w", 0.0, 200.0) == pytest.approx(170.0)
    assert (found.gaps.sum, found.lags.sum) == (0.0, 0.0)


def test_durations_are_counted_up_to_each_bound() -> None:
    found = tally.Histogram()
    for seconds in (0.0, 0.001, 0.0011, 60.0, 61.0):
        found.add(seconds)
    assert found.cumulative[:2] == [2, 3]
    assert found.cumulative[-2:] == [4, 5]
    assert len(found.cumulative) == len(BOUNDS) + 1
    assert found.count == 5
