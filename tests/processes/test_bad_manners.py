"""Programs that change the process they run in: it, or the next segment, does not mind."""

import os
import secrets
import signal

import pytest

from tests.conftest import wait_until
from tests.processes.bad import log_of, others_complete, submit
from tests.processes.lab import Lab, alive
from tests.processes.test_orders import FREE


@pytest.mark.parametrize(
    "bad",
    [
        "os.chdir('/')",
        "os.mkdir('gone')\nos.chdir('gone')\nos.rmdir(os.getcwd())",
        "os.close(1); os.close(2)",
        "sys.stdout.close(); sys.stderr.close()",
        "sys.stdout = sys.stderr = None",
        "for number in range(1, 32):\n    with contextlib.suppress(OSError):\n"
        "        signal.signal(number, signal.SIG_IGN)",
        "signal.alarm(1)",
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
        "os.umask(0o777)",
        "logging.disable(); logging.root.handlers.clear()",
        "sys.exit = os._exit = None",
    ],
)
def test_what_a_program_changes_around_it_costs_nothing_and_stays_its_own(
    lab: Lab, bad: str
) -> None:
    lab.worker()
    probe = """
        import os, signal, sys
        def train(trial):
            print(os.getcwd(), signal.getsignal(signal.SIGTERM), signal.getitimer(0)[0])
            print(len(signal.pthread_sigmask(signal.SIG_BLOCK, ())), os.umask(0o22))
            for step in trial.steps():
                trial.report(score=step)
            with trial.save() as folder:
                (folder / "file").write_text("readable")
        """
    before = lab.submit(probe)
    lab.wait_for(before, "completed")
    uid = submit(lab, f"{bad}\nreturn 1.0")
    others_complete(lab, uid, (0, 1, 2))
    assert lab.entries(uid, "failed") == lab.entries(uid, "lost") == []
    after = lab.submit(probe)
    lab.wait_for(after, "completed")
    assert log_of(lab, after, trial=0) == log_of(lab, before, trial=0)


def test_a_program_that_closes_every_descriptor_has_failed_and_a_new_process_follows(
    lab: Lab,
) -> None:
    lab.worker()
    uid = submit(lab, "os.closerange(0, 1000)\ntrial.report(1, score=1.0)")
    [failed] = lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    assert failed["error"].startswith("the program closed descriptors that are not its own")
    assert lab.entries(uid, "lost") == []


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_from_outside_that_a_program_ignores_is_ignored(
    lab: Lab, sent: signal.Signals
) -> None:
    lab.worker()
    uid = submit(
        lab,
        f"""
        signal.signal({int(sent)}, signal.SIG_IGN)
        (folder / "pid").write_text(str(os.getpid()))
        while not (folder / "go").exists():
            time.sleep(0.01)
        return 1.0
        """,
    )
    os.kill(lab.pid(), sent)
    (lab.folder / "go").touch()
    others_complete(lab, uid, (0, 1, 2))
    assert lab.entries(uid, "lost") == []


def test_a_program_that_ignores_every_signal_is_ended_when_it_is_cancelled(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        (folder / "pid").write_text(str(os.getpid()))
        while True:
            time.sleep(0.01)
        """,
    )
    training = lab.pid()
    assert lab.store.cancel(uid, secrets.token_hex(8), "me@here", "") == "ok"
    wait_until(lambda: not alive(training), "it is killed", FREE)
    other = lab.submit("def train(trial): return 1.0")
    lab.wait_for(other, "completed")


def test_a_program_that_ignores_every_signal_is_ended_when_it_is_overdue(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        for number in range(1, 32):
            if number not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(number, signal.SIG_IGN)
        while True:
            time.sleep(0.01)
        """,
        report_timeout=0.5,
    )
    [failed] = lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    assert failed["error"].startswith("no report for longer than report_timeout=0.5 s")


def test_a_program_that_shuts_the_line_to_its_keeper_is_heard_all_the_same(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):
                found = socket.socket(fileno=os.dup(int(name)))
                if found.family == socket.AF_UNIX and found.getpeername():
                    found.shutdown(socket.SHUT_RDWR)
        time.sleep(0.2)
        trial.report(1, score=1.0)
        """,
    )
    others_complete(lab, uid, (0, 1, 2))
    assert lab.entries(uid, "failed") == lab.entries(uid, "lost") == []


def test_the_tracker_of_shared_memory_is_no_leftover(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(
        """
        import os, pathlib
        from multiprocessing.shared_memory import SharedMemory

        def train(trial):
            memory = SharedMemory(create=True, size=16)
            memory.close()
            memory.unlink()
            with pathlib.Path(trial.config["folder"], "pids").open("a") as file:
                file.write(f"{os.getpid()} ")
            return 1.0
        """,
        configs=[{}, {}],
    )
    lab.wait_for(uid, "completed", count=2)
    one, other = lab.read("pids").split()
    assert one == other
