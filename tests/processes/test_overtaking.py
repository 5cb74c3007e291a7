"""Promotions overtake queued new trials: with a real broker and real workers that are busy."""

import secrets
from typing import Any

import pytest

from asha_queue.store.contract import Outcome, ScheduledSegment
from tests.conftest import wait_until
from tests.processes.lab import Lab

PROMOTED = 500
NEW = 500
WORKERS = 2

PROGRAM = """
import time
from pathlib import Path

def train(trial):
    gate = Path(trial.config["folder"]) / "gate"
    while trial.number < 2 and not gate.exists():
        time.sleep(0.01)
    trial.report(step=trial.target, score=1.0)
"""


@pytest.mark.slow
def test_a_thousand_promotions_and_new_trials_start_in_the_order_of_their_rungs(lab: Lab) -> None:
    blockers: list[dict[str, Any]] = [{}] * WORKERS
    uid = lab.submit(PROGRAM, blockers, target=1, max_t=4, grace_period=1, reduction_factor=4)
    store = lab.store

    def schedule(trials: range, rung: int, target: int) -> None:
        segments = [
            ScheduledSegment(n, 0, rung, target, {"folder": str(lab.folder)}) for n in trials
        ]
        last = store.describe(uid).last
        assert store.schedule(uid, last, secrets.token_hex(8), segments) == "ok"

    first = range(WORKERS, WORKERS + PROMOTED)
    schedule(first, 0, 1)
    for trial in first:  # trained before any worker is there
        claim = store.claim(uid, trial, 0, 1, secrets.token_hex(8), "earlier@lab")
        store.start(uid, trial, claim.token, 0)
        assert (
            store.complete(uid, trial, claim.token, Outcome({"score": 1.0}, 1, None, 0, [])) == "ok"
        )

    for number in range(WORKERS):
        lab.worker(f"w{number}@lab")
    wait_until(lambda: len(store.running(uid)) == WORKERS, "every worker is busy")
    schedule(range(first.stop, first.stop + NEW), 0, 1)
    lab.publish(uid)
    schedule(first, 1, 4)
    lab.publish(uid)
    (lab.folder / "gate").touch()

    total = WORKERS + PROMOTED + PROMOTED + NEW
    wait_until(
        lambda: (
            not store.running(uid)
            and not store.due(uid)
            and len(lab.entries(uid, "completed")) == total
        ),
        "all are trained",
        120,
    )
    by_workers = [e for e in lab.entries(uid, "started") if e["worker"] != "earlier@lab"]
    rungs = [entry["rung"] for entry in by_workers[WORKERS:]]
    before = rungs.index(0)
    print(f"\n{before} of {PROMOTED} promotions started before every queued new trial")
    # one worker may have taken the last promotion, and start it after the other starts what is next
    assert before >= PROMOTED - (WORKERS - 1)
    assert rungs.count(1) == PROMOTED
