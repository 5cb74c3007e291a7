"""Bad programs: each has one outcome, which the journal tells, while other trials go on."""

import os
import secrets
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from asha_queue.cli import root
from asha_queue.settings import LEASE
from asha_queue.training.loglimit import LIMIT, MARK
from tests.conftest import wait_until
from tests.processes.bad import log_of, others_complete, submit
from tests.processes.lab import Lab, alive
from tests.processes.servers import Valkey
from tests.processes.test_orders import FREE


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
    if cause in ("killed by SIGSEGV", "killed by SIGABRT"):
        log = log_of(lab, uid, attempt=3)
        assert "Fatal Python error" in log
        assert "in bad" in log


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


def test_a_pool_that_a_module_keeps_works_in_each_segment(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(
        """
        import multiprocessing

        pool = None

        def train(trial):
            global pool
            pool = pool or multiprocessing.get_context("fork").Pool(2)
            return sum(pool.map(abs, [-1, -2]))
        """,
        configs=[{}, {}, {}],
        retries=0,
    )
    completed = lab.wait_for(uid, "completed", count=3)
    assert [entry["metrics"] for entry in completed] == [{"score": 3}] * 3
    assert lab.entries(uid, "lost") == []


def test_output_without_end_is_cut_and_what_comes_after_it_is_kept(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        printer = subprocess.Popen(["yes", "a line that says nothing"])
        time.sleep(3)
        printer.kill()
        printer.wait()
        time.sleep(1)  # what comes in the instant of the cut may be cut
        print("the end")
        raise ValueError("no more")
        """,
    )
    lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    log = lab.storage / f"test-{uid}" / "logs" / "trial-00001" / "rung0-attempt1.log"
    said = "ValueError: no more\n"  # and not only just shortened, its end still to be written

    def is_cut() -> bool:
        return log.stat().st_size < LIMIT and log.read_text().endswith(said)

    wait_until(is_cut, "the log is short")
    text = log.read_text()
    lines = text.splitlines()
    assert lines[0] == "a line that says nothing"
    assert sum(MARK in line for line in lines) == 1
    assert "the end\n" in text  # `yes` may have been killed in the middle of a line
    shown = CliRunner().invoke(
        root, ["logs", f"test-{uid}", "1", "--storage", str(lab.storage), "--broker", lab.broker]
    )
    assert shown.output.endswith("ValueError: no more\n")


def _empty(group: Path) -> bool:
    return not (group / "cgroup.procs").read_text()


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with little memory, where one can be made: as root, with version 1 or 2."""
    root = Path("/sys/fs/cgroup")
    for parent, limit in ((root / "memory", "memory.limit_in_bytes"), (root, "memory.max")):
        group = parent / f"asha-queue-test-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(384 * 2**20))
        except OSError:
            group.rmdir()
            continue
        yield group
        wait_until(partial(_empty, group), "the group is empty")
        group.rmdir()
        return
    pytest.skip("no control group can be made here: the kernel is not brought to kill for memory")


def test_out_of_memory_is_told_from_a_kill_by_hand(small_group: Path, lab: Lab) -> None:
    join = ["sh", "-c", f'echo $$ > {small_group}/cgroup.procs; exec "$@"', "sh"]
    lab.worker(before=join)
    uid = submit(
        lab,
        """
        if trial.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        hoard = []
        while True:
            hoard.append(b"x" * 2**24)
        """,
    )
    [failed] = lab.wait_for(uid, "failed", seconds=60.0)
    others_complete(lab, uid)
    by_hand, killed = (entry["reason"] for entry in lab.entries(uid, "lost"))
    assert by_hand == "the training process died on w@lab: killed by SIGKILL"
    assert killed == "the training process died on w@lab: out of memory, the kernel killed it"
    assert failed["error"].endswith(killed)


#: Holds the interpreter's lock for so many seconds: nothing else of its process runs.
HOLD = "ctypes.PyDLL(None).sleep({seconds})"


def test_silence_is_seen_also_of_a_program_that_holds_the_lock(lab: Lab) -> None:
    lab.worker()
    uid = submit(lab, HOLD.format(seconds=600), report_timeout=1)
    [failed] = lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    assert failed["error"].startswith("no report for longer than report_timeout=1 s")
    assert "in bad" in log_of(lab, uid)


def test_a_program_that_holds_the_lock_is_ended_when_it_is_cancelled(lab: Lab) -> None:
    lab.worker()
    uid = submit(lab, f"(folder / 'pid').write_text(str(os.getpid()))\n{HOLD.format(seconds=600)}")
    training = lab.pid()
    assert lab.store.cancel(uid, secrets.token_hex(8), "me@here", "") == "ok"
    wait_until(lambda: not alive(training), "it is killed", FREE)
    other = lab.submit("def train(trial): return 1.0")
    lab.wait_for(other, "completed")


def test_a_drain_waits_for_a_program_that_holds_the_lock(lab: Lab) -> None:
    worker = lab.worker()
    uid = submit(
        lab,
        f"""
        for step in trial.steps():
            trial.report(score=step)
            with trial.save():
                pass
            (folder / "pid").write_text(str(os.getpid()))
            {HOLD.format(seconds=4)}
        """,
    )
    lab.pid()
    worker.terminate()
    [suspended] = lab.wait_for(uid, "suspended")
    assert suspended["trial"] == 1
    assert 1 <= suspended["reached"] < 3  # the order is heard once the lock is free for a moment
    assert worker.wait(timeout=30) == 0
    assert lab.entries(uid, "lost") == []


@pytest.mark.slow
def test_a_lock_held_for_longer_than_the_lease_costs_nothing(lab: Lab) -> None:
    lab.worker()
    lab.worker("other@lab")
    uid = submit(lab, f"{HOLD.format(seconds=int(LEASE) + 10)}\nreturn 1.0")
    others_complete(lab, uid)

    def completed() -> bool:
        lab.store.reap(uid)  # as a coordinator does each second
        return len(lab.entries(uid, "completed")) == 3

    wait_until(completed, "the bad one completes as well", seconds=LEASE + 60.0)
    assert lab.entries(uid, "lost") == lab.entries(uid, "failed") == []
    assert len(lab.entries(uid, "started")) == 3


def test_a_server_that_does_not_answer_is_not_taken_for_silence(
    server: Valkey, tmp_path: Path
) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    with Lab(server.url, folder) as lab:
        lab.worker()
        uid = submit(
            lab,
            """
            trial.report(1, score=1.0)
            (folder / "reported").write_text("yes")
            while not (folder / "go").exists():
                trial.report(1, score=1.0)
                time.sleep(0.05)
            with trial.save():
                pass
            trial.report(2, score=2.0)
            (folder / "saved").write_text("yes")
            """,
            configs=[{}, {}],
            report_timeout=1.5,
            segment_timeout=5,
        )
        lab.read("reported")
        server.kill()
        (folder / "go").touch()
        # longer than any silence, and than the segment may take
        silent = time.monotonic() + 6.0
        wait_until(lambda: time.monotonic() > silent, "a while without a server")
        assert not (folder / "saved").exists()
        server.start()
        others_complete(lab, uid, (0, 1))
        assert lab.entries(uid, "failed") == lab.entries(uid, "lost") == []


@pytest.mark.slow
def test_a_checkpoint_of_two_gibibytes_is_written_and_restored(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        import resource
        size = 2 * 2**30
        if trial.checkpoint:
            assert (trial.checkpoint / "weights").stat().st_size == size
            memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            (folder / "memory").write_text(str(memory))
            return 2.0
        trial.report(1, score=1.0)
        begun = time.monotonic()
        with trial.save() as at:
            with (at / "weights").open("wb") as file:
                file.truncate(size)
        (folder / "seconds").write_text(str(time.monotonic() - begun))
        os._exit(1)
        """,
        report_timeout=1,
    )
    others_complete(lab, uid, (0, 1, 2))
    print(f"\nsaved in {lab.read('seconds')} s; {lab.read('memory')} KiB at most")
    started = [entry for entry in lab.entries(uid, "started") if entry["trial"] == 1]
    assert [entry["start"] for entry in started] == [0, 1]
    assert len(lab.entries(uid, "lost")) == 1
    assert int(lab.read("memory")) < 200 * 1024


def test_the_next_keeper_knows_the_limits_of_the_one_that_was_killed(lab: Lab) -> None:
    lab.worker()
    uid = submit(
        lab,
        """
        trial.report(1, score=1.0)
        (folder / "pid").write_text(str(os.getpid()))
        while True:
            time.sleep(0.01)
        """,
        report_timeout=4,
    )
    lab.pid()
    [keeper] = lab.keepers()
    keeper.kill()
    [failed] = lab.wait_for(uid, "failed")
    others_complete(lab, uid)
    assert failed["error"].startswith("no report for longer than report_timeout=4 s")
    assert failed["reached"] == 1
    [started] = [entry for entry in lab.entries(uid, "started") if entry["trial"] == 1]
    assert failed["at"] - started["at"] < 4 + 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("os._exit(5)", "the program ended its process while it was imported: exit code 5"),
        ("os.abort()", "the program ended its process while it was imported: killed by SIGABRT"),
        ("raise KeyboardInterrupt", "cannot be imported: KeyboardInterrupt()"),
        ("sys.exit('no')", "cannot be imported: SystemExit: no"),
    ],
)
def test_a_program_that_cannot_be_imported_is_refused_and_others_train(
    lab: Lab, bad: str, reason: str
) -> None:
    lab.worker()
    uid = lab.submit(f"import os, sys\n{bad}\ndef train(trial): return 1.0")
    assert reason in lab.wait_for_refusal(uid)
    assert lab.entries(uid, "started") == lab.entries(uid, "lost") == []
    other = lab.submit("def train(trial): return 1.0")
    lab.wait_for(other, "completed")


def test_a_fork_that_returns_from_the_import_ends_there(lab: Lab) -> None:
    lab.worker()
    uid = lab.submit(
        """
        import os

        child = os.fork()
        if child:
            os.waitpid(child, 0)

        def train(trial):
            return float(child > 0)
        """
    )
    [completed] = lab.wait_for(uid, "completed")
    assert completed["metrics"] == {"score": 1.0}
    assert len(lab.entries(uid, "started")) == 1
