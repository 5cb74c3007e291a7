"""The sentences of the read model."""

import math

import pytest

from asha_queue.result import RungResult, TrialResult
from asha_queue.search.asha import Decision
from asha_queue.views import duration, number, trial_view
from asha_queue.views.verdict import verdict
from tests.pure.entries import Play, completed


def why(play: Play, trial: int, rung: int = 0) -> str:
    """What is said about the last of a trial's rungs."""
    results = [
        RungResult(r, play.ladder.levels[r], 0.0, {}, play.ladder.levels[r], None, 1.0, None)
        for r in range(rung + 1)
    ]
    row = trial_view(TrialResult(trial, results=results), play.search)["rungs"][-1]
    return verdict(row, 3)


def test_a_trial_above_the_cut_is_said_to_be_promoted_only_once_it_is() -> None:
    play = Play(eta=3, max_t=3)
    play.results(0.1, 0.5, 0.9)
    cut = "rank 1 of 3 at 1; the best ⌊3/3⌋ = 1 go on: "
    assert why(play, 0) == cut + "one of them, not promoted yet"
    play.decide()
    assert why(play, 0) == cut + "promoted"


def test_a_trial_below_the_cut_is_told_what_it_had_to_beat() -> None:
    play = Play(eta=3, max_t=3)
    play.results(0.1, 0.5, 0.9)
    assert why(play, 1) == (
        "rank 2 of 3 at 1; the best ⌊3/3⌋ = 1 go on: not promoted, it would have had to beat 0.1"
    )


def test_nothing_is_said_of_promotion_out_of_the_top() -> None:
    play = Play(eta=3, max_t=3)
    play.results(0.1, 0.5, 0.9)
    play.decide()
    play.search.apply(completed(0, 1, 0.05))
    assert why(play, 0, rung=1) == "rank 1 of 1 at 3, the top"


def in_its_test(*above: float) -> Play:
    """Twelve trials in the order of their numbers, all in the test, and results of so many."""
    play = Play(eta=3, max_t=9, hedge=True)
    play.results(*range(12))
    for trial in range(12):
        play.schedule(Decision(trial, 0, 1, 3))
    for trial, value in enumerate(above):
        play.search.apply(completed(trial, 1, value))
    return play


def test_a_test_is_said_to_be_one_and_not_to_count_in_the_next_rung() -> None:
    play = in_its_test(*range(5))
    assert why(play, 4) == (
        "rank 5 of 12 at 1; the best ⌊12/3⌋ = 4 go on: promoted none the less, to test what ranks "
        "say of the next level"
    )
    assert why(play, 1, rung=1) == (
        "rank 2 of 5 at 3, 1 of which came as tests and do not count; the best ⌊4/3⌋ = 1 go on: "
        "not promoted, it would have had to beat 0"
    )


def test_out_of_an_open_rung_all_are_said_to_go_on_and_why() -> None:
    play = in_its_test(*range(12, 0, -1))
    play.results(5.5)
    said = (
        "at 1; ranks say too little of the next level (0% of the pairs keep their order), so all "
        "go on"
    )
    assert why(play, 0) == f"rank 1 of 13 {said}: promoted"
    assert why(play, 12) == f"rank 7 of 13 {said} that have a value"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.123456, "0.1235"), (math.nan, "nan"), ("NaN", "NaN"), ("-Infinity",) * 2],
)
def test_a_value_is_shown_also_when_a_live_report_has_it_as_a_text(
    value: float | str | None, text: str
) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_a_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
