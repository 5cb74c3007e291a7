"""Rungs where several metrics count, or constraints: held against plain ranks and by hand."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asha_queue.errors import JournalError
from asha_queue.search.front import fronts_of
from asha_queue.search.goal import Bound, Goal, Goals, scalarised
from asha_queue.search.ranks import Ranks
from asha_queue.search.rung import Ranking

TWO = Goals((Goal("accuracy", "max"), Goal("latency", "min")))
BOUNDED = Goals((Goal("accuracy", "max"),), (Bound("latency", "max", 20.0),))


def rung_of(goal: Goals, *results: tuple[float, float], eta: int = 2) -> Ranking:
    rung = goal.rung(eta)
    for trial, (accuracy, latency) in enumerate(results):
        rung.add(trial, goal.value({"accuracy": accuracy, "latency": latency}))
    return rung


def test_the_first_front_is_promoted_from_its_ends_to_where_it_is_crowded() -> None:
    # 0, 1, 2, 3 are a front, on which 1 is nearer to its neighbours than 2; the others are behind
    front = [(0.9, 30.0), (0.89, 29.0), (0.6, 12.0), (0.5, 10.0)]
    rung = rung_of(TWO, *front, (0.5, 40.0), (0.4, 12.0), (0.3, 31.0), (0.2, 50.0))
    assert rung.promotable(9) == [0, 3, 2, 1]
    rung.promote(3)
    assert rung.promotable(1) == [0]
    third = rung.explain(1)
    assert (third.rank, third.front, third.n, third.cut) == (4, 1, 8, 4)
    assert third.crowding == pytest.approx(0.3 / 0.4 + 18 / 20)
    behind = rung.explain(4)
    assert (behind.rank, behind.front, behind.value) == (5, 2, 0.5)
    with pytest.raises(JournalError, match="not among the best 4 of 8"):
        rung.promote(4)


def test_equal_results_share_a_front_and_the_lower_trial_is_better() -> None:
    rung = rung_of(TWO, (0.5, 1.0), (0.5, 1.0), (0.5, 1.0), (0.4, 1.0), eta=2)
    assert rung.promotable(9) == [0, 2]  # the ends of a front whose results are all equal
    assert [rung.explain(trial).front for trial in range(4)] == [1, 1, 1, 2]


@pytest.mark.parametrize("accuracy", [math.nan, math.inf, -math.inf])
def test_a_result_without_a_finite_value_ranks_last_and_is_never_promoted(accuracy: float) -> None:
    rung = rung_of(TWO, (accuracy, 1.0), (accuracy, 1.0), (0.1, 9.0), (accuracy, 0.0), eta=2)
    assert rung.promotable(9) == [2]
    last = rung.explain(3)
    assert (last.rank, last.value, last.front, last.crowding) == (4, None, None, None)
    with pytest.raises(JournalError, match="not among the best 2 of 4"):
        rung.promote(0)


def test_what_meets_the_constraints_comes_before_what_is_better_but_does_not() -> None:
    rung = rung_of(BOUNDED, (0.9, 30.0), (0.5, 19.0), (0.99, 22.0), (0.1, 20.0), eta=2)
    assert rung.promotable(9) == [1, 3]
    near, far = rung.explain(2), rung.explain(0)
    assert (near.rank, near.threshold, far.rank) == (3, None, 4)
    assert [near.violation, far.violation] == pytest.approx([0.1, 0.5])
    assert rung.explain(1).threshold == 0.1


def test_where_nothing_meets_the_constraints_what_is_nearest_goes_on() -> None:
    rung = rung_of(BOUNDED, (0.9, 30.0), (0.5, 24.0), (0.6, 24.0), (0.9, math.nan), eta=2)
    assert rung.promotable(9) == [2, 1]  # of equal violation the value decides
    assert rung.explain(1).threshold == 0.5
    assert rung.explain(0).threshold is None
    assert rung.explain(3).value is None


def test_violations_are_shares_of_their_bounds_and_plain_at_zero() -> None:
    goal = Goals.of("loss", "min", {"a": {"max": 20.0}, "b": {"min": -4.0, "max": 0.0}})
    assert goal.violation({"a": 25.0, "b": 0.5}) == pytest.approx(0.25 + 0.5)
    assert goal.violation({"a": 5.0, "b": -6.0}) == pytest.approx(0.5)
    assert goal.violation({"a": 20.0, "b": 0.0}) == 0.0
    assert goal.violation({"a": 1.0}) == math.inf
    assert not goal.ranks({"loss": 1.0, "a": 1.0})


def test_one_metric_without_constraints_is_ranked_by_a_plain_number() -> None:
    assert Goals.of("loss", "min") == Goal("loss", "min")
    assert Goals.of(["loss"], ["min"], {}) == Goal("loss", "min")


VALUES = st.sampled_from([0.0, 1.0, 2.0, 3.5, -1.0, 1e308, -1e308, math.nan, math.inf, -math.inf])
GOALS = [
    TWO,
    BOUNDED,
    Goals((Goal("accuracy", "min"),), (Bound("latency", "min", 0.0), Bound("latency", "max", 2.0))),
    Goals((Goal("accuracy", "max"), Goal("latency", "min")), (Bound("size", "max", 1.0),)),
    Goals((Goal("accuracy", "min"), Goal("latency", "min"), Goal("size", "max"))),
]


@given(
    goal=st.sampled_from(GOALS),
    eta=st.integers(2, 4),
    results=st.lists(st.tuples(VALUES, VALUES, VALUES), max_size=30),
    promote=st.lists(st.booleans(), min_size=30, max_size=30),
    withdraw=st.lists(st.integers(0, 9), min_size=30, max_size=30),
)
@settings(max_examples=200, deadline=None)
def test_a_rung_promotes_what_comparing_all_its_results_would_also_after_a_restart(
    goal: Goals,
    eta: int,
    results: list[tuple[float, ...]],
    promote: list[bool],
    withdraw: list[int],
) -> None:
    rung, plain, promoted = goal.rung(eta), Ranks(goal), set[int]()
    for trial, values in enumerate(results):
        metrics = dict(zip(("accuracy", "latency", "size"), values, strict=True))
        rung.add(trial, goal.value(metrics))
        plain.add(trial, metrics)
        last = [t for t in plain.best(len(plain)) if plain.last(t)]
        if last and withdraw[trial] < 3:
            rung.withdraw(last[0])
            plain.remove(last[0])
        due = [t for t in plain.best(len(plain) // eta) if t not in promoted and not plain.last(t)]
        assert rung.promotable(99) == due
        assert rung.promotable(1) == due[:1]
        if due and promote[trial]:
            rung.promote(due[-1])
            promoted.add(due[-1])
        for ranked, t in enumerate(plain.best(len(plain)), start=1):
            assert rung.explain(t).rank == ranked == plain.rank(t)
        text = json.dumps(rung.snapshot(), allow_nan=False)
        held: dict[str, Any] = json.loads(text)
        rung = goal.rung(eta)
        rung.restore(held["results"], held["promoted"])
        assert json.dumps(rung.snapshot(), allow_nan=False) == text


@pytest.mark.parametrize("metrics", [2, 3, 5])
def test_many_results_have_the_fronts_that_taking_one_after_the_other_away_finds(
    metrics: int,
) -> None:
    rng = np.random.default_rng(metrics)
    losses = rng.random((700, metrics)).round(2)
    left, front = np.arange(len(losses)), 1
    found = fronts_of(losses)
    while len(left):
        rest = losses[left]
        least = (rest[:, None] <= rest).all(2) & (rest[:, None] < rest).any(2)
        inside = ~least.any(0)
        assert (found[left[inside]] == front).all()
        left, front = left[~inside], front + 1
    assert found.max() == front - 1


def test_weights_find_every_point_of_a_front_that_bends_inwards() -> None:
    # no weighted sum is least at the middle one, and the last one is on no front
    points = np.array([(0.0, 1.0), (0.6, 0.6), (1.0, 0.0), (1.0, 0.6)])
    weights = np.random.default_rng(0).dirichlet((1, 1), 50)
    assert {int(scalarised(points, one).argmin()) for one in weights} == {0, 1, 2}
