"""Variants of the search: who goes on out of a rung, and when."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from asha_queue.errors import JournalError
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.pasha import COMPARED, Pasha, changed_back, settled
from asha_queue.search.plan import Plan
from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.search.variants import VARIANTS
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.views import notes, trial_view
from asha_queue.views.verdict import verdict
from tests.pure.entries import completed, extended, failed, retried, scheduled

Journal = list[dict[str, Any]]


def experiment(**changes: Any) -> Specification:
    fields: dict[str, Any] = {
        "name": "sim",
        "train": "sim.py:train",
        "space": {"x": uniform(0, 1)},
        "metric": "loss",
        "mode": "min",
        "max_t": 27,
        "reduction_factor": 3,
        "num_samples": 60,
        "seed": 0,
        "sampler": "random",
    }
    return Specification(**{**fields, **changes})


def noisy(config: dict[str, Any], t: int) -> dict[str, float]:
    """Ranks that change up to the top; a tenth of the trials diverges."""
    x = config["x"]
    return {"loss": float("nan") if x > 0.9 else x + (x * 9973 * t) % 1 / t}


def steady(config: dict[str, Any], t: int) -> dict[str, float]:
    return {"loss": config["x"] + 1 / t}


def run(evaluate: Any = noisy, workers: int = 4, **changes: Any) -> Result:
    return simulate(
        experiment(**changes),
        evaluate,
        lambda config, start, target: target - start + config["x"],
        workers=workers,
        drop=0.01,
    )


def asha(variant: str, trials: int = 100, max_t: int = 9) -> Asha:
    return Asha(Plan(Ladder(1, max_t, 3), Goal("loss", "min"), trials, variant=variant))


def with_one_worker(search: Asha, value: Callable[[int], float], segments: int = 999) -> Any:
    """Trains one segment after the other; the rungs that each trial came to."""
    rungs: dict[int, int] = {}
    for _ in range(segments):
        decisions = search.decide(1)
        if not decisions:
            break
        [d] = decisions
        search.apply(scheduled(d.trial, d.rung, d.target))
        search.apply(completed(d.trial, d.rung, value(d.trial)))
        rungs[d.trial] = d.rung
    return rungs


def bring(search: Asha, *values: float) -> None:
    """Starts a trial for each value, and brings it."""
    for value in values:
        trial = search.started
        search.apply(scheduled(trial))
        search.apply(completed(trial, 0, value))


def going(search: Asha) -> list[int]:
    return [decision.trial for decision in search.decide(50) if decision.rung]


@pytest.mark.parametrize("workers", [1, 4, 25])
@pytest.mark.parametrize(
    ("variant", "brackets"),
    [*((variant, 1) for variant in VARIANTS), *((v, 2) for v in VARIANTS if v != "pasha")],
)
def test_the_journal_of_each_variant_keeps_all_rules(
    variant: str, brackets: int, workers: int
) -> None:
    result = run(workers=workers, variant=variant, brackets=brackets)
    assert result.state == "finished"
    assert check(json.loads(json.dumps(result.journal))) == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_extended_journal_of_each_variant_goes_on(variant: str) -> None:
    search = asha(variant, trials=9)
    with_one_worker(search, lambda trial: trial % 4)
    assert search.finished
    search.apply({"type": "finished"})
    search.apply(extended(max_t=27, num_samples=40))
    with_one_worker(search, lambda trial: trial % 5)
    assert search.started == 40
    assert search.finished


# Stopping


def test_of_ever_worse_arrivals_the_first_go_on_and_no_newcomer_once_there_are_eta() -> None:
    search = asha("stopping", trials=10)
    rungs = with_one_worker(search, float)
    assert rungs == {0: 2, 1: 2, **dict.fromkeys(range(2, 10), 0)}


def test_of_ever_better_arrivals_all_go_on() -> None:
    search = asha("stopping", trials=10, max_t=3)
    assert with_one_worker(search, lambda trial: -trial) == dict.fromkeys(range(10), 1)


def test_a_verdict_is_not_taken_back_when_later_results_change_the_cut() -> None:
    search = asha("stopping")
    bring(search, 0.5, 0.6, 0.55)
    assert going(search) == [0, 1]  # with three results only the best one, and it is not the third
    bring(search, 0.9, 0.9, 0.9)
    assert going(search) == [0, 1]
    with pytest.raises(JournalError, match="trial 2 cannot go on: it was stopped"):
        search.apply(scheduled(2, 1, 3))


def test_who_goes_on_does_so_before_new_trials_and_in_the_order_of_results() -> None:
    search = asha("stopping")
    bring(search, 0.5, 0.4, 0.3)
    assert [d.trial for d in search.decide(5)] == [0, 1, 2, 3, 4]
    search.apply(scheduled(1, 1, 3))
    assert going(search) == [0, 2]
    search.apply(completed(1, 1, 0.1))
    with pytest.raises(JournalError, match="trial 1 cannot go on: it went on before"):
        search.apply(scheduled(1, 1, 3))


def test_what_ranks_last_never_goes_on_however_few_there_are() -> None:
    search = asha("stopping")
    bring(search, float("nan"), float("inf"))
    search.apply(scheduled(2))
    search.apply(failed(2))
    assert going(search) == []
    search.apply(retried(2))
    search.apply(scheduled(2, attempt=2))
    search.apply(completed(2, 0, 0.5))
    assert going(search) == [2]


def test_trials_that_the_verdict_stopped_are_shown_so_and_told_why() -> None:
    result = run(variant="stopping")
    search = Asha(result.specification.plan)
    for entry in result.journal:
        search.apply(entry)
    states = {trial.state for trial in result.trials}
    assert states == {"stopped", "diverged", "done"}
    for trial in result.trials:
        said = [verdict(row, 3) for row in trial_view(trial, search)["rungs"]]
        assert all(sentence.endswith(": went on") for sentence in said[:-1])
        if trial.state == "stopped":
            assert ": stopped" in said[-1]
            assert " when it came; " in said[-1]


def test_a_trial_is_stopped_at_once_and_stays_so_when_more_trials_are_added() -> None:
    entries = [scheduled(0), scheduled(1), scheduled(2), scheduled(3)]
    result = Result(experiment(variant="stopping", max_t=9))
    for entry in [*entries, *(completed(trial, 0, trial) for trial in range(4))]:
        result.apply(entry)
    assert [trial.state for trial in result.trials] == ["waiting", "waiting", "stopped", "stopped"]
    result.apply({"type": "finished"})
    result.apply(extended(num_samples=99))
    assert result.trials[3].state == "stopped"


# Delayed promotion


def test_a_rung_promotes_no_more_than_one_in_eta_of_its_results() -> None:
    plain, delayed = asha("promotion"), asha("delayed")
    for search in (plain, delayed):
        bring(search, 0.5, 0.6, 0.7)
        search.apply(scheduled(0, 1, 3))
        bring(search, 0.4)
    assert going(plain) == [3]  # the second promotion for four results
    assert going(delayed) == []
    with pytest.raises(JournalError, match="trial 3 cannot be promoted: 1 of 4 were promoted"):
        delayed.apply(scheduled(3, 1, 3))
    bring(delayed, 0.8, 0.9)
    assert going(delayed) == [3]


@pytest.mark.parametrize("workers", [1, 4, 25])
def test_delayed_promotion_never_exceeds_the_share(workers: int) -> None:
    for rung in run(workers=workers, variant="delayed").rungs[:-1]:
        assert rung.promoted <= rung.results // 3


# PASHA


@pytest.mark.parametrize(("epsilon", "same"), [(0.03, False), (0.3, True), (0.0, False)])
def test_two_trials_that_swap_ranks_raise_the_top_unless_they_are_close(
    epsilon: float, same: bool
) -> None:
    # 14.6 and 14.3 one level below are 14.2 and 14.3 at the top
    assert settled([0, 1], {0: 14.6, 1: 14.3}, epsilon) == same


def test_trials_that_keep_their_ranks_do_not_raise_the_top() -> None:
    pasha = Pasha()
    for trial, loss in enumerate([0.3, 0.1, 0.2]):
        pasha.result(trial, 0, loss, {1: loss})
        pasha.result(trial, 1, loss / 2, {3: loss / 2})
        assert pasha.top == 1
    pasha.result(3, 0, 0.15, {1: 0.15})
    pasha.result(3, 1, 0.01, {3: 0.01})
    assert pasha.top == 2


def test_an_order_that_changed_and_changed_back_is_noise() -> None:
    assert not changed_back([1.0, 2.0, 1.0])
    assert not changed_back([1.0, -1.0])
    assert changed_back([1.0, -1.0, 0.5])
    assert changed_back([-1.0, 1.0, 1.0, -0.5, -0.5])


def test_epsilon_is_learnt_from_such_pairs_along_their_curves() -> None:
    pasha = Pasha()
    pasha.result(0, 0, 0.50, {1: 0.50})
    pasha.result(1, 0, 0.51, {1: 0.51})
    pasha.result(0, 1, 0.40, {2: 0.46, 3: 0.40})
    assert pasha.epsilon == 0
    pasha.result(1, 1, 0.44, {2: 0.45, 3: 0.44})
    assert pasha.epsilon == pytest.approx(0.04)
    pasha.result(2, 0, 0.52, {1: 0.52})
    pasha.result(2, 1, 0.39, {2: 0.50, 3: 0.39})  # first now, 0.02 behind the first before
    assert pasha.top == 1


def test_the_search_reads_curves_from_the_journal() -> None:
    search = asha("pasha")
    bring(search, *(0.50 + trial / 100 for trial in range(6)))
    for trial, curve in ((0, [0.46, 0.40]), (1, [0.45, 0.44])):
        search.apply(scheduled(trial, 1, 3))
        points = [[step, {"loss": loss}] for step, loss in enumerate(curve, start=2)]
        search.apply(completed(trial, 1, curve[-1], curve=points))
    assert search.snapshot()["pasha"]["epsilon"] == pytest.approx(0.04)


def test_a_million_results_would_be_compared_at_the_price_of_some() -> None:
    pasha = Pasha()
    for trial in range(3 * COMPARED):
        loss = float(trial)
        pasha.result(trial, 0, loss, {1: loss})
        pasha.result(trial, 1, loss, {3: loss})
    assert len(pasha.snapshot()["best"]) == COMPARED
    assert pasha.top == 1


def test_where_ranks_are_settled_early_no_trial_is_trained_in_full_and_the_best_is_found() -> None:
    result, full = run(steady, variant="pasha"), run(steady)
    assert [rung.results > 0 for rung in result.rungs] == [True, True, False, False]
    assert result.best is not None
    assert full.best is not None
    assert result.best.config == full.best.config
    said = (
        "the order of trials settled at 3 steps, so none was trained to max_t=27; the best has "
        "results up to there"
    )
    assert said in notes(result)
    assert said not in notes(full)


def test_promotion_above_the_present_top_is_refused() -> None:
    search = asha("pasha")
    bring(search, *range(9))
    for trial in range(3):
        search.apply(scheduled(trial, 1, 3))
        search.apply(completed(trial, 1, trial))
    assert search.top == 1
    assert going(search) == []
    with pytest.raises(JournalError, match="rung 2 is not opened yet"):
        search.apply(scheduled(0, 2, 9))


# The checker


def go_on_after_the_verdict(journal: Journal) -> str:
    result = Result.from_journal(copy.deepcopy(journal))
    trial = next(t for t in result.trials if t.state == "stopped" and len(t.results) == 1)
    more = {"type": "scheduled", "bracket": 0, "rung": 1, "target": 3, "attempt": 1}
    journal.insert(-1, {"id": "1-1", "trial": trial.number, **more})
    return f"trial {trial.number}, rung 1: goes on out of rung 0, where it was stopped"


def start_before_who_goes_on(journal: Journal) -> str:
    place = next(i for i, e in enumerate(journal) if e["type"] == "scheduled" and e["rung"] == 1)
    name = journal[place]["trial"]
    journal[:] = [e for e in journal if e.get("trial") != name or e.get("rung") == 0]
    return f"started, while trial {name}, rung 0, goes on"


@pytest.mark.parametrize(
    ("variant", "spoil"),
    [("stopping", go_on_after_the_verdict), ("stopping", start_before_who_goes_on)],
)
def test_the_checker_finds_what_a_variant_does_not_allow(
    variant: str, spoil: Callable[[Journal], str]
) -> None:
    journal = json.loads(json.dumps(run(workers=1, variant=variant).journal))
    sentence = spoil(journal)
    assert any(sentence in violation for violation in check(journal))


def test_the_checker_finds_a_promotion_that_should_have_been_delayed() -> None:
    entries = [{"type": "submitted", "experiment": experiment(variant="delayed").to_json()}]
    for trial, loss in enumerate([0.5, 0.6, 0.7]):
        entries += [scheduled(trial), started(trial), done(trial, loss)]
    entries += [scheduled(0, 1, 3), scheduled(3), started(3), done(3, 0.4), scheduled(3, 1, 3)]
    assert [said.partition(": ")[2] for said in check(entries)] == [
        "trial 3, rung 1: promoted out of rung 0 as number 2, when only 1 may be"
    ]
    assert check(entries[:-1]) == []


def started(trial: int) -> dict[str, Any]:
    segment = {"type": "started", "trial": trial, "rung": 0, "attempt": 1, "token": trial + 1}
    return {**segment, "start": 0}


def done(trial: int, loss: float) -> dict[str, Any]:
    return completed(trial, 0, loss, attempt=1, token=trial + 1)
