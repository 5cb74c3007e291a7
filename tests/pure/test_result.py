import math
import sys
import types
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asha_queue.errors import AshaQueueError
from asha_queue.result import Improvement, Result, RungSummary
from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.pure.entries import completed, extended, failed, retried, scheduled

EXPERIMENT = Specification(
    name="sim",
    train="sim.py:train",
    space={"x": uniform(0, 1)},
    metric="loss",
    mode="min",
    max_t=4,
    reduction_factor=2,
    num_samples=10,
    seed=0,
)


def result_of(*entries: dict[str, Any]) -> Result:
    result = Result(EXPERIMENT)
    for entry in entries:
        result.apply(entry)
    return result


def started(trial: int, rung: int = 0, start: int = 0, worker: str = "cpu0@host") -> dict[str, Any]:
    return {"type": "started", "trial": trial, "rung": rung, "start": start, "worker": worker}


def test_a_trial_goes_through_its_states() -> None:
    result = Result(EXPERIMENT)
    seen = []
    for entry in (
        scheduled(0, config={"x": 0.5}),
        started(0),
        completed(0, 0, 0.3, reached=1),
        scheduled(0, 1, 2),
        started(0, 1, 1),
        completed(0, 1, 0.2, reached=2),
        scheduled(0, 2, 4),
        started(0, 2, 2),
        completed(0, 2, 0.1, reached=4),
    ):
        result.apply(entry)
        trial = result.trials[0]
        seen.append((trial.state, trial.rung, trial.resource, trial.worker, trial.start))
    assert seen == [
        ("queued", None, 0, None, None),
        ("running", 0, 0, "cpu0@host", 0),
        ("waiting", 0, 1, None, None),
        ("queued", 0, 1, None, None),
        ("running", 1, 1, "cpu0@host", 1),
        ("waiting", 1, 2, None, None),
        ("queued", 1, 2, None, None),
        ("running", 2, 2, "cpu0@host", 2),
        ("done", 2, 4, None, None),
    ]
    assert result.trials[0].config == {"x": 0.5}
    assert result.trials[0].attempts == 3
    assert [r.value for r in result.trials[0].results] == [0.3, 0.2, 0.1]
    assert result.resource_spent == 4


@pytest.mark.parametrize("kind", ["lost", "suspended", "failed"])
def test_an_attempt_that_ended_early_waits_in_the_queue_and_its_resource_counts(kind: str) -> None:
    early = {"type": kind, "trial": 0, "rung": 1, "reached": 3, "final": False, "error": "boom"}
    result = result_of(scheduled(0, 1, 4), started(0, 1, 1), early)
    trial = result.trials[0]
    assert (trial.state, trial.worker, trial.resource, trial.target) == ("queued", None, 3, 4)
    assert trial.error == ("boom" if kind == "failed" else None)
    result.apply(scheduled(0, 1, 4, attempt=2))
    result.apply(started(0, 1, 3))
    result.apply(completed(0, 1, 0.5, reached=4))
    assert result.resource_spent == 3
    assert (trial.attempts, trial.error, len(trial.results)) == (2, None, 1)


def test_a_lost_claim_that_never_started_spends_nothing() -> None:
    lost = {"type": "lost", "trial": 0, "rung": 0, "reached": 1}
    assert result_of(scheduled(0), lost).resource_spent == 0


def test_a_final_failure_is_shown_and_counts_in_its_rung() -> None:
    result = result_of(scheduled(0), started(0), failed(0))
    assert (result.trials[0].state, result.trials[0].error) == ("failed", "boom")
    assert result.rungs[0].results == 1
    assert result.rungs[0].best is None


@pytest.mark.parametrize("value", ["NaN", math.nan, "Infinity", None, "high"])
def test_a_bad_value_is_shown_as_diverged(value: object) -> None:
    result = result_of(scheduled(0), completed(0, 0, value))
    assert result.trials[0].state == "diverged"
    assert result.best is None
    assert result.best_seen is None


def test_texts_that_stand_for_numbers_are_read_as_numbers() -> None:
    entry = {**completed(0), "metrics": {"loss": 0.5, "other": "-Infinity"}}
    assert result_of(scheduled(0), entry).trials[0].metrics == {"loss": 0.5, "other": -math.inf}


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("finished", ["done", "stopped", "diverged", "failed", "cancelled", "stopped"]),
        ("cancelled", ["done", "stopped", "diverged", "failed", "cancelled", "cancelled"]),
    ],
)
def test_at_the_end_waiting_trials_are_stopped(kind: str, states: list[str]) -> None:
    result = result_of(*(scheduled(trial) for trial in range(6)))
    for entry in (
        completed(0, 2, 0.1),
        completed(1, 0, 0.2),
        completed(2, 0, "NaN"),
        failed(3),
        started(4),
        {"type": kind},
    ):
        result.apply(entry)
    assert [trial.state for trial in result.trials] == states
    assert result.state == kind
    assert result.trials[4].worker is None


def test_a_result_that_arrives_after_the_end_counts_but_waits_for_nothing() -> None:
    result = result_of(scheduled(0), started(0), {"type": "cancelled"}, completed(0, 0, 0.5))
    assert result.trials[0].state == "stopped"
    assert result.best is not None


def test_a_pause_is_a_state_of_the_experiment_and_never_of_a_trial() -> None:
    result = result_of(scheduled(0), started(0), {"type": "paused"})
    assert (result.state, result.trials[0].state) == ("paused", "running")
    result.apply(completed(0, 0, 0.5))
    result.apply({"type": "resumed"})
    assert (result.state, result.trials[0].state) == ("running", "waiting")


def test_an_extension_opens_a_finished_experiment_and_the_old_top_waits_for_promotion() -> None:
    result = result_of(*(scheduled(trial) for trial in range(3)))
    for rung in range(3):
        result.apply(completed(0, rung, 0.1))
    for entry in (completed(1, 0, 0.2), failed(2), {"type": "finished"}):
        result.apply(entry)
    assert [trial.state for trial in result.trials] == ["done", "stopped", "failed"]
    result.apply(extended(max_t=9, num_samples=12))
    assert result.state == "running"
    assert [trial.state for trial in result.trials] == ["waiting", "waiting", "failed"]
    assert [rung.level for rung in result.rungs] == [1, 2, 4, 8, 9]
    assert result.resource_full == 12 * 9
    assert result.specification.num_trials == 12
    result.apply(scheduled(0, 3, 8))
    result.apply(completed(0, 3, 0.05))
    assert [rung.promoted for rung in result.rungs] == [0, 0, 1, 0, 0]
    assert (result.trials[0].state, result.rungs[3].best) == ("waiting", 0.05)
    result.apply({"type": "finished"})
    assert [trial.state for trial in result.trials] == ["stopped", "stopped", "failed"]


def test_more_trials_leave_those_at_the_top_done_and_a_paused_experiment_paused() -> None:
    result = result_of(scheduled(0), completed(0, 2, 0.1), {"type": "paused"})
    result.apply(extended(num_samples=11))
    assert (result.state, result.trials[0].state) == ("paused", "done")


def test_a_retried_failure_counts_no_longer_and_opens_a_finished_experiment() -> None:
    result = result_of(scheduled(0), failed(0), {"type": "finished"}, retried(0))
    assert (result.state, result.trials[0].state, result.rungs[0].results) == (
        "running",
        "queued",
        0,
    )
    result.apply(scheduled(0, attempt=2))
    result.apply(completed(0, 0, 0.5))
    assert (result.trials[0].state, result.rungs[0].results) == ("waiting", 1)


@given(
    values=st.lists(
        st.sampled_from([0.0, 0.5, 1, -1, "NaN", "Infinity", "-Infinity"]), max_size=20
    ),
    mode=st.sampled_from(["min", "max"]),
)
def test_the_leaders_are_those_that_looking_at_all_results_finds(
    values: list[Any], mode: str
) -> None:
    result = Result(Specification.from_json(EXPERIMENT.to_json() | {"mode": mode}))
    for number, value in enumerate(values):
        trial = (number * 7) % 20  # results do not come in the order of the trials
        result.apply(scheduled(trial, config={"x": trial}))
        result.apply(completed(trial, 0, value))
    # The same, found by name: another path, which goes through all trials.
    assert result.get_best_config() == result.get_best_config("loss", mode)


def test_the_best_is_that_of_the_highest_rung_and_the_best_seen_that_of_any_resource() -> None:
    checkpoint = {"path": "p", "resource": 2}
    result = result_of(
        scheduled(0, config={"x": 0}),
        scheduled(1, config={"x": 1}),
        completed(0, 0, 0.1, reached=1),
        completed(1, 0, 0.2, reached=1),
        scheduled(1, 1, 2),
        completed(1, 1, 0.15, reached=2, checkpoint=checkpoint),
        scheduled(1, 2, 4),
        completed(1, 2, "NaN", reached=4),
    )
    assert result.best is not None
    assert (result.best.trial, result.best.resource, result.best.checkpoint) == (1, 2, checkpoint)
    assert result.best.metrics == {"loss": 0.15}
    assert result.best_seen is not None
    assert (result.best_seen.trial, result.best_seen.resource) == (0, 1)
    assert result.get_best_config() == {"x": 1}


def test_of_equal_values_the_lower_trial_number_is_best() -> None:
    result = result_of(scheduled(0), scheduled(1), completed(1, 0, 0.5), completed(0, 0, 0.5))
    assert result.best is not None
    assert result.best.trial == 0


def test_improvements_tell_when_and_at_which_cost_the_best_seen_came_about() -> None:
    entries = (
        {**scheduled(0), "at": 10.0},
        {**started(0), "at": 10.0},
        {**completed(0, 0, 0.5, reached=1), "at": 11.0},
        {**scheduled(1), "at": 11.0},
        {**started(1), "at": 11.0},
        {**completed(1, 0, 0.7, reached=1), "at": 12.0},
        {**scheduled(0, 1, 2), "at": 12.0},
        {**started(0, 1, 1), "at": 12.0},
        {**completed(0, 1, 0.3, reached=2), "at": 13.0},
    )
    result = result_of(*entries)
    assert result.improvements == [
        Improvement(at=11.0, spent=1, trial=0, resource=1, value=0.5),
        Improvement(at=13.0, spent=3, trial=0, resource=2, value=0.3),
    ]
    assert [(r.at, r.spent) for r in result.trials[0].results] == [(11.0, 1), (13.0, 3)]
    assert result.began == 10.0


def test_cancelling_ends_the_open_attempts_of_all_trials() -> None:
    result = result_of(scheduled(0), started(0), scheduled(1), {"type": "cancelled", "at": 9.0})
    assert [
        [(one.state, one.ended_at) for one in trial.history.all] for trial in result.trials
    ] == [[("cancelled", 9.0)], [("cancelled", 9.0)]]


def test_the_best_seen_may_lie_between_two_rungs() -> None:
    curve = [[2, {"loss": 0.05}], [4, {"loss": 0.4}]]
    result = result_of(scheduled(0), completed(0, 1, 0.4, reached=4, curve=curve))
    assert result.best_seen is not None
    assert (result.best_seen.resource, result.best_seen.metrics) == (2, {"loss": 0.05})
    assert result.best_seen.checkpoint is None


def test_the_best_seen_at_a_rung_has_its_checkpoint() -> None:
    saved = {"path": "p", "resource": 1}
    curve = [[1, {"loss": 0.4}]]
    entry = completed(0, 0, 0.4, reached=1, curve=curve, checkpoint=saved)
    result = result_of(scheduled(0), entry)
    assert result.best_seen is not None
    assert result.best_seen.checkpoint == saved


def test_another_metric_and_mode_can_be_asked_for() -> None:
    result = result_of(
        scheduled(0, config={"x": 0}),
        scheduled(1, config={"x": 1}),
        {**completed(0), "metrics": {"loss": 0.1, "speed": 1}},
        {**completed(1), "metrics": {"loss": 0.2, "speed": 5}},
    )
    assert result.get_best_config() == {"x": 0}
    assert result.get_best_config("speed", "max") == {"x": 1}
    assert result.get_best_config(mode="max") == {"x": 1}
    assert result.get_best_config("unknown") is None


def test_a_curve_is_joined_and_steps_that_were_trained_again_replace_the_first_ones() -> None:
    first = [[1, {"loss": 3}], [2, {"loss": "NaN"}]]
    result = result_of(
        scheduled(0),
        {"type": "suspended", "trial": 0, "rung": 0, "curve": first, "reached": 2},
        completed(0, 0, 1, reached=3, curve=[[2, {"loss": 2}], [3, {"loss": 1}]]),
    )
    assert result.trials[0].curve == [(1, {"loss": 3}), (2, {"loss": 2}), (3, {"loss": 1})]


def test_rungs_are_summed_up() -> None:
    entries = [scheduled(trial) for trial in range(4)]
    entries += [completed(trial, 0, trial / 10) for trial in (3, 1, 2)]
    entries += [failed(0), scheduled(1, 1, 2), scheduled(2, 1, 2), completed(2, 1, 0.7)]
    assert result_of(*entries).rungs == [
        RungSummary(rung=0, level=1, results=4, promoted=2, best=0.1, cut=2),
        RungSummary(rung=1, level=2, results=1, promoted=0, best=0.7),
        RungSummary(rung=2, level=4, results=0, promoted=0, best=None),
    ]


def test_what_a_journal_cannot_say_of_an_extension_or_a_retry_is_skipped() -> None:
    result = result_of(
        scheduled(0), completed(0), {"type": "extended"}, extended(max_t=1), retried(0)
    )
    assert (result.specification, result.trials[0].state) == (EXPERIMENT, "waiting")
    assert result.rungs[0].results == 1


def test_unknown_entries_are_skipped_and_entries_of_unknown_trials_taken() -> None:
    result = result_of({"type": "forked"}, {"type": "warning", "trial": 0, "rung": 0}, started(2))
    assert [trial.state for trial in result.trials] == ["queued", "queued", "running"]


def test_a_journal_folds_to_the_result_that_the_run_returned() -> None:
    ran = simulate(
        EXPERIMENT,
        lambda config, t: {"loss": config["x"]},
        lambda config, start, target: 60.0,
        workers=3,
        drop=0.01,
    )
    folded = Result.from_journal(ran.journal)
    assert folded.trials == ran.trials
    assert folded.rungs == ran.rungs
    assert (folded.best, folded.best_seen) == (ran.best, ran.best_seen)
    assert (folded.state, folded.seconds) == ("finished", ran.seconds)
    assert folded.journal == ran.journal
    assert folded.resource_full == 40


def test_seconds_are_those_between_the_first_and_the_last_entry() -> None:
    assert result_of().seconds == 0
    assert result_of({**scheduled(0), "at": 100.5}, {**started(0), "at": 103.0}).seconds == 2.5


def test_a_table_needs_pandas_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(AshaQueueError, match="pip install pandas"):
        result_of().to_pandas()


def test_a_table_has_one_row_per_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    pandas = types.ModuleType("pandas")
    monkeypatch.setattr(pandas, "json_normalize", lambda rows: rows, raising=False)
    monkeypatch.setitem(sys.modules, "pandas", pandas)
    result = result_of(scheduled(0, config={"x": 0.5}), completed(0, 0, 0.25, reached=1))
    assert result.to_pandas() == [
        {
            "trial": 0,
            "state": "waiting",
            "rung": 0,
            "resource": 1,
            "metrics": {"loss": 0.25},
            "config": {"x": 0.5},
        }
    ]
