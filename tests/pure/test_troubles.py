"""What went wrong, counted by reason, as `asha-queue status` tells it."""

import math

from asha_queue.troubles import REASONS, TRIALS, Troubles


def failed(troubles: Troubles, trial: int, error: str, worker: str = "w@a") -> None:
    troubles.failed({"trial": trial, "error": error, "worker": worker})


def test_attempts_that_ended_alike_are_one_line_with_their_trials() -> None:
    troubles = Troubles()
    for trial in (4, 9, 9, 17):
        failed(troubles, trial, f"TypeError: bad\n  in line {trial}")
    failed(troubles, 2, "ValueError: worse")
    assert [str(trouble) for trouble in troubles.all] == [
        "failed 4: TypeError: bad (trials 4, 9, 17)",
        "failed 1: ValueError: worse (trial 2)",
    ]


def test_the_worker_and_where_to_look_make_no_other_reason() -> None:
    troubles = Troubles()
    for trial, worker in ((1, "gpu0@a"), (2, "gpu1@b")):
        reason = f"the training process died on {worker}: killed by SIGSEGV"
        troubles.lost({"trial": trial, "reason": reason, "worker": worker})
        late = f"trained for longer than segment_timeout=1 s; its stack: asha-queue logs x {trial}"
        failed(troubles, trial, late, worker)
    assert [str(trouble) for trouble in troubles.all] == [
        "failed 2: trained for longer than segment_timeout=1 s (trials 1, 2)",
        "lost 2: the training process died: killed by SIGSEGV (trials 1, 2)",
    ]


def test_what_diverged_says_what_the_metric_was() -> None:
    troubles = Troubles()
    troubles.diverged(3, "loss", math.nan)
    troubles.diverged(5, "loss", None)
    assert [str(trouble) for trouble in troubles.all] == [
        "diverged 1: loss is nan (trial 3)",
        "diverged 1: loss was never reported (trial 5)",
    ]


def test_many_reasons_and_many_trials_take_no_more_room() -> None:
    troubles = Troubles()
    for trial in range(1000):
        failed(troubles, trial, f"ValueError: {trial}")
        failed(troubles, trial, "TypeError: always")
    assert len(troubles.all) == REASONS + 1
    assert sum(trouble.count for trouble in troubles.all) == 2000
    [always] = [trouble for trouble in troubles.all if trouble.reason == "TypeError: always"]
    assert (always.count, len(always.trials)) == (1000, TRIALS)
    assert str(always).endswith("19, …)")
