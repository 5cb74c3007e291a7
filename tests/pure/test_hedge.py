"""A search that hedges: rungs are tested before their ranks are relied on."""

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import JournalError
from asha_queue.result import Result
from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal
from asha_queue.search.hedge import BEFORE, SAMPLE, TESTED, needed
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.views import notes
from asha_queue.views.outlook import expected_resource
from tests.pure.entries import Play, completed, extended, failed, retried, scheduled

#: From a trial and a rung to its value there.
Value = Callable[[int, int], object]


def kept(trial: int, rung: int) -> float:
    """Each rung has the same order, which is not that of the trials' numbers."""
    return trial * 37 % 101


def shuffled(trial: int, rung: int) -> float:
    """No rung says anything of another."""
    return float(np.random.default_rng([trial, rung]).random())


def turned(trial: int, rung: int) -> float:
    """The first rung has the order of all others turned round."""
    return -kept(trial, rung) if rung == 0 else kept(trial, rung)


def swung(trial: int, rung: int) -> float:
    """Each rung has the order of the one below turned round."""
    return -kept(trial, rung) if rung % 2 else kept(trial, rung)


def hedged(trials: int = 100, max_t: int = 64) -> Play:
    return Play(eta=4, max_t=max_t, trials=trials, hedge=True)


def train(play: Play, value: Value, segments: int = 10_000) -> list[Decision]:
    """Trains that many segments one after the other, fewer when the search finishes."""
    trained: list[Decision] = []
    while len(trained) < segments and (decision := play.decide()):
        play.search.apply(completed(decision.trial, decision.rung, value(*_of(decision))))
        trained.append(decision)
    return trained


def _of(decision: Decision) -> tuple[int, int]:
    return decision.trial, decision.rung


def standing(play: Play, rung: int) -> str:
    return play.search.doubt(0, rung).standing


def test_a_search_whose_ranks_last_is_plain_asha_after_its_test() -> None:
    play = hedged(trials=400)
    trained = train(play, kept)
    assert [standing(play, rung) for rung in range(3)] == ["ranks", "untested", "untested"]
    plain = Play(eta=4, max_t=64, trials=400)
    in_plain = Counter(
        decision.rung for decision in plain.with_one_worker(lambda trial: kept(trial, 0), 10_000)
    )
    found = Counter(decision.rung for decision in trained)
    probes = sum(play.search.doubt(trial, 0).probe for trial in range(400))
    assert 0 < probes < TESTED
    assert found[0] == in_plain[0] == 400
    assert in_plain[1] <= found[1] <= in_plain[1] + probes
    assert (found[2], found[3]) == (in_plain[2], in_plain[3])


def test_where_no_rung_says_anything_of_the_next_every_trial_is_trained_in_full() -> None:
    play = hedged(trials=60)
    trained = train(play, shuffled)
    assert [standing(play, rung) for rung in range(3)] == ["open", "open", "open"]
    assert Counter(decision.rung for decision in trained) == dict.fromkeys(range(4), 60)
    assert play.search.finished


def test_the_first_rung_that_ranks_is_the_one_above_those_that_do_not() -> None:
    play = hedged(trials=200)
    trained = train(play, turned)
    assert [standing(play, rung) for rung in range(3)] == ["open", "ranks", "untested"]
    counts = Counter(decision.rung for decision in trained)
    assert counts[1] == 200
    assert counts[2] < 200 / 4 + TESTED


def test_what_diverged_or_failed_is_promoted_out_of_no_open_rung() -> None:
    play = hedged(trials=60)
    trained = train(play, lambda trial, rung: "NaN" if trial % 5 == 0 else shuffled(trial, rung))
    assert standing(play, 0) == "open"
    assert not [decision for decision in trained if decision.rung and decision.trial % 5 == 0]
    assert play.search.finished


def test_a_test_begins_with_enough_results_and_takes_so_many_of_the_lowest_that_wait() -> None:
    play = hedged()
    play.results(*range(BEFORE - 1))
    assert play.search.decide(20)[:2] == [Decision(0, 0, 1, 4), Decision(BEFORE - 1, 0, 0, 1)]
    play.results(*range(BEFORE - 1, 30))
    promoted = play.promotions()
    assert promoted == list(range(10))  # ten slots: the best seven by rank, then what waits
    for trial in range(TESTED):
        play.schedule(Decision(trial, 0, 1, 4))
    assert play.promotions() == []


def test_probes_do_not_count_in_the_rung_above_until_their_rung_opens() -> None:
    play = hedged()
    play.results(*range(12))
    for trial in range(TESTED):
        play.schedule(Decision(trial, 0, 1, 4))
    values = [shuffled(trial, 1) for trial in range(TESTED)]
    for trial in range(TESTED - 1):
        play.search.apply(completed(trial, 1, values[trial]))
    assert play.search.explain(0, 1).n == TESTED - 1
    assert play.search.explain(0, 1).cut == 0  # of three that count
    play.search.apply(completed(TESTED - 1, 1, values[-1]))
    assert standing(play, 0) == "open"
    assert play.search.explain(0, 1).cut == TESTED // 4
    assert not any(play.search.doubt(trial, 0).probe for trial in range(TESTED))


def test_a_rung_that_ranked_by_chance_opens_when_more_results_say_nothing() -> None:
    play = hedged(trials=200)
    seen = []
    while train(play, lambda trial, rung: trial if rung == 0 or trial < 8 else -trial, 1):
        seen.append(standing(play, 0))
    turns = [now for before, now in zip(["", *seen], seen, strict=False) if now != before]
    assert turns == ["testing", "ranks", "open"]


def test_the_share_that_is_needed_falls_with_the_results_but_not_below_its_least() -> None:
    shares = [needed(n) for n in range(5, SAMPLE + 1)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > 0.85
    assert shares[-1] == needed(1000) == 0.6


def test_a_share_counts_pairs_in_order_and_ties_below_as_half() -> None:
    play = hedged()
    play.results(*[0, 0, 1, 2, 5, 5, 5, 5])
    for trial, value in enumerate([1, 2, 3, 3]):
        play.schedule(Decision(trial, 0, 1, 4))
        play.search.apply(completed(trial, 1, value))
    doubt = play.search.doubt(0, 0)
    # of the six pairs, that of 2 and 3 is a tie above, and that of 0 and 1 one below
    assert doubt.share == 4.5 / 5
    assert doubt.results == 4


def test_a_failure_that_is_retried_is_evidence_no_more() -> None:
    play = hedged()
    play.results(*range(8))
    play.schedule(Decision(0, 0, 1, 4))
    play.search.apply(failed(0, 1))
    assert play.search.doubt(0, 0).results == 1
    play.search.apply(retried(0, 1))
    assert play.search.doubt(0, 0).results == 0


def test_rungs_that_are_added_above_an_open_top_are_tested() -> None:
    play = hedged(trials=40, max_t=4)
    train(play, swung)
    assert standing(play, 0) == "open"
    play.search.apply(extended(max_t=16))
    play.ladder = play.ladder.extended(16)
    train(play, swung)
    assert standing(play, 1) == "open"


def test_a_promotion_that_neither_rank_nor_test_allows_is_refused_and_changes_nothing() -> None:
    play = hedged()
    play.results(*range(BEFORE - 1))
    before = json.dumps(play.search.snapshot())
    with pytest.raises(JournalError, match="not among the best 1 of 7"):
        play.search.apply(scheduled(5, 1, 4))
    assert json.dumps(play.search.snapshot()) == before


def test_a_search_that_does_not_hedge_keeps_nothing_of_it() -> None:
    play = Play(eta=4, max_t=64)
    train(play, shuffled, 200)
    assert play.search.snapshot()["hedge"] == []
    assert standing(play, 0) == "untested"


def journal(seed: int, noise: float, drop: float, **fields: Any) -> list[dict[str, Any]]:
    """Of a whole experiment, in which so much noise covers what the ranks say."""
    experiment = Specification(
        name="sim",
        train="sim.py:train",
        space={"x": uniform(0, 1)},
        metric="loss",
        mode="min",
        seed=seed,
        **{"max_t": 64, "reduction_factor": 4, "num_samples": 80, "hedge": True, **fields},
    )

    def evaluate(config: dict[str, Any], t: int) -> dict[str, float]:
        rng = np.random.default_rng([int(config["x"] * 2**32), t])
        value = (1 - noise) * config["x"] + noise * rng.random()
        return {"loss": math.nan if rng.random() < 0.1 else round(value, 2)}

    return simulate(
        experiment,
        evaluate,
        lambda config, start, target: target - start + config["x"],
        workers=5,
        drop=drop,
    ).journal


def promoted_whatever_its_rank(entries: list[dict[str, Any]]) -> list[str]:
    """The violations if the experiment had not hedged."""
    plain = {**entries[0], "experiment": {**entries[0]["experiment"], "hedge": False}}
    return check([plain, *entries[1:]])


@pytest.mark.parametrize("noise", [0.0, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("seed", range(6))
def test_the_rules_hold_in_every_journal_of_a_search_that_hedges(noise: float, seed: int) -> None:
    entries = journal(seed, noise, drop=0.01)
    assert entries[-1]["type"] == "finished"
    assert check(entries) == []
    assert promoted_whatever_its_rank(entries)


def test_a_promotion_too_many_out_of_a_rung_in_its_test_breaks_the_rules() -> None:
    entries = journal(0, noise=0.0, drop=0.0)
    ranked = next(
        index
        for index, entry in enumerate(entries)
        if entry["type"] == "completed" and entry["rung"] == 2
    )
    done = [e for e in entries[:ranked] if e["type"] == "completed"]
    gone = {e["trial"] for e in entries[:ranked] if e["type"] == "scheduled" and e["rung"] == 1}
    worst = max(
        (e for e in done if e["rung"] == 0 and e["trial"] not in gone),
        key=lambda e: -1 if e["metrics"]["loss"] == "NaN" else e["metrics"]["loss"],
    )
    forged = scheduled(worst["trial"], 1, 4) | {"id": "0-0"}
    [violation] = check([*entries[:ranked], forged])
    assert "when only the best" in violation


@given(
    values=st.lists(st.sampled_from([0.0, 1, 2, 3, "NaN"]), min_size=30, max_size=30),
    turns=st.lists(st.sampled_from([0, 1, 2, 3]), min_size=30, max_size=30),
    order=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 100)), max_size=120),
)
@settings(max_examples=60, deadline=None)
def test_many_slots_get_what_one_after_the_other_would_and_every_state_survives_its_snapshot(
    values: list[object], turns: list[int], order: list[tuple[int, int]]
) -> None:
    plan = Plan(Ladder(1, 16, 2), Goal("loss", "min"), 30, hedge=True)
    search = Asha(plan)
    running: list[Decision] = []

    def apply(entry: dict[str, Any]) -> None:
        nonlocal search
        search.apply(entry)
        text = json.dumps(search.snapshot(), allow_nan=False)
        search = Asha.restore(plan, json.loads(text))
        assert json.dumps(search.snapshot(), allow_nan=False) == text

    for slots, which in order:
        for decision in search.decide(slots):
            assert search.decide(1) == [decision]
            apply(scheduled(decision.trial, decision.rung, decision.target))
            running.append(decision)
        if running:
            trial, rung = _of(running.pop(which % len(running)))
            if which % 7 == 0:
                apply(failed(trial, rung))
            else:
                apply(completed(trial, rung, values[(trial + rung * turns[trial]) % 30]))


def test_what_is_expected_to_be_spent_follows_rungs_out_of_which_all_go_on() -> None:
    entries = journal(1, noise=1.0, drop=0.0)
    spent = Result.from_journal(entries).resource_spent
    assert spent > 0.7 * 80 * 64  # the others diverged
    half = Result.from_journal(entries[: len(entries) // 2])
    assert half.resource_spent < 0.6 * spent
    assert expected_resource(half) == pytest.approx(spent, rel=0.5)


def test_a_note_tells_what_it_costs_that_early_values_do_not_rank() -> None:
    def told(noise: float) -> list[str]:
        found = notes(Result.from_journal(journal(1, noise, drop=0.0)))
        return [note for note in found if "hedge=False" in note]

    [note] = told(noise=1.0)
    assert "5,120 steps" in note
    assert told(noise=0.0) == []
