import copy
from collections.abc import Callable
from typing import Any

import pytest

from asha_queue.search.rules import check
from asha_queue.search.space import uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.pure.entries import extended, failed, retried, scheduled

Journal = list[dict[str, Any]]

EXPERIMENT = Specification(
    name="sim",
    train="sim.py:train",
    space={"x": uniform(0, 1)},
    metric="loss",
    mode="min",
    max_t=9,
    reduction_factor=3,
    num_samples=12,
    seed=0,
    sampler="random",
)
CORRECT = simulate(
    EXPERIMENT,
    lambda config, t: {"loss": config["x"]},
    lambda config, start, target: target - start + config["x"],
    workers=3,
    drop=0.05,
).journal


def index(journal: Journal, kind: str, **fields: Any) -> int:
    """Where the first entry of that type with these fields is."""
    return next(
        i
        for i, entry in enumerate(journal)
        if entry["type"] == kind and all(entry.get(k) == v for k, v in fields.items())
    )


def of(journal: Journal, kind: str, **fields: Any) -> dict[str, Any]:
    return journal[index(journal, kind, **fields)]


def test_a_correct_journal_has_no_violations() -> None:
    assert any(entry["type"] == "lost" for entry in CORRECT)
    assert check(CORRECT) == []


def test_each_prefix_of_a_correct_journal_is_correct() -> None:
    for length in range(1, len(CORRECT)):
        assert check(CORRECT[:length]) == []


def test_an_empty_journal_or_one_without_its_beginning_is_refused() -> None:
    assert check([]) == check(CORRECT[1:])
    assert "does not begin with `submitted`" in check([])[0]


def promote_too_early(journal: Journal) -> str:
    place = index(journal, "scheduled", rung=1, attempt=1)
    entry = journal.pop(place)
    after = index(journal, "completed", trial=entry["trial"], rung=0) + 1
    # Before its own rung had three results: move all other results behind the promotion.
    others = [
        e for e in journal[:after] if e["type"] == "completed" and e is not journal[after - 1]
    ]
    journal[:] = (
        [e for e in journal[:after] if e not in others] + [entry] + others + journal[after:]
    )
    return f"trial {entry['trial']}, rung 1: promoted out of rung 0 with rank 1 of 1, when only"


def promote_the_worst(journal: Journal) -> str:
    entry = of(journal, "scheduled", rung=1, attempt=1)
    of(journal, "completed", trial=entry["trial"], rung=0)["metrics"]["loss"] = 99.0
    return f"trial {entry['trial']}, rung 1: promoted out of rung 0 with rank"


def promote_the_diverged(journal: Journal) -> str:
    entry = of(journal, "scheduled", rung=1, attempt=1)
    of(journal, "completed", trial=entry["trial"], rung=0)["metrics"]["loss"] = "NaN"
    return f"trial {entry['trial']}, rung 1: promoted out of rung 0, where it diverged or failed"


def promote_twice(journal: Journal) -> str:
    entry = of(journal, "scheduled", rung=1, attempt=1)
    done = index(journal, "completed", trial=entry["trial"], rung=1)
    journal.insert(done + 1, {**entry, "id": "1-1"})
    return f"entry 1-1: trial {entry['trial']}, rung 1: promoted twice out of rung 0"


def promote_without_result(journal: Journal) -> str:
    entry = of(journal, "scheduled", rung=1, attempt=1)
    del journal[index(journal, "completed", trial=entry["trial"], rung=0)]
    return f"trial {entry['trial']}, rung 1: promoted out of rung 0, which it has not completed"


def promote_in_training(journal: Journal) -> str:
    entry = of(journal, "scheduled", rung=1, attempt=1)
    journal.remove(entry)
    journal.insert(index(journal, "completed", trial=entry["trial"], rung=0), entry)
    return f"trial {entry['trial']}, rung 1: promoted while its segment is open"


def promote_the_unknown(journal: Journal) -> str:
    journal.insert(1, of(journal, "scheduled", rung=1, attempt=1))
    return "promoted, but it was never started"


def complete_twice(journal: Journal) -> str:
    place = index(journal, "completed", trial=4)
    journal.insert(place + 1, {**journal[place], "id": "1-1"})
    return "entry 1-1: trial 4, rung 0: completed twice"


def complete_unscheduled(journal: Journal) -> str:
    of(journal, "completed", trial=4)["attempt"] += 1
    return "trial 4, rung 0: completed, but attempt 2 of it is not open"


def complete_with_another_token(journal: Journal) -> str:
    of(journal, "completed", trial=4)["token"] = 77_777
    return "trial 4, rung 0: completed with token 77777, started with"


def complete_without_start(journal: Journal) -> str:
    del journal[index(journal, "started", trial=4, rung=0)]
    return "trial 4, rung 0: completed with token"


def let_a_token_shrink(journal: Journal) -> str:
    lost = of(journal, "lost")
    started = of(journal, "started", trial=lost["trial"], attempt=2)
    completed = of(journal, "completed", trial=lost["trial"], rung=lost["rung"])
    started["token"] = completed["token"] = 0
    return f"trial {lost['trial']}, rung {lost['rung']}: its token 0 is not greater than"


def start_at_the_target(journal: Journal) -> str:
    of(journal, "started", rung=1)["start"] = 3
    return "rung 1: starts at 3, not below its target 3"


def start_above_the_level_below(journal: Journal) -> str:
    of(journal, "started", rung=1)["start"] = 2
    return "rung 1: starts at 2, above the level 1 that it had reached"


def start_twice(journal: Journal) -> str:
    place = index(journal, "started", trial=4)
    journal.insert(place, {**journal[place], "token": 0})
    return "trial 4, rung 0: attempt 1 is started twice"


def skip_a_number(journal: Journal) -> str:
    del journal[index(journal, "scheduled", trial=4)]
    return "trial 5, rung 0: started as number 4 of 12"


def start_too_many(journal: Journal) -> str:
    journal.insert(-1, {**of(journal, "scheduled", trial=0), "trial": 12})
    return "trial 12, rung 0: started as number 12 of 12"


def miss_the_ladder(journal: Journal) -> str:
    of(journal, "scheduled", trial=4)["target"] = 2
    return "trial 4, rung 0: its target is 2 instead of 1"


def leave_the_ladder(journal: Journal) -> str:
    of(journal, "scheduled", trial=4)["rung"] = 3
    return "trial 4, rung 3: scheduled, but the ladder has 3 rungs"


def schedule_an_attempt_of_an_open_segment(journal: Journal) -> str:
    place = index(journal, "started", trial=4)
    journal.insert(place, {**of(journal, "scheduled", trial=4), "attempt": 2})
    return "trial 4, rung 0: attempt 2 does not follow the end of the one before"


def suspend_without_start(journal: Journal) -> str:
    place = index(journal, "started", trial=4)
    journal[place] = {**journal[place], "type": "suspended"}
    return "trial 4, rung 0: suspended, but it was not started"


def finish_early(journal: Journal) -> str:
    trial = of(journal, "scheduled", rung=2)["trial"]
    journal[:] = [e for e in journal if (e.get("trial"), e.get("rung")) != (trial, 2)]
    return f"finished while trial {trial} is promotable, rung 1"


def finish_with_open_segments(journal: Journal) -> str:
    last = max(i for i, e in enumerate(journal) if e["type"] == "completed")
    entry = journal.pop(last)
    return f"finished while trial {entry['trial']}, rung {entry['rung']}, is open"


def finish_before_all_trials_were_started(journal: Journal) -> str:
    journal.insert(1, journal[-1])
    return "finished with 0 of 12 trials"


def go_on_after_the_end(journal: Journal) -> str:
    journal.insert(1, {"type": "cancelled", "id": "1-1"})
    return "trial 0, rung 0: scheduled after the experiment was cancelled"


def end_twice(journal: Journal) -> str:
    journal.append({**journal[-1], "type": "cancelled"})
    return "cancelled, but it was finished before"


def submit_twice(journal: Journal) -> str:
    journal.insert(3, journal[0])
    return "the experiment is submitted a second time"


def forget_a_field(journal: Journal) -> str:
    del of(journal, "completed", trial=4)["metrics"]
    return "is malformed: KeyError('metrics')"


def schedule_while_paused(journal: Journal) -> str:
    journal.insert(1, {"type": "paused", "id": "1-1"})
    return "trial 0, rung 0: scheduled while the experiment is paused"


def finish_while_paused(journal: Journal) -> str:
    journal.insert(-1, {"type": "paused", "id": "1-1"})
    return "finished while it was paused"


def pause_after_the_end(journal: Journal) -> str:
    journal.append({"type": "paused", "id": "1-1"})
    return "entry 1-1: paused, but it was finished before"


def resume_unpaused(journal: Journal) -> str:
    journal.insert(1, {"type": "resumed", "id": "1-1"})
    return "entry 1-1: resumed, but it was not paused"


def shrink_the_trials(journal: Journal) -> str:
    journal.insert(1, {"id": "1-1", **extended(num_samples=11)})
    return "entry 1-1: extended from 12 to 11 trials"


def shrink_the_ladder(journal: Journal) -> str:
    journal.insert(1, {"id": "1-1", **extended(max_t=3)})
    return "entry 1-1: extended: max_t=3: must be at least 9"


def extend_the_cancelled(journal: Journal) -> str:
    journal[-1]["type"] = "cancelled"
    journal.append({"id": "1-1", **extended(num_samples=13)})
    return "entry 1-1: extended, but it was cancelled before"


def finish_without_the_trials_that_were_added(journal: Journal) -> str:
    journal.insert(1, {"id": "1-1", **extended(num_samples=13)})
    return "finished with 12 of 13 trials"


def finish_without_the_promotions_to_the_new_top(journal: Journal) -> str:
    fourth = [e for e in journal if e["type"] == "completed" and e["rung"] == 1][:3]
    assert len(fourth) == 3
    journal.insert(1, {"id": "1-1", **extended(max_t=10, num_samples=12)})
    for entry in fourth:
        journal[-1:-1] = [
            {**e, "rung": 2, "target": 9} if e["type"] == "scheduled" else {**e, "rung": 2}
            for e in journal
            if (e.get("trial"), e.get("rung")) == (entry["trial"], 1)
        ]
    return "promotable, rung 2"


def retry_what_has_not_failed(journal: Journal) -> str:
    journal.insert(-1, {"id": "1-1", **retried(4)})
    return "entry 1-1: trial 4, rung 0: retried, but it has not failed for good"


def work_after_the_cancellation(journal: Journal) -> str:
    place = index(journal, "completed", trial=4)
    journal.insert(place, {"type": "cancelled", "id": "1-1"})
    return "trial 4, rung 0: completed, but attempt 1 of it is not open"


def write_an_unknown_type(journal: Journal) -> str:
    journal.insert(5, {"type": "forked", "id": "1-1"})
    return "the search refuses the journal: journal entry 1-1 was written by a newer version"


@pytest.mark.parametrize(
    "spoil",
    [
        promote_too_early,
        promote_the_worst,
        promote_the_diverged,
        promote_twice,
        promote_without_result,
        promote_in_training,
        promote_the_unknown,
        complete_twice,
        complete_unscheduled,
        complete_with_another_token,
        complete_without_start,
        let_a_token_shrink,
        start_at_the_target,
        start_above_the_level_below,
        start_twice,
        skip_a_number,
        start_too_many,
        miss_the_ladder,
        leave_the_ladder,
        schedule_an_attempt_of_an_open_segment,
        suspend_without_start,
        finish_early,
        finish_with_open_segments,
        finish_before_all_trials_were_started,
        go_on_after_the_end,
        end_twice,
        submit_twice,
        forget_a_field,
        schedule_while_paused,
        finish_while_paused,
        pause_after_the_end,
        resume_unpaused,
        shrink_the_trials,
        shrink_the_ladder,
        extend_the_cancelled,
        finish_without_the_trials_that_were_added,
        finish_without_the_promotions_to_the_new_top,
        retry_what_has_not_failed,
        work_after_the_cancellation,
        write_an_unknown_type,
    ],
)
def test_a_violation_is_said_in_a_sentence_that_names_where(
    spoil: Callable[[Journal], str],
) -> None:
    journal = copy.deepcopy(CORRECT)
    sentence = spoil(journal)
    assert any(sentence in violation for violation in check(journal)), check(journal)


def test_a_segment_found_complete_when_claimed_bears_the_token_that_wrote_its_checkpoint() -> None:
    journal = copy.deepcopy(CORRECT)
    started = of(journal, "started", trial=4)
    done = index(journal, "completed", trial=4)
    lost = {**started, "type": "lost", "reason": "died", "reached": 1, "checkpoint": None}
    again = {**of(journal, "scheduled", trial=4), "attempt": 2}
    journal[done]["attempt"] = 2
    journal[done:done] = [lost, again]
    assert check(journal) == []
    journal[done + 2]["token"] = 77_777
    assert any("never started with it" in violation for violation in check(journal))


def test_a_trial_that_died_too_often_fails_without_a_start() -> None:
    journal = copy.deepcopy(CORRECT[: index(CORRECT, "started", trial=4)])
    journal.append(
        {"type": "failed", "id": "9-9", "trial": 4, "rung": 0, "attempt": 1, "token": 5}
        | {"worker": "cpu0@host", "error": "died 3 times", "final": True}
    )
    assert check(journal) == []


def test_a_cancelled_experiment_may_end_with_open_segments() -> None:
    journal = CORRECT[: index(CORRECT, "started", trial=4)]
    assert check([*journal, {"type": "cancelled", "id": "9-9", "by": "x", "reason": "y"}]) == []


def attempt(trial: int, rung: int, number: int, target: int, **end: Any) -> Journal:
    """An attempt from `scheduled` to its end, which is "completed" unless `end` says otherwise."""
    token = 10**9 + 100 * rung + number
    common = {"trial": trial, "rung": rung, "attempt": number, "token": token, "worker": "w"}
    return [
        scheduled(trial, rung, target, attempt=number),
        {"type": "started", **common, "start": 0},
        {"type": "completed", "metrics": {"loss": trial}, **end, **common},
    ]


def test_a_finished_experiment_may_be_extended_and_its_old_top_is_promoted_from() -> None:
    top = [e["trial"] for e in CORRECT if e["type"] == "completed" and e["rung"] == 2]
    assert len(top) < 3
    journal = [*CORRECT, {"id": "1-1", **extended(max_t=30)}]
    assert check(journal) == []
    end = {"type": "finished", "id": "1-9", "by": "me", "reason": ""}
    assert check([*journal, end]) == []  # fewer than three results: nothing is promotable
    assert check([*journal, *attempt(top[0], 3, 1, 27), end]) != []


def test_a_pause_is_no_violation_and_what_runs_ends_within_it() -> None:
    journal = copy.deepcopy(CORRECT)
    place = index(journal, "completed", trial=4)
    following = next(i for i in range(place, len(journal)) if journal[i]["type"] == "scheduled")
    pause = {"type": "paused", "id": "1-1", "now": True}
    journal[following:following] = [{"type": "resumed", "id": "1-3"}]
    journal[place:place] = [pause, {**pause, "id": "1-2"}]
    assert check(journal) == []


def test_a_failure_that_was_retried_is_no_result_and_its_trial_may_complete() -> None:
    journal = copy.deepcopy(CORRECT[:1])
    end = {"type": "finished", "id": "1-9", "by": "me", "reason": ""}
    bad = {key: value for key, value in failed(0).items() if key not in ("trial", "rung")}
    journal[0]["experiment"] |= {"num_samples": 1}
    journal += [*attempt(0, 0, 1, 1, **bad), end, retried(0), *attempt(0, 0, 2, 1), end]
    assert check(journal) == []
    del journal[5]
    assert check(journal) != []
