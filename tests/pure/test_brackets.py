"""Ladders that begin at higher levels, and how new trials are shared among them."""

import json
from fractions import Fraction
from typing import Any

import pytest

from asha_queue.errors import JournalError
from asha_queue.result import Result
from asha_queue.search.asha import Asha, Decision
from asha_queue.search.brackets import Brackets, cost
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.views import trial_view
from asha_queue.views.outlook import expected_resource
from asha_queue.views.verdict import verdict
from tests.pure.entries import completed, extended, scheduled

LADDER = Ladder(1, 9, 3)
EXPERIMENT = Specification(
    name="sim",
    train="sim.py:train",
    space={"x": uniform(0, 1)},
    metric="loss",
    mode="min",
    max_t=9,
    reduction_factor=3,
    brackets=3,
    num_samples=60,
    seed=0,
    sampler="random",
)


def run(experiment: Specification = EXPERIMENT, workers: int = 3) -> Result:
    return simulate(
        experiment,
        lambda config, t: {"loss": config["x"] + 1 / t},
        lambda config, start, target: target - start + config["x"],
        workers=workers,
        drop=0.02,
    )


def asha(trials: int = 100, brackets: int = 3) -> Asha:
    return Asha(Plan(LADDER, Goal("loss", "min"), trials, brackets=brackets))


def start(search: Asha, decision: Decision) -> None:
    d = decision
    search.apply(scheduled(d.trial, d.rung, d.target, bracket=d.bracket))


def test_a_trial_s_planned_cost_is_that_of_rungs_which_promote_one_in_eta() -> None:
    # 1 + 2/3 + 6/9, 3 + 6/3 and 9, in units of 1/27
    assert [Fraction(cost(LADDER, bracket), 27) for bracket in range(3)] == [Fraction(7, 3), 5, 9]


@pytest.mark.parametrize("ladder", [LADDER, Ladder(1, 10, 2), Ladder(2, 1000, 4)])
def test_each_bracket_is_planned_the_same_budget_to_within_one_trial(ladder: Ladder) -> None:
    number = len(ladder.levels)
    chosen = Brackets(ladder, number).next(500)
    costs = [cost(ladder, bracket) for bracket in range(number)]
    spent = [0] * number
    for bracket in chosen:
        spent[bracket] += costs[bracket]
        assert max(spent) - min(spent) <= max(costs)


def test_the_brackets_of_new_trials_are_the_same_one_by_one_in_blocks_and_after_a_restart() -> None:
    whole = Brackets(LADDER, 3).next(100)
    one_by_one = Brackets(LADDER, 3)
    for trial, bracket in enumerate(whole):
        assert one_by_one.next(100 - trial) == whole[trial:]
        one_by_one.start(bracket)
        restored = Brackets(LADDER, 3)
        restored.restore(one_by_one.snapshot())
        one_by_one = restored
    assert one_by_one.snapshot() == whole


def test_a_bracket_promotes_by_its_own_results_only_and_the_highest_level_goes_first() -> None:
    search = asha()
    decisions = search.decide(40)
    for decision in decisions:
        start(search, decision)
    of = {s: [d.trial for d in decisions if d.bracket == s] for s in range(3)}
    assert [LADDER.levels[s] for s in range(3)] == [decisions[of[s][0]].target for s in range(3)]
    for trial in of[0][:3] + of[1][:2]:
        search.apply(completed(trial, 0, trial))
    assert [d.trial for d in search.decide(2) if d.rung] == [of[0][0]]  # two are no third of three
    search.apply(completed(of[1][2], 0, -1.0))
    best, other = search.decide(2)
    assert best == Decision(of[1][2], 1, 1, 9)
    assert other == Decision(of[0][0], 0, 1, 3)


def test_trials_of_the_highest_bracket_are_trained_in_full_at_once() -> None:
    trials = [trial for trial in run().trials if trial.bracket == 2]
    assert trials
    assert all([one.level for one in trial.results] == [9] for trial in trials)


@pytest.mark.parametrize("workers", [1, 3, 20])
@pytest.mark.parametrize("brackets", [1, 2, 3])
def test_a_journal_with_brackets_keeps_all_rules(brackets: int, workers: int) -> None:
    experiment = Specification(**{**EXPERIMENT.to_json(), "brackets": brackets})
    journal = run(experiment, workers).journal
    assert check(json.loads(json.dumps(journal))) == []
    assert {e["bracket"] for e in journal if e["type"] == "scheduled"} == {*range(brackets)}


def test_a_journal_is_read_also_if_it_was_written_before_there_were_brackets() -> None:
    journal = run(Specification(**{**EXPERIMENT.to_json(), "brackets": 1})).journal
    before = json.loads(json.dumps(journal))
    del before[0]["experiment"]["brackets"]
    assert check(before) == []
    plan = Plan.of(before[0]["experiment"])
    search = Asha(plan)
    for entry in before:
        search.apply(entry)
    snapshot = search.snapshot()
    old = {name: value for name, value in snapshot.items() if name != "brackets"}
    assert Asha.restore(plan, old).snapshot() == snapshot


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bracket": 3}, "scheduled in bracket 3, but there are 3"),
        ({"bracket": 1, "target": 3}, "started in bracket 1, but bracket 0 is due"),
        ({"bracket": 2}, "its target is 1 instead of 9"),
    ],
)
def test_the_checker_finds_a_wrong_bracket(change: dict[str, Any], sentence: str) -> None:
    journal = json.loads(json.dumps(run().journal))
    entry = next(e for e in journal if e["type"] == "scheduled" and e["bracket"] == 0)
    entry.update(change)
    assert any(sentence in violation for violation in check(journal))


def test_the_checker_finds_a_trial_that_changes_its_bracket() -> None:
    journal = json.loads(json.dumps(run().journal))
    entry = next(e for e in journal if e["type"] == "scheduled" and e["rung"] == 1)
    wrong = 1 - entry["bracket"]
    entry["bracket"] = wrong
    said = f"in bracket {wrong}, but it began in bracket {1 - wrong}"
    assert any(said in violation for violation in check(journal))


def test_a_trial_does_not_change_its_bracket() -> None:
    search = asha()
    [first] = search.decide(1)
    start(search, first)
    search.apply(completed(0))
    with pytest.raises(JournalError, match="in bracket 1, but it began in bracket 0"):
        search.apply(scheduled(0, 1, 9, bracket=1))


def test_a_higher_top_is_one_more_rung_of_each_bracket() -> None:
    search = asha(trials=9, brackets=2)
    while decisions := search.decide(1):
        start(search, decisions[0])
        search.apply(completed(decisions[0].trial, decisions[0].rung, decisions[0].trial))
    assert search.finished
    search.apply(extended(max_t=27, num_samples=200))
    seen = set()
    while decisions := search.decide(1):
        start(search, decisions[0])
        seen.add((decisions[0].bracket, decisions[0].target))
        search.apply(completed(decisions[0].trial, decisions[0].rung, decisions[0].trial))
    assert {(0, 27), (1, 27)} <= seen
    assert search.finished


def test_results_are_compared_by_level_whatever_the_bracket() -> None:
    result = run()
    assert [rung.level for rung in result.rungs] == [1, 3, 9]
    for rung in result.rungs:
        there = [one for t in result.trials for one in t.results if one.level == rung.level]
        assert {one.rung for one in there} == {rung.rung}
        assert (rung.results, rung.best) == (len(there), min(one.value for one in there))
        went_on = [
            t
            for t in result.trials
            if {rung.rung, rung.rung + 1} <= {one.rung for one in t.results}
        ]
        assert rung.promoted == len(went_on)
    assert result.best is not None
    assert result.best.resource == 9
    by_bracket = [
        [t for t in result.trials if t.bracket == s and any(r.level == 3 for r in t.results)]
        for s in range(2)
    ]
    assert result.rungs[1].cut == sum(len(trials) // 3 for trials in by_bracket)
    assert expected_resource(result) == result.resource_spent


def test_what_is_expected_is_about_what_comes() -> None:
    finished = run()
    begun = Result(EXPERIMENT)
    for entry in finished.journal[: len(finished.journal) // 4]:
        begun.apply(entry)
    assert expected_resource(begun) == pytest.approx(finished.resource_spent, rel=0.2)


def test_it_is_said_in_which_bracket_a_trial_was_compared() -> None:
    result, search = run(), Asha(EXPERIMENT.plan)
    for entry in result.journal:
        search.apply(entry)
    trial = next(t for t in result.trials if t.bracket == 1)
    view = trial_view(trial, search)
    assert view["rungs"][0]["rung"] == 1
    assert " in bracket 1 at 3; " in verdict(view["rungs"][0], 3)
    assert "bracket 1 rung 0 attempt 1" in str(trial.history.all[0])
