"""Any process of a worker may be killed at any time: the segment goes on, and nothing is left."""

import os
import signal
from pathlib import Path

from tests.conftest import wait_until
from tests.processes.lab import Lab, alive, kill
from tests.processes.servers import Valkey

#: Seconds within which a segment whose process died is queued again.
SOON = 6.0

#: Its first attempt saves step 1 and waits for a file `go`, or to be asked to drain.
WAITING = """
    import os, pathlib, time

    def train(trial):
        folder = pathlib.Path(trial.config["folder"])
        for step in trial.steps():
            trial.report(score=step)
            with trial.save() as checkpoint:
                pass
            (folder / f"pid{trial.attempt}").write_text(str(os.getpid()))
            while trial.attempt == 1 and not (folder / "go").exists() and not trial.draining:
                time.sleep(0.01)
"""


def test_a_killed_training_process_gives_its_segment_back_and_the_next_goes_on(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(WAITING)
    kill(lab.pid("pid1"))
    wait_until(lambda: lab.entries(uid, "lost"), "the segment is given back", SOON)
    lab.wait_for(uid, "completed")
    assert [entry["start"] for entry in lab.entries(uid, "started")] == [0, 1]
    [lost] = lab.entries(uid, "lost")
    assert lost["reason"] == "the training process died on w@lab: killed by SIGKILL"
    assert lab.pid("pid2") != lab.pid("pid1")


def test_what_a_killed_training_process_has_started_is_ended_too(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(
        """
        import os, pathlib, subprocess, time

        def train(trial):
            if trial.attempt > 1:
                return 1.0
            sleepers = [subprocess.Popen(["sleep", "60"], start_new_session=own) for own in (0, 1)]
            pids = [os.getpid(), *(sleeper.pid for sleeper in sleepers)]
            pathlib.Path(trial.config["folder"], "pids").write_text(" ".join(map(str, pids)))
            time.sleep(60)
        """
    )
    pids = [int(pid) for pid in lab.read("pids").split()]
    kill(pids[0])
    lab.wait_for(uid, "completed")
    assert not any(alive(pid) for pid in pids)


def test_what_was_started_is_ended_even_when_the_keeper_is_killed_with_it(lab: Lab) -> None:
    lab.worker()
    lab.submit(
        """
        import os, pathlib, subprocess, time

        def train(trial):
            if trial.attempt > 1:
                return 1.0
            sleeper = subprocess.Popen(["sleep", "60"])
            pids = f"{os.getpid()} {sleeper.pid}"
            pathlib.Path(trial.config["folder"], "pids").write_text(pids)
            time.sleep(60)
        """
    )
    training, sleeper = (int(pid) for pid in lab.read("pids").split())
    kill(lab.keepers()[0].pid)
    kill(training)
    wait_until(lambda: not alive(sleeper), "the next keeper ends it", SOON)


def test_a_killed_worker_leaves_nothing_and_its_segment_is_given_back(lab: Lab) -> None:
    worker = lab.worker()
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    worker.kill()
    wait_until(lambda: lab.entries(uid, "lost"), "the segment is given back", SOON)
    wait_until(lambda: not lab.processes(), "nothing is left", SOON)
    assert lab.workers() == []
    lab.worker()
    lab.wait_for(uid, "completed")


def test_a_killed_keeper_is_replaced_and_the_training_goes_on(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    replace_keeper(lab)
    (lab.folder / "go").touch()
    lab.wait_for(uid, "completed")
    assert len(lab.entries(uid, "started")) == 1


def test_a_new_keeper_knows_what_the_killed_one_kept(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(WAITING)
    training = lab.pid("pid1")
    replace_keeper(lab)
    kill(training)
    wait_until(lambda: lab.entries(uid, "lost"), "the segment is given back", SOON)


def test_a_worker_that_is_told_to_end_saves_and_hands_its_segment_on(lab: Lab) -> None:
    worker = lab.worker()
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    worker.terminate()
    [suspended] = lab.wait_for(uid, "suspended", seconds=SOON)
    assert suspended["reached"] == 1
    assert worker.wait(timeout=30) == 0
    wait_until(lambda: not lab.processes(), "nothing is left", SOON)
    assert lab.workers() == []
    lab.worker("other@lab")
    [completed] = lab.wait_for(uid, "completed")
    assert completed["worker"] == "other@lab"
    assert lab.entries(uid, "started")[1]["start"] == 1


def test_a_frozen_training_process_whose_segment_was_given_to_another_is_ended(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(WAITING)
    training = lab.pid("pid1")
    os.kill(training, signal.SIGSTOP)
    [running] = lab.store.running(uid)
    assert lab.store.release(uid, 0, running.token, "its lease ran out", counts=False) == "ok"
    lab.worker("other@lab")
    lab.wait_for(uid, "completed")
    wait_until(lambda: not alive(training), "the frozen process is ended", seconds=10.0)
    assert len(lab.entries(uid, "completed")) == 1


def replace_keeper(lab: Lab) -> None:
    """Kills the keeper, and waits for the line of the training process to the next one."""
    [keeper] = lab.keepers()
    kill(keeper.pid)

    def has_line() -> bool:
        others = [other for other in lab.keepers() if other != keeper]
        # its listener, its wake-up pair, its two watched processes, and the line itself
        return any(len(other.net_connections("unix")) == 4 for other in others)

    wait_until(has_line, "the next keeper has the line of the training process")


def test_a_server_that_is_killed_and_started_again_costs_nothing(
    server: Valkey, tmp_path: Path
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    with Lab(server.url, folder) as lab:
        lab.worker()
        uid = lab.submit(WAITING)
        lab.pid("pid1")
        server.kill()
        (folder / "go").touch()
        wait_until(lambda: "broker lost" in lab.log.read_text(), "the worker has noticed")
        server.start()
        lab.wait_for(uid, "completed")
        assert len(lab.entries(uid, "started")) == 1
        other = lab.submit("def train(trial): return 1.0")
        lab.wait_for(other, "completed")
