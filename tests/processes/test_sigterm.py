"""SIGTERM to all processes of a worker at once, as Slurm and others end what they have started."""

import os
import signal

import pytest

from asha_queue.training.scripts import COMMANDS
from tests.conftest import wait_until
from tests.processes.lab import Lab, alive
from tests.processes.test_commands import SAVING
from tests.processes.test_commands import submit as submit_command

PROGRAM = """
    import multiprocessing, os, time
    from pathlib import Path

    def train(trial):
        other = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        other.start()
        for step in trial.steps():
            time.sleep(0.1)
            trial.report(score=step)
            Path(trial.config["folder"], "pid").write_text(str(os.getpid()))
        other.terminate()
        other.join()
        with trial.save() as folder:
            (folder / "forked").write_text(str(other.exitcode))
"""


def end_all(lab: Lab) -> None:
    for process in lab.processes():
        process.send_signal(signal.SIGTERM)


def test_a_segment_is_saved_and_given_back_when_all_processes_are_told_to_end(lab: Lab) -> None:
    worker = lab.worker()
    uid = lab.submit(PROGRAM, target=10**6)
    lab.pid()
    end_all(lab)
    [suspended] = lab.wait_for(uid, "suspended")
    assert suspended["reached"] > 0
    forked = lab.storage / suspended["checkpoint"]["path"] / "forked"
    assert abs(int(forked.read_text())) == signal.SIGTERM  # what it has forked ends by it
    assert worker.wait(timeout=30) == 0
    assert lab.entries(uid, "failed") + lab.entries(uid, "lost") == []


@pytest.mark.slow
def test_a_second_sigterm_ends_a_training_process_and_the_program_has_not_failed(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(PROGRAM.replace("trial.steps()", "range(1, 10**6)"), target=10**6)
    pid = lab.pid()

    def told_again() -> bool:
        if alive(pid):
            os.kill(pid, signal.SIGTERM)
        return not alive(pid)

    wait_until(told_again, "it is gone")
    [lost] = lab.wait_for(uid, "lost")
    assert "killed by SIGTERM" in lost["reason"]


@pytest.mark.slow
def test_a_command_goes_on_from_the_checkpoint_before_when_all_processes_are_told_to_end(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.folder / "saving.py").write_text(SAVING)
    monkeypatch.setenv(COMMANDS, "1")
    worker = lab.worker()
    uid = submit_command(lab, "{python} saving.py")
    lab.pid()
    end_all(lab)  # its shell and its loader, too: nobody knows what it has saved without them
    [suspended] = lab.wait_for(uid, "suspended")
    assert not suspended["checkpoint"]
    assert worker.wait(timeout=30) == 0
    assert lab.entries(uid, "failed") + lab.entries(uid, "lost") == []
