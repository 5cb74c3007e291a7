"""When a launcher stops starting a worker: it was drained, or cannot start at all."""

import time

from tests.conftest import wait_until
from tests.processes.lab import Lab
from tests.processes.test_deaths import SOON, WAITING
from tests.processes.test_launcher import HOST, mains, start

NOT_DRAINING = WAITING.replace("and not trial.draining", "")


def test_a_drained_worker_hands_back_its_segment_and_stays_away(lab: Lab) -> None:
    launcher = start(lab, 2)
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    [segment] = lab.store.running(uid)
    begun = time.monotonic()
    lab.store.drain([segment.worker], "me@here")
    [suspended] = lab.wait_for(uid, "suspended", seconds=SOON)
    print(f"\nsuspended {time.monotonic() - begun:.1f} s after the drain")
    assert suspended["reached"] == 1
    [completed] = lab.wait_for(uid, "completed")
    assert completed["worker"] != segment.worker
    wait_until(lambda: f"{segment.worker} was drained" in lab.log.read_text(), "it stays away")
    assert len(mains(lab, launcher)) == 1
    assert launcher.poll() is None


def test_a_launcher_whose_workers_are_all_drained_ends_and_a_new_one_starts_them(lab: Lab) -> None:
    launcher = start(lab, 1)
    lab.store.drain([f"cpu0@{HOST}"], "me@here")
    assert launcher.wait(timeout=30) == 0
    assert lab.processes() == []
    start(lab, 1)
    assert lab.store.drained() == {}


def test_a_drained_worker_that_does_not_save_in_time_is_killed(lab: Lab) -> None:
    launcher = start(lab, 1, "--drain-timeout", "1")
    uid = lab.submit(NOT_DRAINING)
    lab.pid("pid1")
    lab.store.drain([f"cpu0@{HOST}"], "me@here")
    assert launcher.wait(timeout=30) == 0
    [lost] = lab.entries(uid, "lost")
    assert lost["reason"] == f"the worker was ended on cpu0@{HOST}"
    assert lab.processes() == []


def test_workers_that_cannot_start_at_all_end_their_launcher(lab: Lab) -> None:
    broken = "import sys\nif 'celery' in sys.orig_argv: sys.exit('a broken installation')\n"
    (lab.folder / "sitecustomize.py").write_text(broken)
    options = ["--workers", "2", "--log", str(lab.log)]
    launcher = lab.start("asha_queue.node.launcher", *options, PYTHONPATH=str(lab.folder))
    assert launcher.wait(timeout=60) == 3
    said = lab.log.read_text()
    assert "a broken installation" in said
    last = said.splitlines()[-1]
    assert f"cpu0@{HOST} does not start: exit code 1, 3 times in a row" in last
    assert last.endswith(f"what it said is in {lab.log}")


def test_workers_that_die_before_they_are_ready_are_started_again_and_again(lab: Lab) -> None:
    launcher = lab.start("asha_queue.node.launcher", "--workers", "1", "--log", str(lab.log))
    killed: set[int] = set()

    def kill_one() -> bool:
        for main in mains(lab, launcher):
            if main.pid not in killed:
                main.kill()
                killed.add(main.pid)
        return len(killed) > 3

    wait_until(kill_one, "it is started once more", 60.0)
    wait_until(lambda: lab.workers() == [f"cpu0@{HOST}"], "the worker beats")
    assert launcher.poll() is None
