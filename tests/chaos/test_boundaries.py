"""A process killed at each boundary of the protocol, or back from the dead: nothing is lost, and
nothing happens twice."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from asha_queue.checkpoints import Checkpoints
from asha_queue.settings import LEASE
from tests.chaos.cluster import HOOKS
from tests.chaos.hooks.sitecustomize import FOLDER
from tests.chaos.ledger_program import replayed
from tests.conftest import wait_until
from tests.processes.lab import Lab

PROGRAM = Path(__file__).with_name("ledger_program.py").read_text()
#: Boundaries that a worker's processes come to with one segment; those of `release` are the
#: keeper's, and come when the training process was killed.
WORKERS: list[Any] = [
    f"{step}:{side}"
    for step in ("claim", "start", "save", "checkpoint", "complete", "renew")
    for side in ("before", "after")
]
WORKERS += [
    "release:after",
    # both are dead and neither could tell: this one waits for the lease to run out
    pytest.param("release:before", marks=pytest.mark.slow),
]


class HookedLab(Lab):
    """A lab whose processes die at the boundaries that are armed."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            "PYTHONPATH": str(HOOKS),
            FOLDER: str(self.folder / "hooks"),
            "LEDGER": str(self.ledger),
        }

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    def arm(self, boundary: str) -> None:
        (self.folder / "hooks" / "armed" / boundary).touch()

    def fired(self, boundary: str) -> bool:
        return any((self.folder / "hooks" / "fired").glob(f"{boundary}.*"))

    def training(self) -> psutil.Process:
        """The training process of the only worker."""
        [found] = [
            child
            for process in self.processes()
            for child in process.children()
            if os.getpgid(child.pid) == child.pid and child not in self.keepers()
        ]
        return found

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


@pytest.fixture
def lab(broker: str, tmp_path: Path) -> Iterator[HookedLab]:
    for name in ("armed", "fired"):
        (tmp_path / "hooks" / name).mkdir(parents=True)
    with HookedLab(broker, tmp_path) as lab:
        yield lab


def submit(lab: HookedLab, seconds: float = 0.02, target: int = 3) -> str:
    return lab.submit(PROGRAM, [{"x": 0.5, "seconds": seconds, "every": 2}], target=target)


@pytest.mark.parametrize("boundary", WORKERS)
def test_a_worker_killed_at_a_boundary_costs_no_result(lab: HookedLab, boundary: str) -> None:
    lab.arm(boundary)
    if boundary.startswith("start"):  # what has no checkpoint yet is started by its claim
        lab.arm("checkpoint:after")
    lab.worker()
    # a lease is renewed after 2 s: that segment must last
    slow = boundary.startswith(("renew", "release"))
    uid = submit(lab, seconds=1.0 if slow else 0.02)
    if boundary.startswith("release"):
        wait_until(lambda: lab.entries(uid, "started"), "it is trained")
        lab.training().send_signal(signal.SIGKILL)

    def dead_at_last() -> bool:
        lab.publish(uid)
        return lab.fired(boundary)

    wait_until(dead_at_last, f"a process dies at {boundary}")

    def completed_at_last() -> bool:
        lab.store.reap(uid)  # as a coordinator does
        lab.publish(uid)
        return bool(lab.entries(uid, "completed"))

    wait_until(completed_at_last, f"it is completed; {lab.log} says why not", LEASE + 10)
    [completed] = lab.entries(uid, "completed")
    assert completed["metrics"]["number"] == replayed(3, 0.5)
    assert lab.entries(uid, "failed") == []
    path = Checkpoints(lab.storage, f"test-{uid}", uid).verify(completed["checkpoint"])
    assert json.loads((path / "saved.json").read_text())["step"] == 3


def test_killed_between_the_last_save_and_the_end_no_step_is_trained_again(lab: HookedLab) -> None:
    lab.arm("complete:before")
    lab.worker()
    uid = submit(lab)
    [completed] = lab.wait_for(uid, "completed")
    assert lab.fired("complete:before")
    assert [line["step"] for line in lab.lines()] == [1, 2, 3]
    assert (completed["seconds"], completed["reached"]) == (0, 3)
    assert completed["metrics"] == completed["checkpoint"]["metrics"]


def test_what_a_process_writes_that_was_frozen_past_its_lease_is_refused_and_counted(
    lab: HookedLab,
) -> None:
    worker = lab.worker()
    uid = submit(lab, seconds=0.5)
    wait_until(lambda: lab.ledger.exists(), "a step is trained")
    frozen = [lab.training(), *lab.keepers(), psutil.Process(worker.pid)]
    for process in frozen:
        process.suspend()
    [running] = lab.store.running(uid)
    # a test need not wait until the lease has run out
    assert lab.store.release(uid, 0, running.token, "its lease ran out", counts=False) == "ok"
    lab.worker("other@lab")
    [completed] = lab.wait_for(uid, "completed")
    assert lab.store.describe(uid).stale == 0
    frozen[0].resume()  # before its keeper, which would end it
    wait_until(lambda: lab.lines()[-1]["what"] == "refused", "its checkpoint is refused")
    assert lab.store.describe(uid).stale == 1
    for process in frozen:
        process.resume()
    assert lab.entries(uid, "completed") == [completed]
    assert completed["worker"] == "other@lab"


def test_a_message_that_is_delivered_five_times_is_trained_once(lab: HookedLab) -> None:
    for name in ("one@lab", "two@lab"):
        lab.worker(name)
    configs = [{"x": number / 10, "seconds": 0.02, "every": 2} for number in range(6)]
    uid = lab.submit(PROGRAM, configs, copies=5)
    lab.wait_for(uid, "completed", len(configs))
    wait_until(lambda: lab.log.read_text().count("succeeded in") == 5 * len(configs), "all ran")
    steps = [(line["trial"], line["step"]) for line in lab.lines()]
    assert sorted(steps) == [(trial, step) for trial in range(6) for step in (1, 2, 3)]
    assert len(lab.entries(uid, "started")) == len(configs)
