import json
import math
import statistics
from collections import Counter
from typing import Any

import numpy as np
import pytest

from asha_queue.errors import JournalError, NewerFormat
from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from tests.pure.entries import Entry, Play, completed, extended, failed, retried, scheduled


def test_of_nine_results_zero_one_and_two_are_promoted_and_then_none() -> None:
    play = Play(eta=3)
    play.results(*range(9))
    decisions = [play.decide() for _ in range(4)]
    assert decisions[:3] == [Decision(trial, 0, 1, 3) for trial in (0, 1, 2)]
    assert decisions[3] == Decision(9, 0, 0, 1)


def test_with_one_result_there_is_no_promotion() -> None:
    play = Play()
    play.results(0.1)
    assert play.promotions() == []


def test_trials_in_training_do_not_count() -> None:
    play = Play(eta=3)
    for trial in range(9):
        play.search.apply(scheduled(trial))
    play.search.apply(completed(0, value=0.1))
    play.search.apply(completed(1, value=0.2))
    assert play.promotions() == []
    play.search.apply(completed(2, value=0.3))
    assert play.promotions() == [0]


def test_twelve_trials_with_one_worker_train_the_best_in_all_rungs_and_the_next_three_in_two() -> (
    None
):
    play = Play(eta=3, max_t=9, trials=12)
    decisions = play.with_one_worker(lambda trial: (trial + 1) / 100, segments=1000)
    rungs = Counter(decision.trial for decision in decisions)
    assert [rungs[trial] for trial in range(12)] == [3, 2, 2, 2] + [1] * 8
    assert play.search.finished


@pytest.mark.parametrize(
    ("segments", "medians", "ranges"),
    [
        (150, (100, 36, 14), ((92, 105), (34, 42), (11, 19))),
        (1500, (1014, 355, 130), ((987, 1038), (343, 368), (117, 150))),
    ],
)
def test_with_one_worker_a_third_of_the_segments_of_a_rung_is_promoted(
    segments: int, medians: tuple[int, ...], ranges: tuple[tuple[int, int], ...]
) -> None:
    counts = []
    for seed in range(60):
        values = np.random.default_rng(seed).random(segments).tolist()
        decisions = Play(eta=3, trials=segments).with_one_worker(values.__getitem__, segments)
        per_rung = Counter(decision.rung for decision in decisions)
        counts.append([per_rung[rung] for rung in range(3)])
    for of_rung, median, (low, high) in zip(
        zip(*counts, strict=True), medians, ranges, strict=True
    ):
        assert int(statistics.median(of_rung)) == median
        assert (min(of_rung), max(of_rung)) == (low, high)


def test_the_highest_rung_is_promoted_from_first() -> None:
    play = Play(eta=2, max_t=4)
    play.results(0.1, 0.2, 0.3, 0.4)
    for trial in (0, 1):
        assert play.decide() == Decision(trial, 0, 1, 2)
        play.search.apply(completed(trial, 1, value=0.1))
    play.results(0.01, 0.02)
    assert play.search.decide(4) == [
        Decision(0, 0, 2, 4),
        Decision(4, 0, 1, 2),
        Decision(5, 0, 1, 2),
        Decision(6, 0, 0, 1),
    ]


def test_no_trial_is_promoted_out_of_the_top_rung() -> None:
    play = Play(eta=2, max_t=1, trials=4)
    play.results(0.1, 0.2, 0.3, 0.4)
    assert play.search.decide(4) == []
    assert play.search.finished


def test_decisions_for_many_slots_are_those_of_one_slot_after_the_other() -> None:
    play, other = Play(eta=2, trials=12), Play(eta=2, trials=12)
    for each in (play, other):
        each.results(0.3, 0.1, 0.2, 0.4, 0.5, 0.6)
    assert play.search.decide(8) == [other.decide() for _ in range(8)]
    assert play.search.decide(8) == play.search.decide(20)[:8]


def test_deciding_changes_nothing() -> None:
    play = Play(eta=2)
    play.results(0.3, 0.1, 0.2, 0.4)
    before = play.search.snapshot()
    assert play.search.decide(5) == play.search.decide(5)
    assert play.search.snapshot() == before


def test_no_free_slot_means_no_decision() -> None:
    play = Play(eta=2)
    play.results(0.3, 0.1)
    assert play.search.decide(0) == []


def test_when_all_trials_were_started_a_slot_stays_free_until_a_result_arrives() -> None:
    play = Play(eta=2, max_t=2, trials=2)
    play.decide()
    play.decide()
    assert play.decide() is None
    assert not play.search.finished
    play.search.apply(completed(0, value=0.2))
    play.search.apply(completed(1, value=0.1))
    assert not play.search.finished
    assert play.decide() == Decision(1, 0, 1, 2)
    play.search.apply(completed(1, 1, value=0.1))
    assert play.search.finished


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(lambda t: completed(t, value="NaN"), id="NaN as text"),
        pytest.param(lambda t: completed(t, value=math.nan), id="NaN"),
        pytest.param(lambda t: completed(t, value="Infinity"), id="infinity of the wrong side"),
        pytest.param(lambda t: completed(t, value=None), id="no number"),
        pytest.param(lambda t: {**completed(t), "metrics": {}}, id="missing metric"),
        pytest.param(failed, id="final failure"),
    ],
)
def test_a_bad_result_counts_ranks_last_and_is_never_promoted(bad: Any) -> None:
    play = Play(eta=3, trials=3)
    for trial in range(3):
        play.search.apply(scheduled(trial))
    play.search.apply(completed(2, value=1e9))
    play.search.apply(bad(0))
    assert play.promotions() == []
    play.search.apply(bad(1))
    assert play.promotions() == [2]
    assert play.search.explain(2, 0).rank == 1
    assert play.search.explain(0, 0).rank == 2
    assert play.search.explain(0, 0).value is None


def test_when_larger_is_better_minus_infinity_ranks_last_and_infinity_first() -> None:
    play = Play(eta=3, mode="max")
    play.results("-Infinity", "Infinity", 1.0)
    assert play.promotions() == [1]
    assert play.search.explain(0, 0).rank == 3


def test_a_failure_that_is_tried_again_leaves_the_segment_open() -> None:
    play = Play(trials=1)
    play.decide()
    play.search.apply(failed(0, final=False))
    play.search.apply(scheduled(0, attempt=2))
    assert play.search.outstanding == 1
    play.search.apply(completed(0))
    assert play.search.outstanding == 0


@pytest.mark.parametrize("kind", ["submitted", "started", "suspended", "lost", "warning"])
def test_entries_that_decide_nothing_change_nothing(kind: str) -> None:
    play = Play()
    play.results(0.1, 0.2)
    play.decide()
    before = play.search.snapshot()
    play.search.apply({"type": kind, "trial": 2, "rung": 0})
    assert play.search.snapshot() == before


@pytest.mark.parametrize("kind", ["finished", "cancelled"])
def test_after_its_end_an_experiment_decides_nothing(kind: str) -> None:
    play = Play(eta=2)
    play.results(0.1, 0.2)
    play.search.apply({"type": kind})
    assert play.search.decide(5) == []
    assert play.search.finished


def test_a_paused_search_takes_results_decides_nothing_and_is_never_finished() -> None:
    play = Play(eta=2, max_t=2, trials=2)
    play.results(0.1, 0.2)
    play.decide()
    play.search.apply({"type": "paused"})
    play.search.apply({"type": "paused"})
    play.search.apply(completed(0, 1, value=0.1))
    assert play.search.outstanding == 0
    assert play.search.decide(5) == []
    assert not play.search.finished
    play.search.apply({"type": "resumed"})
    assert play.search.finished


def test_a_segment_that_is_lost_while_paused_is_scheduled_again() -> None:
    play = Play(eta=2)
    play.decide()
    play.search.apply({"type": "paused"})
    play.search.apply({"type": "lost", "trial": 0, "rung": 0})
    play.search.apply(scheduled(0, attempt=2))
    assert play.search.outstanding == 1


def test_a_cancelled_search_has_nothing_outstanding() -> None:
    play = Play()
    play.decide()
    play.search.apply({"type": "cancelled"})
    assert play.search.outstanding == 0
    with pytest.raises(JournalError, match="no open segment"):
        play.search.apply(completed(0))


def test_extending_a_finished_search_promotes_the_best_of_the_old_top() -> None:
    play = Play(eta=2, max_t=2, trials=8)
    play.with_one_worker(lambda trial: trial / 10, segments=100)
    assert play.search.finished
    play.search.apply({"type": "finished"})
    play.search.apply(extended(max_t=8))
    assert not play.search.finished
    # Four trials of the old top have a result: the best half goes on to twice the old top.
    assert play.search.decide(5) == [Decision(0, 0, 2, 4), Decision(1, 0, 2, 4)]
    for entry in (scheduled(0, 2, 4), completed(0, 2), scheduled(1, 2, 4), completed(1, 2)):
        play.search.apply(entry)
    assert play.search.decide(5) == [Decision(0, 0, 3, 8)]
    play.search.apply(scheduled(0, 3, 8))
    play.search.apply(completed(0, 3))
    assert play.search.finished


def test_more_samples_are_so_many_for_each_point_of_the_grid() -> None:
    search = Asha(Plan(Ladder(1, 1, 2), Goal("loss", "min"), num_trials=2, grid_size=2))
    for entry in (scheduled(0), completed(0), scheduled(1), completed(1), {"type": "finished"}):
        search.apply(entry)
    search.apply(extended(num_samples=2))
    assert [decision.trial for decision in search.decide(5)] == [2, 3]
    search.apply(extended(num_samples=2))
    assert len(search.decide(5)) == 2


def test_a_retried_failure_no_longer_counts_and_earlier_promotions_stay() -> None:
    play = Play(eta=2, max_t=2, trials=4)
    for trial in range(4):
        play.search.apply(scheduled(trial))
    for entry in (completed(0, value=0.1), completed(1, value=0.2), failed(2), failed(3)):
        play.search.apply(entry)
    assert play.promotions() == [0, 1]
    play.search.apply(scheduled(1, 1, 2))
    play.search.apply(retried(2))
    play.search.apply(scheduled(2, attempt=2))
    # Three results are left: the one candidate is trial 0, and trial 1 was promoted already.
    assert play.promotions() == [0]
    assert play.search.explain(1, 0).promoted
    assert (play.search.explain(1, 0).n, play.search.explain(1, 0).cut) == (3, 1)
    play.search.apply(completed(2, value=0.0))
    assert play.promotions() == [2, 0]


def test_a_retry_opens_a_finished_search_again() -> None:
    play = Play(eta=2, max_t=1, trials=1)
    play.decide()
    play.search.apply(failed(0))
    assert play.search.finished
    play.search.apply({"type": "finished"})
    play.search.apply(retried(0))
    assert not play.search.finished
    play.search.apply(scheduled(0, attempt=2))
    play.search.apply(failed(0))
    assert play.search.finished


ILLEGAL: dict[str, tuple[Entry, str]] = {
    "a second result of one segment": (completed(0, 0, 0.3), "no open segment of rung 0"),
    "a result in a rung not scheduled": (completed(4, 1), "no open segment of rung 1"),
    "a result of an unknown trial": (completed(77), "trial 77 has no open segment"),
    "a final failure of an unknown trial": (failed(77), "trial 77 has no open segment"),
    "a promotion twice": (scheduled(1, 1, 3), "promoted before"),
    "a promotion of a trial in training": (scheduled(0, 1, 3), "has an open segment"),
    "a promotion of an unknown trial": (scheduled(77, 1, 3), "no result in this rung"),
    "a promotion of one that is not good enough": (scheduled(3, 1, 3), "not among the best 2 of 6"),
    "a promotion over a rung": (scheduled(2, 2, 9), "no result in this rung"),
    "a trial number that is not the next": (scheduled(9), "trial 9 is started as number 7"),
    "a trial that was started before": (scheduled(2), "trial 2 is started as number 7"),
    "a target that the ladder does not have": (scheduled(7, 0, 2), "rung 0 of bracket 0 ends at 1"),
    "a bracket that is not there": (scheduled(7, bracket=1), "in bracket 1, which does not exist"),
    "a rung above the top": (scheduled(1, 3, 27), "rung 3, which does not exist"),
    "a negative rung": (scheduled(1, -1), "rung -1, which does not exist"),
    "another attempt of a closed segment": (scheduled(2, attempt=2), "no open segment of rung 0"),
    "a retry of a trial that has not failed": (retried(2), "trial 2 is retried, but has not"),
    "a retry in another rung": (retried(5, 1), "trial 5 is retried, but has not failed in rung 1"),
    "fewer trials": (extended(num_samples=99), "100 trials cannot shrink to 99"),
    "a lower top": (extended(num_samples=200, max_t=8), "max_t=8: must be at least 9"),
    "what cannot be extended": (extended(eta=4), "it extends eta"),
    "a resumption of what is not paused": ({"type": "resumed"}, "is not paused"),
    "an extension without values": ({"type": "extended"}, "malformed entry"),
    "a type of a later version": ({"type": "forked"}, "its type is 'forked'"),
    "an entry without its fields": ({"type": "completed", "trial": 6}, "malformed entry"),
    "metrics that are no dict": ({**completed(6), "metrics": 3}, "malformed entry"),
}


@pytest.mark.parametrize(("entry", "reason"), ILLEGAL.values(), ids=ILLEGAL.keys())
def test_an_illegal_entry_is_refused_and_changes_nothing(entry: Entry, reason: str) -> None:
    play = Play(eta=3, max_t=9)
    play.results(0.1, 0.2, 0.3, 0.4, 0.5)
    play.search.apply(scheduled(5))
    play.search.apply(failed(5))
    play.search.apply(scheduled(0, 1, 3))
    play.search.apply(scheduled(1, 1, 3))
    play.search.apply(completed(1, 1, value=0.2))
    play.search.apply(scheduled(6))
    before = json.dumps(play.search.snapshot()), play.search.decide(10)
    with pytest.raises((JournalError, NewerFormat), match=reason):
        play.search.apply({"id": "5-1", **entry})
    assert (json.dumps(play.search.snapshot()), play.search.decide(10)) == before


def test_nothing_is_scheduled_or_ended_after_the_end() -> None:
    play = Play()
    play.search.apply({"type": "cancelled"})
    with pytest.raises(JournalError, match="after the end"):
        play.search.apply(scheduled(0))
    with pytest.raises(JournalError, match="ended before"):
        play.search.apply({"type": "finished"})
    with pytest.raises(JournalError, match="paused after its end"):
        play.search.apply({"type": "paused"})
    for entry in (extended(num_samples=200), retried(0)):
        with pytest.raises(JournalError, match="it was cancelled"):
            play.search.apply(entry)


def test_nothing_new_is_scheduled_or_finished_while_paused() -> None:
    play = Play()
    play.search.apply({"type": "paused"})
    with pytest.raises(JournalError, match="while the experiment is paused"):
        play.search.apply(scheduled(0))
    with pytest.raises(JournalError, match="finished while it is paused"):
        play.search.apply({"type": "finished"})


def test_more_trials_than_the_experiment_has_are_refused() -> None:
    play = Play(trials=1)
    play.results(0.1)
    with pytest.raises(JournalError, match="number 1 of 1"):
        play.search.apply(scheduled(1))


def test_an_error_names_the_entry() -> None:
    with pytest.raises(JournalError, match="^entry 17-0: trial 3"):
        Play().search.apply({"id": "17-0", **completed(3)})
