"""Commands in real workers: reports, checkpoints, drains, cancels and how they fail."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asha_queue.search.rules import check
from asha_queue.training.processes import QUEUES
from asha_queue.training.scripts import COMMANDS
from tests.conftest import wait_until
from tests.processes.directory import Directory
from tests.processes.lab import Lab, alive

WORKERS = Path(__file__).parent.parent.parent / "workers"


@pytest.fixture(autouse=True, scope="module")
def _commands() -> Iterator[None]:
    os.environ[COMMANDS] = "1"
    yield
    del os.environ[COMMANDS]


#: The queue and the worker of a lab that a test has for itself: the module's has another.
ALONE = "alone"


def submit(lab: Lab, command: str, **fields: Any) -> str:
    fields = {"pattern": None, "files": {}, "retries": 0, **fields}
    return lab.submit("", command=command, train=None, **fields)


def test_what_is_printed_is_reported_and_what_is_saved_is_the_checkpoint(worker: Lab) -> None:
    (worker.folder / "count.sh").write_text(
        """done=0; [ -n "$2" ] && done=$(cat "$2/done")
        while [ $done -lt $1 ]; do done=$((done + 1)); echo noise >&2
        printf '{"step": %d, "score": %d, "name": "x"}\\n' $done $done; done
        printf '\\377 {"lr": 3}\\n'; echo $done > $ASHA_QUEUE_SAVE/done"""
    )
    uid = submit(worker, "sh count.sh {target} {checkpoint}")
    [completed] = worker.wait_for(uid, "completed")
    assert completed["curve"] == [[step, {"score": step}] for step in (1, 2, 3)]
    folder = worker.storage / completed["checkpoint"]["path"]
    assert (folder / "done").read_text() == "3\n"
    log = worker.storage / f"test-{uid}" / "logs" / "trial-00000" / "rung0-attempt1.log"
    assert log.read_bytes().count(b"noise") == 3


def test_a_pattern_finds_metrics_and_the_last_report_is_the_targets(worker: Lab) -> None:
    uid = submit(worker, "printf 'loss 1\\rscore=0.5\\rscore=0.75'", pattern="score=(?P<score>.*)")
    [completed] = worker.wait_for(uid, "completed")
    assert (completed["metrics"], completed["reached"]) == ({"score": 0.75}, 3)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("nonsense-42", "exit code 127, command not found on this node: sh: 1: nonsense-42: not"),
        ("touch x.sh; chmod -x x.sh; ./x.sh", "exit code 126, not executable: chmod +x"),
        ("echo bad luck; kill -9 $$", "killed by SIGKILL; perhaps for want of memory: bad luck"),
        ("kill -SEGV $$", "killed by SIGSEGV: a segmentation fault"),
        (
            'echo \'{"step": 1, "acc": 3}\'',
            "metric score was never printed; numbers that were: acc",
        ),
        (
            'echo \'{"step": 4, "score": 3}\'',
            "printed step 4 after step 0, but trains from {start}",
        ),
    ],
)
def test_a_command_that_fails_says_how_without_a_traceback(
    worker: Lab, command: str, said: str
) -> None:
    [failed] = worker.wait_for(submit(worker, command.replace("{", "{")), "failed")
    assert said in failed["error"].partition("\n")[0]
    assert "Traceback" not in failed["error"]


WAITING = """trap 'echo saved > $ASHA_QUEUE_SAVE/done; exit 0' TERM
echo $$ > pid-{trial}; echo '{"step": 1, "score": 1}'; while :; do sleep 0.05; done"""

#: Takes a second to save, for which it needs the process that it has started.
SAVING = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
stop = []
loader = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print('{"step": 1, "score": 1}', flush=True)
open("pid", "w").write(str(os.getpid()))
while not stop:
    time.sleep(0.01)
print("saving", flush=True)
time.sleep(1)
if loader.poll() is not None:
    sys.exit("the loader was ended")
open(os.environ["ASHA_QUEUE_SAVE"] + "/done", "w").write("saved")
print("saved", flush=True)
loader.kill()
"""


def start_alone(lab: Lab) -> subprocess.Popen[bytes]:
    return lab.worker("alone@lab", **{QUEUES: ALONE})


def test_a_drained_command_saves_and_is_suspended(lab: Lab) -> None:
    process = start_alone(lab)
    uid = submit(lab, WAITING, queue=ALONE)
    lab.pid("pid-0")
    process.terminate()
    [suspended] = lab.wait_for(uid, "suspended")
    assert suspended["reached"] == 1
    assert (lab.storage / suspended["checkpoint"]["path"] / "done").exists()
    process.wait(timeout=20)


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "{python} saving.py",
        "cd . && {python} saving.py 2>&1 | tee out",
        # a job with a process group of its own, as `timeout` makes them, too
        "exec bash -c \"set -m; trap 'kill \\$!; exit 0' TERM; {python} saving.py & wait\"",
    ],
    ids=["the shell's last", "a pipeline", "in the background of a shell that ends first"],
)
def test_a_drain_leaves_a_script_what_it_needs_to_save(lab: Lab, line: str) -> None:
    process = start_alone(lab)
    (lab.folder / "saving.py").write_text(SAVING)
    uid = submit(lab, line, queue=ALONE)
    lab.pid()
    process.terminate()
    [suspended] = lab.wait_for(uid, "suspended")
    assert (lab.storage / suspended["checkpoint"]["path"] / "done").read_text() == "saved"
    log = lab.storage / f"test-{uid}" / "logs" / "trial-00000" / "rung0-attempt1.log"
    assert log.read_text().splitlines()[-2:] == ["saving", "saved"]
    process.wait(timeout=30)


@pytest.mark.slow
def test_what_a_drain_has_killed_in_a_pipeline_is_no_checkpoint(lab: Lab) -> None:
    process = start_alone(lab)
    (lab.folder / "half.py").write_text(
        """import os, time
print('{"step": 1, "score": 1}', flush=True)
open(os.environ["ASHA_QUEUE_SAVE"] + "/half", "w").write("half")
open("pid", "w").write(str(os.getpid()))
time.sleep(60)
"""
    )
    uid = submit(lab, "{python} half.py | tee out", queue=ALONE)
    lab.pid()
    process.terminate()
    [suspended] = lab.wait_for(uid, "suspended")
    assert not suspended.get("checkpoint")
    process.wait(timeout=30)


@pytest.mark.slow
def test_a_cancelled_command_that_does_not_listen_is_killed_and_its_worker_lives(lab: Lab) -> None:
    start_alone(lab)
    uid = submit(lab, "trap '' TERM\n" + WAITING.partition("\n")[2], queue=ALONE)
    pid = lab.pid("pid-0")
    lab.store.cancel(uid, "request", "test", "")
    wait_until(lambda: not alive(pid), "the command is gone")
    lab.wait_for(submit(lab, "echo '{\"score\": 1}'", queue=ALONE), "completed")


@pytest.mark.slow
def test_a_command_dies_with_its_training_process(lab: Lab) -> None:
    start_alone(lab)
    submit(lab, WAITING, queue=ALONE)
    pid = lab.pid("pid-0")
    parent = next(p for p in lab.processes() if p.pid == pid).ppid()
    os.kill(parent, 9)
    wait_until(lambda: not alive(pid), "the command is gone")


@pytest.mark.slow
def test_a_worker_runs_commands_only_if_it_was_told_to(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(COMMANDS)
    told = ("asha_queue", "worker", "--cpus", "1", "--queue", ALONE)
    launcher = lab.start(*told, ASHA_QUEUE_HOST="alone")
    uid = submit(lab, "echo '{\"score\": 1}'", queue=ALONE)
    assert "start it as `asha-queue worker --commands`" in lab.wait_for_refusal(uid)
    launcher.terminate()
    launcher.wait(timeout=60)
    lab.start(*told, "--commands", ASHA_QUEUE_HOST="willing")
    lab.wait_for(submit(lab, "echo '{\"score\": 1}'", queue=ALONE), "completed", seconds=60)


@pytest.mark.slow
def test_the_example_is_tuned_and_goes_on_from_its_checkpoints(directory: Directory) -> None:
    (directory.path / "workers").mkdir()
    for name in ("any_script.py", "script.toml"):
        shutil.copy(WORKERS / name, directory.path / "workers" / name)
    out = directory.call("run", "workers/script.toml", "--workers", "2", seconds=400.0)
    journal = directory.journal("script")
    assert check(journal) == []
    assert any(entry["type"] == "started" and entry["start"] > 0 for entry in journal)
    assert not [entry for entry in journal if entry["type"] == "failed"]
    assert "best" in out
