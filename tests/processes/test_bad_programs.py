"""Bad programs: each has one outcome, which the journal tells, while other trials go on."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from asha_queue.cli import root
from asha_queue.training.loglimit import LIMIT, MARK
from tests.conftest import wait_until
from tests.processes.bad import log_of, others_complete, submit
from tests.processes.lab import Lab, alive


@pytest.mark.parametrize(
    ("bad", "cause"),
    [
        ("ctypes.string_at(0)", "killed by SIGSEGV"),
        ("os.abort()", "killed by SIGABRT"),
        ("os._exit(3)", "exit code 3"),
        ("os._exit(0)", "exit code 0"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL"),
    ],
)
def test_a_process_that_dies_is_given_back_with_the_cause_and_the_third_time_has_failed(
    lab: Lab, bad: str, cause: str
) -> None:
    lab.worker()
    uid = submit(lab, bad)
    [failed] = lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    reasons = [entry["reason"] for entry in lab.entries(uid, "lost")]
    assert reasons == [f"the training process died on w@lab: {cause}"] * 2
    assert failed["final"]
    assert failed["error"] == (
        f"its process died 3 times without progress, last: the training process died on w@lab: "
        f"{cause}"
    )


def test_an_endless_loop_is_ended_after_segment_timeout_with_its_stack_in_the_log(lab: Lab) -> None:
    lab.worker()
    uid = submit(lab, "while True: trial.report(1, score=1.0)", segment_timeout=1, retries=1)
    first, second = lab.wait_for(uid, "failed", count=2)
    others_complete(lab, uid)
    assert [first["final"], second["final"]] == [False, True]
    assert first["error"] == (
        f"trained for longer than segment_timeout=1 s; its stack: asha-queue logs test-{uid} 1"
    )
    assert first["reached"] == 1
    assert lab.entries(uid, "lost") == []
    assert "in bad" in log_of(lab, uid)


def test_silence_is_ended_after_report_timeout_and_counts_from_the_last_report(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        trial.report(1, score=1.0)
        with trial.save() as checkpoint:
            (checkpoint / "one").touch()
        for step in (1, 2):
            time.sleep(0.8)
            trial.report(2, score=1.0)
        time.sleep(600)
        """,
        report_timeout=1.5,
    )
    [failed] = lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    [started] = [entry for entry in lab.entries(uid, "started") if entry["trial"] == 1]
    assert failed["at"] - started["at"] >= 1.6 + 1.5
    assert failed["error"].startswith("no report for longer than report_timeout=1.5 s; its stack")
    assert failed["reached"] == 2
    assert failed["checkpoint"]["resource"] == 1
    assert "in bad" in log_of(lab, uid)


def test_children_that_outlive_the_segment_end_with_it_and_the_process_is_replaced(
    lab: Lab,
) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        lives = f"open('{folder}/daemon', 'w').write(str(os.getpid())); time.sleep(60)"
        forks = f"import os, time; os.fork() and os._exit(0); os.setsid(); {lives}"
        subprocess.Popen([sys.executable, "-c", forks], env={}, start_new_session=True).wait()
        while not (folder / "daemon").exists():
            time.sleep(0.01)
        (folder / "sleeper").write_text(str(subprocess.Popen(["sleep", "60"]).pid))
        (folder / "pid").write_text(str(os.getpid()))
        return 1.0
        """,
    )
    [completed] = [e for e in lab.wait_for(uid, "completed", count=3) if e["trial"] == 1]
    assert completed["metrics"] == {"score": 1.0}
    assert not alive(lab.pid("daemon"))
    assert not alive(lab.pid("sleeper"))
    left = [line for line in log_of(lab, uid).splitlines() if line.startswith("left running")]
    assert len(left) == 1
    assert "sleep 60" in left[0]
    assert "-c import os" in left[0]
    assert f"trial 1: {left[0]}" in lab.log.read_text()
    wait_until(lambda: not alive(lab.pid()), "the process is replaced")
    assert lab.entries(uid, "lost") == []


def test_a_fork_that_returns_from_the_program_ends_there(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        child = os.fork()
        if child:
            os.waitpid(child, 0)
        trial.report(1, score=float(child == 0))
        """,
    )
    others_complete(lab, uid, (0, 1, 2))
    [completed] = [e for e in lab.entries(uid, "completed") if e["trial"] == 1]
    assert completed["metrics"] == {"score": 0.0}
    assert "a fork, returned from the program: ended" in log_of(lab, uid)
    assert lab.entries(uid, "lost") == lab.entries(uid, "failed") == []


def test_pools_of_joblib_work_in_each_segment(lab: Lab) -> None:
    pytest.importorskip("joblib", reason="scikit-learn, which brings joblib, is not installed")
    lab.worker()
    uid = lab.submit(
        """
        import os, pathlib
        from joblib import Parallel, delayed

        def train(trial):
            with pathlib.Path(trial.config["folder"], "pids").open("a") as file:
                file.write(f"{os.getpid()} ")
            return sum(Parallel(n_jobs=2)(delayed(abs)(-number) for number in range(5)))
        """,
        configs=[{}, {}, {}],
        retries=0,
    )
    completed = lab.wait_for(uid, "completed", count=3, seconds=60.0)
    assert [entry["metrics"] for entry in completed] == [{"score": 10}] * 3
    assert lab.entries(uid, "lost") == []
    pids = [int(pid) for pid in lab.read("pids").split()]
    wait_until(lambda: not any(alive(pid) for pid in pids), "each had a process of its own")

    def shared() -> list[str]:  # joblib's semaphores and folders are named after its process
        names = [path.name for path in Path("/dev/shm").glob("*")]
        return [name for name in names if any(f"-{pid}-" in name for pid in pids)]

    wait_until(lambda: not shared(), "their shared memory is gone")


def test_output_without_end_is_cut_and_what_comes_after_it_is_kept(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        printer = subprocess.Popen(["yes", "a line that says nothing"])
        time.sleep(3)
        printer.kill()
        printer.wait()
        print("the end")
        raise ValueError("no more")
        """,
    )
    lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    log = lab.storage / f"test-{uid}" / "logs" / "trial-00001" / "rung0-attempt1.log"
    wait_until(lambda: log.stat().st_size <= LIMIT, "the log is short")
    lines = log.read_text().splitlines()
    assert lines[0] == "a line that says nothing"
    assert sum(line.startswith(MARK) for line in lines) == 1
    assert "the end" in lines
    assert lines[-1] == "ValueError: no more"
    shown = CliRunner().invoke(
        root, ["logs", f"test-{uid}", "1", "--storage", str(lab.storage), "--broker", lab.broker]
    )
    assert shown.output.endswith("ValueError: no more\n")
