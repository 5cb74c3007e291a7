"""Budgets: what ends an experiment before all of its trials have."""

import html
import io
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from asha_queue.errors import JournalError, SpecificationError
from asha_queue.report import report
from asha_queue.result import Result
from asha_queue.search.asha import ALL_ENDED, Asha, Decision
from asha_queue.search.budget import Clock
from asha_queue.search.rules import check
from asha_queue.search.space import loguniform, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store.restoration import rebuilt
from asha_queue.terminal.picture import Picture
from asha_queue.terminal.view import summary
from asha_queue.views import best_file, duration, overview
from asha_queue.views.outlook import seconds_left
from tests.pure.entries import Entry, completed, extended, scheduled

HOUR = 3600.0


def experiment(**changes: Any) -> Specification:
    fields = {"name": "sim", "train": "sim.py:train", "space": {"x": uniform(0, 1)}}
    numbers = {"mode": "min", "max_t": 27, "reduction_factor": 3, "num_samples": 40, "seed": 0}
    return Specification(**{"metric": "loss", "sampler": "random", **fields, **numbers, **changes})


def evaluate(config: dict[str, Any], t: int) -> dict[str, float]:
    return {"loss": config["x"] + 1 / t, "latency": 10 * (1 - config["x"])}


def seconds(config: dict[str, Any], start: int, target: int) -> float:
    return (target - start) * float(1 + config["x"])


def run(workers: int = 4, drop: float = 0.0, **changes: Any) -> Result:
    return simulate(experiment(**changes), evaluate, seconds, workers=workers, drop=drop)


# -- as it is written --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (90, 90.0),
        (0.5, 0.5),
        ("2h", 7200.0),
        ("90min", 5400.0),
        ("1h 30min", 5400.0),
        ("1h30m15s", 5415.0),
        ("1.5h", 5400.0),
        ("2 d", 172800.0),
        ("45", 45.0),
        (None, None),
    ],
)
def test_a_time_budget_is_seconds_or_a_text_with_units(given: Any, meant: float | None) -> None:
    assert experiment(time_budget=given).time_budget == meant


@pytest.mark.parametrize("given", ["", "h", "2 weeks", "1h30", "-1h", "0s", "nan", "inf", 0, True])
def test_a_time_budget_that_is_none_is_refused_with_what_it_may_be(given: Any) -> None:
    with pytest.raises(SpecificationError) as refused:
        experiment(time_budget=given)
    assert str(refused.value).startswith(f"time_budget={given!r}: must be a number of seconds")


@pytest.mark.parametrize(
    ("given", "meant"),
    [(0.1, {"loss": 0.1}), (1, {"loss": 1.0}), ({"loss": 0.1}, {"loss": 0.1}), (None, None)],
)
def test_stop_at_is_a_number_or_a_value_for_each_metric(given: Any, meant: Any) -> None:
    assert experiment(stop_at=given).stop_at == meant


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stop_at": {"speed": 1.0}}, "stop_at['speed']=1.0: trials are not ranked by that"),
        ({"stop_at": math.nan}, "stop_at['loss']=nan: must be a finite number"),
        ({"stop_at": "low"}, "stop_at['loss']='low': must be a finite number"),
        ({"stop_at": True}, "stop_at['loss']=True: must be a finite number"),
        ({"stop_at": {}}, "stop_at={}: names no metric"),
        ({"metric": ["a", "b"], "stop_at": 1.0}, "stop_at=1.0: there are 2 metrics; give a dict"),
        ({"resource_budget": 0}, "resource_budget=0: must be a whole number of at least 1"),
        ({"resource_budget": 1.5}, "resource_budget=1.5: must be a whole number of at least 1"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(changes: Any, said: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        experiment(**changes)
    assert said in str(refused.value)


def test_a_toml_file_has_them_too(tmp_path: Any) -> None:
    file = tmp_path / "digits.toml"
    file.write_text(
        'name = "d"\ntrain = "d.py:train"\nmetric = ["loss", "latency"]\nmode = "min"\nmax_t = 9\n'
        'time_budget = "2h"\nresource_budget = 500\nstop_at = {loss = 0.1, latency = 20}\n'
        "[space]\nlr = {loguniform = [1e-4, 1.0]}\n"
    )
    made = Specification.from_toml(file)
    assert (made.time_budget, made.resource_budget) == (7200.0, 500)
    assert made.stop_at == {"loss": 0.1, "latency": 20.0}
    assert made.space == {"lr": loguniform(1e-4, 1.0).to_json()}


def test_an_experiment_of_an_earlier_version_is_the_same_one() -> None:
    fields = {
        name: value
        for name, value in experiment().to_json().items()
        if name not in ("time_budget", "resource_budget", "stop_at")
    }
    assert Specification.from_json(fields).differences(experiment()) == []


# -- resource ----------------------------------------------------------------------------------


class Hand:
    """A search that is played by hand; losses are given, and what is trained is saved."""

    def __init__(self, **changes: Any) -> None:
        self.specification = experiment(**changes)
        self.search = Asha(self.specification.plan)
        self.journal: list[Entry] = []
        self.at = 100.0
        self.apply({"type": "submitted", "experiment": self.specification.to_json()})

    def apply(self, entry: Entry) -> None:
        entry = {"id": f"{len(self.journal) + 1}-0", "at": self.at, **entry}
        self.search.apply(entry)
        self.journal.append(entry)

    def schedule(self, slots: int = 1) -> list[Decision]:
        decisions = self.search.decide(slots)
        for one in decisions:
            self.apply(scheduled(one.trial, one.rung, one.target, bracket=one.bracket))
        return decisions

    def start(self, decision: Decision, start: int) -> None:
        token = len(self.journal)
        about = {"trial": decision.trial, "rung": decision.rung, "attempt": 1, "token": token}
        self.apply({"type": "started", **about, "worker": "w", "start": start})

    def complete(self, decision: Decision, start: int, loss: float, saved: bool = True) -> None:
        self.start(decision, start)
        token = len(self.journal) - 1
        checkpoint = {"path": "p", "resource": decision.target, "bytes": 1} if saved else None
        about = {"attempt": 1, "token": token, "worker": "w", "reached": decision.target}
        self.apply(completed(decision.trial, decision.rung, loss, checkpoint=checkpoint, **about))


def test_nothing_is_scheduled_that_does_not_fit_beside_what_is_open() -> None:
    hand = Hand(max_t=9, resource_budget=5)
    assert len(hand.schedule(10)) == 5
    assert hand.schedule(10) == []
    assert not hand.search.finished, "five segments are open"


def test_a_promotion_that_does_not_fit_is_passed_over_for_what_does() -> None:
    hand = Hand(max_t=9, resource_budget=5)
    for one in hand.schedule(4):
        hand.complete(one, 0, one.trial / 10)
    # rung 1 needs 2 more units, and one is left
    assert hand.schedule() == [Decision(4, 0, 0, 1)]
    hand.complete(Decision(4, 0, 0, 1), 0, 0.9)
    assert hand.search.finished
    said = "resource_budget of 5 is used: 5 trained, the next segment needs 2"
    assert hand.search.ending() == said
    hand.apply({"type": "finished", "by": "me", "reason": said})
    assert check(hand.journal) == []


def test_a_program_that_saves_nothing_needs_the_whole_way_again() -> None:
    hand = Hand(max_t=9, resource_budget=7)
    for one in hand.schedule(4):
        hand.complete(one, 0, one.trial / 10, saved=False)
    assert hand.search.decide(1) == [Decision(0, 0, 1, 3)]
    hand.schedule()
    assert hand.schedule() == [], "4 trained, and 3 are reserved from the start"


def test_what_a_loss_makes_train_again_counts_and_may_exceed() -> None:
    hand = Hand(max_t=9, resource_budget=1)
    (one,) = hand.schedule()
    hand.start(one, 0)
    about = {"trial": 0, "rung": 0, "attempt": 1, "token": 2, "worker": "w", "checkpoint": None}
    hand.apply({"type": "lost", **about, "reached": 1, "reason": "", "witness": "death"})
    hand.apply(scheduled(0, 0, 1, attempt=2))
    assert hand.search.ending() == "", "its segment is open"
    hand.apply({"type": "started", **about, "attempt": 2, "token": 9, "start": 0})
    hand.apply(completed(0, 0, 0.5, attempt=2, token=9, reached=1, worker="w"))
    assert hand.search.ending().startswith("resource_budget of 1 is used: 2 trained")
    assert check(hand.journal) == []


def test_an_evicted_checkpoint_is_paid_for_again() -> None:
    hand = Hand(max_t=9, resource_budget=7)
    for one in hand.schedule(4):
        hand.complete(one, 0, one.trial / 10)
    gone = {"trial": 0, "rung": 0, "checkpoints": ["p"], "reached": 1, "left": 0}
    hand.apply({"type": "evicted", **gone})
    assert len(hand.schedule(10)) == 1, "3 units for the promotion, none is left"


def test_a_larger_budget_opens_what_was_finished() -> None:
    hand = Hand(max_t=9, resource_budget=2)
    for one in hand.schedule(4):
        hand.complete(one, 0, 0.1)
    hand.apply({"type": "finished", "by": "me", "reason": hand.search.ending()})
    hand.apply(extended(resource_budget=4))
    assert len(hand.schedule(10)) == 2
    assert check(hand.journal) == []


VARIANTS = [
    {},
    {"hedge": False},
    {"variant": "delayed"},
    {"variant": "stopping"},
    {"variant": "pasha"},
    {"brackets": 3},
    {"metric": ["loss", "latency"], "mode": ["min", "min"]},
    {"constraints": {"latency": {"max": 6.0}}},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
@pytest.mark.parametrize("budget", [1, 30, 97, 250])
def test_every_variant_keeps_its_resource_budget(variant: dict[str, Any], budget: int) -> None:
    result = run(workers=7, resource_budget=budget, **variant)
    assert check(result.journal) == []
    assert result.resource_spent <= budget
    assert result.state == "finished"
    if result.reason != ALL_ENDED:
        assert result.reason.startswith(
            f"resource_budget of {budget} is used: {result.resource_spent} trained, the next "
        )


def test_a_budget_is_used_up_while_there_are_trials_that_fit() -> None:
    result = run(resource_budget=100, num_samples=1000)
    assert result.resource_spent == 100


# -- time --------------------------------------------------------------------------------------


def test_the_clock_stands_still_while_the_experiment_is_paused_or_ended() -> None:
    clock = Clock()
    for at, kind in [
        (100.0, "submitted"),
        (110.0, "scheduled"),
        (120.0, "paused"),
        (125.0, "paused"),  # now, as well
        (150.0, "resumed"),
        (160.0, "extended"),
        (170.0, "finished"),
        (500.0, "extended"),
    ]:
        clock.apply(kind, at)
    assert clock.seconds(510.0) == 20.0 + 20.0 + 10.0
    clock.apply("paused", 510.0)
    clock.apply("retried", 600.0)
    assert clock.seconds(700.0) == 50.0, "a paused one stays so"


def test_a_time_budget_ends_the_search_with_its_segments_open() -> None:
    hand = Hand(time_budget=HOUR)
    (one,) = hand.schedule()
    hand.at += HOUR - 1
    hand.start(one, 0)
    assert hand.search.ending(hand.at) == ""
    assert hand.search.ending(hand.at + 1.5) == (
        "time_budget of 3600 s is used: 3600.5 s since the submission, pauses not counted"
    )
    assert hand.search.decide(1), "no entry has told so, and a decision is one of the journal"
    hand.at += 1
    hand.apply(completed(0, 0, 0.3, attempt=1, token=2, worker="w", reached=1))
    assert hand.search.decide(1) == []
    assert hand.search.finished


def test_a_simulated_search_hands_back_what_runs_when_its_time_is_used() -> None:
    result = run(time_budget=20.0)
    assert check(result.journal) == []
    assert result.reason.startswith("time_budget of 20 s is used: 20.0 s")
    assert result.journal[-1]["at"] == 20.0
    suspended = [entry for entry in result.journal if entry["type"] == "suspended"]
    assert len(suspended) == 4
    assert rebuilt(result.journal).state == "finished", "another server can go on with it"
    assert {trial.state for trial in result.trials} <= {"done", "stopped", "diverged"}
    assert overview(result, [], {})["seconds_left"] == 0.0


# -- an aim ------------------------------------------------------------------------------------


def test_a_result_that_is_good_enough_ends_the_search() -> None:
    result = run(stop_at=0.2)
    assert check(result.journal) == []
    assert result.best_seen is not None
    assert result.best_seen.metrics["loss"] <= 0.2
    assert result.reason.startswith("stop_at loss <= 0.2 is reached: 0.")
    assert f"by trial {result.best_seen.trial} at {result.best_seen.resource}" in result.reason
    ended = best_file(result)
    assert ended is not None
    assert ended["ended"] == result.reason
    assert result.resource_spent < run().resource_spent


def test_one_result_must_be_good_enough_in_all_metrics_and_feasible() -> None:
    both = {"metric": ["loss", "latency"], "mode": "min"}
    hand = Hand(**both, stop_at={"loss": 0.5, "latency": 5}, constraints={"size": {"max": 9.0}})
    hand.schedule(7)
    for trial, metrics in enumerate(
        [
            {"loss": 0.1, "latency": 9.0, "size": 1.0},
            {"loss": 0.9, "latency": 1.0, "size": 1.0},
            {"loss": 0.1, "latency": 1.0, "size": 99.0},
            {"loss": 0.1, "latency": 1.0},
            {"loss": "NaN", "latency": 1.0, "size": 1.0},
            {"loss": "-Infinity", "latency": 1.0, "size": 1.0},
        ]
    ):
        hand.apply({**completed(trial), "metrics": metrics})
        assert hand.search.ending() == ""
    hand.apply({**completed(6, reached=1), "metrics": {"loss": 0.5, "latency": 5.0, "size": 9.0}})
    assert hand.search.ending() == (
        "stop_at loss <= 0.5 and latency <= 5 is reached: 0.5 and 5 by trial 6 at 1"
    )


def test_a_higher_aim_is_judged_by_all_that_reached_the_one_before() -> None:
    hand = Hand(stop_at=0.5)
    hand.schedule(3)
    hand.apply(completed(0, 0, 0.5, reached=1))
    hand.apply(completed(1, 0, 0.2, reached=1))
    hand.apply({"type": "finished", "by": "me", "reason": "enough"})
    hand.apply(extended(stop_at={"loss": 0.3}))
    assert "0.2 by trial 1" in hand.search.ending()
    hand.apply(extended(stop_at={"loss": 0.1}))
    assert hand.search.ending() == ""
    assert hand.schedule(), "and goes on"


# -- as it is shown ----------------------------------------------------------------------------


def test_pictures_lines_and_reports_show_what_is_used_and_what_has_ended_it() -> None:
    result = run(resource_budget=60, stop_at=0.01, time_budget="2h")
    view = overview(result, [], {})
    assert view["resource"]["expected"] <= 60
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(Picture(view, fit=True))
    shown = console.export_text()
    spent = result.resource_spent
    for text in (
        f"time_budget: {duration(result.seconds)} of 2 h 00 min",
        f"resource_budget: {spent} of 60 steps",
        "stop_at: loss <= 0.01, ",
    ):
        assert text in shown
        assert text in summary(view)
        assert html.escape(text) in report(result, made=0.0)
    assert f"finished: {result.reason}" in shown.replace("\n", " ")
    assert result.reason in summary(view)
    assert f"Ended: {result.reason}." in report(result, made=0.0)


def test_the_time_left_is_no_more_than_that_of_the_budget() -> None:
    journal = run(time_budget=20.0).journal
    open_one = Result.from_journal([e for e in journal if e["at"] < 12.0])
    left = seconds_left(open_one, 1, 15.0)
    assert left == 5.0
    among_many = seconds_left(open_one, 1_000_000, 15.0)
    assert among_many is not None
    assert among_many < 5.0


# -- the fold ----------------------------------------------------------------------------------


BUDGETS = st.fixed_dictionaries(
    {},
    optional={
        "time_budget": st.sampled_from([5.0, 30.0]),
        "resource_budget": st.integers(1, 200),
        "stop_at": st.sampled_from([0.1, 0.4]),
    },
)


@settings(max_examples=40, deadline=None)
@given(BUDGETS, st.integers(1, 9), st.sampled_from([0.0, 0.05]), st.sampled_from(VARIANTS[:6]))
def test_journals_with_budgets_keep_the_rules_and_their_states_survive_snapshots(
    budgets: dict[str, Any], workers: int, drop: float, variant: dict[str, Any]
) -> None:
    result = run(workers, drop, **budgets, **variant)
    assert check(result.journal) == []
    plan = result.specification.plan
    search = Asha(plan)
    for entry in result.journal:
        search.apply(entry)
        text = json.dumps(search.snapshot(), allow_nan=False)
        restored = Asha.restore(plan, json.loads(text))
        assert json.dumps(restored.snapshot(), allow_nan=False) == text
        assert restored.decide(2) == search.decide(2)
        assert restored.ending() == search.ending()
        search = restored


def test_an_extension_that_lowers_a_budget_or_adds_one_is_no_entry() -> None:
    hand = Hand(resource_budget=10, stop_at=0.5)
    before = hand.search.snapshot()
    for changed in (
        {"resource_budget": 9},
        {"time_budget": 5.0},
        {"stop_at": {"loss": 0.6}},
        {"stop_at": {"other": 0.1}},
    ):
        with pytest.raises(JournalError, match="can only be raised"):
            hand.apply(extended(**changed))
    assert hand.search.snapshot() == before


# -- the rules ---------------------------------------------------------------------------------

Journal = list[dict[str, Any]]


def _ids(journal: Journal) -> Journal:
    return [{**entry, "id": f"{n}-0"} for n, entry in enumerate(journal, 1)]


def _budget(journal: Journal, **fields: Any) -> Journal:
    first = {**journal[0], "experiment": journal[0]["experiment"] | fields}
    return [first, *journal[1:]]


def _finish_while_training(journal: Journal) -> Journal:
    ends = [n for n, entry in enumerate(journal) if entry["type"] == "suspended"]
    return [entry for n, entry in enumerate(journal) if n not in (ends[-1], ends[-1] + 1)]


@pytest.mark.parametrize(
    ("fields", "spoilt", "said"),
    [
        (
            {"resource_budget": 60},
            lambda journal: _budget(journal, resource_budget=50),
            "scheduled beyond the resource_budget of 50",
        ),
        (
            {"resource_budget": 60},
            lambda journal: _budget(journal, resource_budget=90),
            "finished with",
        ),
        (
            {"time_budget": 20.0},
            lambda journal: _budget(journal, time_budget=10.0),
            "scheduled after the time_budget of 10 s was used",
        ),
        (
            {"time_budget": 20.0},
            lambda journal: _budget(journal, time_budget=30.0),
            "is open",
        ),
        ({"time_budget": 20.0}, _finish_while_training, "is open"),
        (
            {"stop_at": 0.2},
            lambda journal: _budget(journal, stop_at={"loss": 0.9}),
            "scheduled after stop_at was reached",
        ),
        (
            {"stop_at": 0.2},
            lambda journal: _budget(journal, stop_at={"loss": 0.001}),
            "is open",
        ),
    ],
)
def test_the_rules_find_what_breaks_a_budget(
    fields: dict[str, Any], spoilt: Callable[[Journal], Journal], said: str
) -> None:
    journal = _ids(run(num_samples=200, **fields).journal)
    assert check(journal) == []
    assert any(said in violation for violation in check(spoilt(journal)))
