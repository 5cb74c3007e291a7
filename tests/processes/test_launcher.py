"""The launcher: one worker per device, started again when it dies, and nothing left behind."""

import os
import signal
import socket
import subprocess
import sys

import psutil

from asha_queue.node.devices import devices
from asha_queue.node.launcher import identity
from asha_queue.node.slot import Slot
from tests.conftest import wait_until
from tests.processes.lab import Lab, kill
from tests.processes.test_deaths import SOON, WAITING

HOST = socket.gethostname()


def start(lab: Lab, workers: int = 1, *options: str) -> "subprocess.Popen[bytes]":
    """Starts a launcher, and waits for its workers."""
    launcher = lab.start(
        *["asha_queue.node.launcher", "--workers", str(workers), "--programs", str(lab.folder)],
        *["--storage", str(lab.storage), "--log", str(lab.log), *options],
    )
    names = [f"cpu{number}@{HOST}" for number in range(workers)]
    wait_until(lambda: lab.workers() == names, f"{names} beat; {lab.log} says why not")
    return launcher


def mains(lab: Lab, launcher: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The main processes of the launcher's workers."""
    return [process for process in lab.processes() if process.ppid() == launcher.pid]


def test_workers_are_named_after_their_devices_and_share_the_cores(lab: Lab) -> None:
    launcher = start(lab, 2)
    for main in mains(lab, launcher):
        environment = main.environ()
        assert environment["CUDA_VISIBLE_DEVICES"] == ""
        assert environment["OMP_NUM_THREADS"] == str(max(1, (os.cpu_count() or 1) // 2))


def test_a_killed_worker_is_started_again_and_its_segment_goes_on(lab: Lab) -> None:
    launcher = start(lab)
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    [main] = mains(lab, launcher)
    kill(main.pid)
    lab.wait_for(uid, "completed")
    assert len(lab.entries(uid, "lost")) == 1
    assert "killed by SIGKILL" in lab.log.read_text()


def test_a_launcher_that_is_killed_takes_everything_with_it(lab: Lab) -> None:
    launcher = start(lab, 2)
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    kill(launcher.pid)
    wait_until(lambda: not lab.processes(), "nothing is left", SOON)
    assert lab.store.running(uid) == []


def test_what_an_earlier_launcher_left_is_ended_before_the_name_is_used_again(lab: Lab) -> None:
    first = start(lab)
    uid = lab.submit(
        """
        import os, pathlib, subprocess

        def train(trial):
            if trial.attempt > 1:
                return 1.0
            hidden = subprocess.Popen(["sleep", "60"], start_new_session=True)
            pathlib.Path(trial.config["folder"], "pid").write_text(str(hidden.pid))
            hidden.wait()
        """
    )
    hidden = lab.pid("pid")
    keeper = lab.keepers()[0].pid
    # so that nobody ends what is left: the kernel hangs up on what is stopped and left alone
    os.kill(keeper, signal.SIGSTOP)
    kill(first.pid)
    first.wait()
    wait_until(lambda: [p.pid for p in lab.processes()] == [hidden], "what hides is left alone")
    second = start(lab)
    lab.wait_for(uid, "completed")
    assert hidden not in {process.pid for process in lab.processes()}
    assert second.poll() is None


def test_a_second_launcher_for_the_same_devices_is_refused(lab: Lab) -> None:
    first = start(lab)
    second = lab.start("asha_queue.node.launcher", "--workers", "1")
    assert second.wait(timeout=60) == 1
    assert f"process {first.pid} runs cpu0@{HOST} for this broker already" in lab.log.read_text()
    assert len(mains(lab, first)) == 1


def test_told_to_end_it_lets_the_workers_save_and_suspend(lab: Lab) -> None:
    launcher = start(lab, 2)
    uid = lab.submit(WAITING)
    lab.pid("pid1")
    launcher.terminate()
    assert launcher.wait(timeout=30) == 0
    assert len(lab.entries(uid, "suspended")) == 1
    assert lab.processes() == []
    assert lab.workers() == []


def test_workers_that_do_not_save_in_time_are_killed_and_their_segments_given_back(
    lab: Lab,
) -> None:
    launcher = start(lab, 1, "--drain-timeout", "1")
    uid = lab.submit(WAITING.replace("and not trial.draining", ""))
    lab.pid("pid1")
    launcher.terminate()
    assert launcher.wait(timeout=30) == 0
    assert lab.processes() == []
    [lost] = lab.entries(uid, "lost")
    assert lost["reason"] == f"the worker was ended on cpu0@{HOST}"


def test_with_a_parent_that_dies_everything_dies_at_once(lab: Lab) -> None:
    code = (
        "import subprocess, sys; subprocess.run([sys.executable, '-m',"
        " 'asha_queue.node.launcher', '--workers', '1', '--with-parent'])"
    )
    with lab.log.open("ab") as log:
        parent = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=lab.folder,
            env=lab.environment,
            stdout=log,
            stderr=log,
        )
    wait_until(lambda: lab.workers() == [f"cpu0@{HOST}"], "the worker beats")
    parent.kill()
    parent.wait()
    wait_until(lambda: not lab.processes(), "nothing is left", SOON)


def test_a_worker_that_is_killed_again_and_again_comes_back_as_soon_each_time(lab: Lab) -> None:
    [device] = devices("none", 1)
    slot = Slot(device, lab.broker, "often", identity(), lab.environment, {})

    def started() -> bool:
        slot.tend(lab.store)
        return slot.process is not None

    for _ in range(8):
        slot.tend(lab.store)
        wait_until(started, "it is started again", SOON)
        assert slot.process
        slot.hear(slot.process.pid, False, 60.0)  # the store has heard of it
        slot.process.kill()
        slot.process.wait()
    assert slot.clear(0.0)
