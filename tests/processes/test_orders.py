"""What a running segment is told from outside: cancelled, wanted back, its worker to end."""

import secrets
import time

from asha_queue.store.contract import Changed
from tests.conftest import wait_until
from tests.processes.lab import Lab, alive, kill
from tests.processes.test_deaths import SOON, WAITING

#: Seconds within which a cancelled segment has left its worker, whatever its program does.
FREE = 10.0

TRAINING = """
    import os, pathlib, time

    def train(trial):
        folder = pathlib.Path(trial.config["folder"])
        (folder / "pid1").write_text(str(os.getpid()))
        try:
            while True:
                trial.report(1, score=1.0)
                time.sleep(0.05)
        finally:
            (folder / "tidied").write_text("up")
"""

DEAF = """
    import os, pathlib, signal, time

    def train(trial):
        pathlib.Path(trial.config["folder"], "pid1").write_text(str(os.getpid()))
        while True:
            try:
                trial.report(1, score=1.0)
            except BaseException:
                pass
            time.sleep(0.05)
"""


def cancel(lab: Lab, uid: str) -> Changed:
    return lab.store.cancel(uid, secrets.token_hex(8), "me@here", "")


def trains_another(lab: Lab) -> None:
    """The worker is free: it takes what comes next."""
    other = lab.submit("def train(trial): return 1.0")
    lab.wait_for(other, "completed", seconds=FREE)


def test_a_cancelled_program_is_stopped_at_its_next_report(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(TRAINING)
    training = lab.pid("pid1")
    begun = time.monotonic()
    assert cancel(lab, uid) == "ok"
    assert lab.read("tidied") == "up"
    trains_another(lab)
    print(f"\nfree {time.monotonic() - begun:.1f} s after the cancel, by TrialStopped")
    assert alive(training), "it ended by itself, so its process goes on with others"
    assert "trial 0 cancelled" in lab.log.read_text()
    assert lab.entries(uid, "lost") == lab.entries(uid, "failed") == []
    assert lab.store.describe(uid).stale == 0


def test_a_program_that_ignores_the_cancel_is_killed_and_the_worker_goes_on(lab: Lab) -> None:
    worker = lab.worker()
    uid = lab.submit(DEAF)
    training = lab.pid("pid1")
    begun = time.monotonic()
    assert cancel(lab, uid) == "ok"
    wait_until(lambda: not alive(training), "the program is killed", FREE)
    trains_another(lab)
    print(f"\nfree {time.monotonic() - begun:.1f} s after the cancel, by force")
    assert worker.poll() is None
    assert lab.entries(uid, "lost") == []


def test_a_segment_wanted_back_is_suspended_and_its_worker_goes_on(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    begun = time.monotonic()
    assert lab.store.pause(uid, secrets.token_hex(8), "me@here", "", True) == "ok"
    wait_until(lambda: lab.entries(uid, "suspended"), "it is suspended", SOON)
    print(f"\nsuspended {time.monotonic() - begun:.1f} s after the pause")
    trains_another(lab)
    assert lab.entries(uid, "suspended")[0]["reached"] == 1
    assert lab.store.resume(uid, secrets.token_hex(8), "me@here", "") == "ok"
    lab.wait_for(uid, "completed")
    assert [entry["start"] for entry in lab.entries(uid, "started")] == [0, 1]


def test_an_order_outlives_the_keeper_that_brought_it(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(DEAF)
    training = lab.pid("pid1")
    cancel(lab, uid)
    kill(lab.keepers()[0].pid)
    wait_until(lambda: not alive(training), "the next keeper has it killed", FREE + 5.0)


def test_a_drained_worker_ends_and_comes_back_when_it_is_started_again(lab: Lab) -> None:
    worker = lab.worker()
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    begun = time.monotonic()
    lab.store.drain(["w@lab"], "me@here")
    wait_until(lambda: lab.entries(uid, "suspended"), "it is suspended", SOON)
    assert worker.wait(timeout=30) == 0
    print(f"\nended {time.monotonic() - begun:.1f} s after the drain")
    assert lab.workers() == []
    lab.worker()
    lab.wait_for(uid, "completed")
    assert lab.store.drained() == {}


def test_a_program_that_saves_now_and_then_loses_one_interval_to_a_kill(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(
        """
        import os, pathlib, time

        def train(trial):
            folder = pathlib.Path(trial.config["folder"])
            for step in trial.steps():
                trial.report(score=step)
                if step % 3 == 0:
                    with trial.save():
                        pass
                if trial.attempt == 1 and step == 8:
                    (folder / "pid1").write_text(str(os.getpid()))
                    time.sleep(60)
        """,
        target=12,
    )
    kill(lab.pid("pid1"))
    lab.wait_for(uid, "completed")
    assert [entry["start"] for entry in lab.entries(uid, "started")] == [0, 6]
