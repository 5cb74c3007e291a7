import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import JournalError
from asha_queue.search.rung import Rung, number, written


def rung_of(*values: float, eta: int = 3, mode: str = "min") -> Rung:
    rung = Rung(eta, mode)
    for trial, value in enumerate(values):
        rung.add(trial, value)
    return rung


def test_of_nine_results_the_best_three_are_promoted_one_after_the_other() -> None:
    rung = rung_of(*range(9))
    promoted = []
    while best := rung.promotable(1):
        rung.promote(best[0])
        promoted += best
    assert promoted == [0, 1, 2]


def test_one_result_alone_is_not_promotable() -> None:
    assert rung_of(0.5).promotable(1) == []


def test_promoted_results_still_count_among_the_candidates() -> None:
    rung = rung_of(0.1, 0.2, 0.3)
    rung.promote(0)
    rung.add(3, 0.4)
    rung.add(4, 0.5)
    assert rung.promotable(5) == []  # "the best third of those left" would promote 1 here
    rung.add(5, 0.6)
    assert rung.promotable(5) == [1]


def test_a_candidate_that_was_overtaken_is_none_any_more_until_the_cut_grows() -> None:
    rung = rung_of(0.5, 0.6, 0.7)
    rung.add(3, 0.1)
    assert rung.promotable(5) == [3]
    rung.add(4, 0.9)
    rung.add(5, 0.9)
    assert rung.promotable(5) == [3, 0]


def test_of_equal_values_the_lower_trial_number_is_better() -> None:
    rung = Rung(2, "max")
    for trial in (3, 1, 2, 0):
        rung.add(trial, 0.5)
    assert rung.promotable(4) == [0, 1]


def test_when_larger_is_better_the_largest_is_promoted() -> None:
    assert rung_of(0.1, 0.9, 0.5, 0.7, mode="max", eta=2).promotable(4) == [1, 3]


@pytest.mark.parametrize(
    ("mode", "value"), [("min", math.nan), ("max", math.nan), ("min", math.inf), ("max", -math.inf)]
)
def test_a_diverged_result_counts_but_is_never_promoted(mode: str, value: float) -> None:
    rung = rung_of(value, value, value, value, mode=mode, eta=2)
    assert rung.promotable(4) == []
    with pytest.raises(JournalError, match="not among the best 2 of 4"):
        rung.promote(0)
    rung.add(4, 1.0)
    assert rung.promotable(4) == [4]


def test_a_result_taken_back_may_cost_a_candidate_its_place_but_no_promotion() -> None:
    rung = rung_of(0.1, 0.2, math.nan, math.nan, eta=2)
    assert rung.promotable(4) == [0, 1]
    rung.promote(1)
    rung.withdraw(3)
    assert rung.promotable(4) == [0]
    assert rung.snapshot()["promoted"] == [1]
    with pytest.raises(JournalError, match="promoted before"):
        rung.promote(1)
    rung.add(3, 0.3)
    assert rung.explain(3).rank == 3


def test_a_result_taken_back_from_among_the_candidates_makes_room_for_another() -> None:
    rung = rung_of(math.nan, math.nan, math.nan, eta=2)
    rung.withdraw(0)
    assert rung.explain(1).cut == 1
    rung.withdraw(2)
    assert rung.explain(1).cut == 0


def test_an_infinity_of_the_right_side_is_the_best_of_all() -> None:
    assert rung_of(5.0, -math.inf, 3.0, mode="min").promotable(1) == [1]


@pytest.mark.parametrize(
    ("trial", "reason"), [(7, "no result"), (0, "promoted before"), (2, "not among the best 1")]
)
def test_a_promotion_that_is_not_due_is_refused_and_changes_nothing(
    trial: int, reason: str
) -> None:
    rung = rung_of(0.1, 0.2, 0.3)
    rung.promote(0)
    before = rung.snapshot()
    with pytest.raises(JournalError, match=reason):
        rung.promote(trial)
    assert rung.snapshot() == before


def test_an_explanation_gives_rank_cut_and_the_value_to_beat() -> None:
    rung = rung_of(0.4, 0.1, 0.3, math.nan, 0.2, 0.5)
    rung.promote(1)
    first, third, last = rung.explain(1), rung.explain(2), rung.explain(3)
    assert (first.rank, first.n, first.cut, first.value, first.promoted) == (1, 6, 2, 0.1, True)
    assert (third.rank, third.value, third.threshold, third.promoted) == (3, 0.3, 0.2, False)
    assert (last.rank, last.value) == (6, None)


def test_without_candidates_there_is_no_value_to_beat() -> None:
    assert rung_of(0.4).explain(0).threshold is None


@given(
    values=st.lists(st.sampled_from([*range(6), math.nan, math.inf, -math.inf]), max_size=60),
    eta=st.integers(2, 5),
    mode=st.sampled_from(["min", "max"]),
    promote=st.lists(st.booleans(), min_size=60, max_size=60),
    withdraw=st.lists(st.integers(0, 9), min_size=60, max_size=60),
)
@settings(max_examples=150, deadline=None)
def test_a_rung_promotes_what_sorting_all_its_results_would(
    values: list[float], eta: int, mode: str, promote: list[bool], withdraw: list[int]
) -> None:
    rung, keys, promoted = Rung(eta, mode), [], set()
    for trial, value in enumerate(values):
        rung.add(trial, value)
        loss = value if mode == "min" else -value
        keys.append((math.inf if math.isnan(loss) else loss, trial))
        last = [key for key in keys if key[0] == math.inf]
        if last and withdraw[trial] < 3:
            taken = last[withdraw[trial] % len(last)]
            keys.remove(taken)
            rung.withdraw(taken[1])
        assert len(rung) == len(keys)
        candidates = sorted(keys)[: len(keys) // eta]
        due = [t for loss, t in candidates if t not in promoted and loss < math.inf]
        assert rung.promotable(len(values)) == due
        assert rung.promotable(1) == due[:1]
        if due and promote[trial]:
            rung.promote(due[-1])  # not the best one: legal, if unusual
            promoted.add(due[-1])


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_json_cannot_hold_are_read_and_written_as_text(text: str) -> None:
    assert written(number(text)) == text


@pytest.mark.parametrize("value", [None, "high", [1], {}, 10**400])
def test_what_is_no_number_is_read_as_nan(value: object) -> None:
    assert math.isnan(number(value))
