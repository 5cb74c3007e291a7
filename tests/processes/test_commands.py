"""Commands in real workers: reports, checkpoints, drains, cancels and how they fail."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asha_queue.search.rules import check
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


def test_a_drained_command_saves_and_is_suspended(lab: Lab) -> None:
    process = lab.worker()
    uid = submit(lab, WAITING)
    lab.pid("pid-0")
    process.terminate()
    [suspended] = lab.wait_for(uid, "suspended")
    assert suspended["reached"] == 1
    assert (lab.storage / suspended["checkpoint"]["path"] / "done").exists()
    process.wait(timeout=20)


def test_a_cancelled_command_that_does_not_listen_is_killed_and_its_worker_lives(lab: Lab) -> None:
    lab.worker()
    uid = submit(lab, "trap '' TERM\n" + WAITING.partition("\n")[2])
    pid = lab.pid("pid-0")
    lab.store.cancel(uid, "request", "test", "")
    wait_until(lambda: not alive(pid), "the command is gone")
    lab.wait_for(submit(lab, "echo '{\"score\": 1}'"), "completed")


def test_a_command_dies_with_its_training_process(lab: Lab) -> None:
    lab.worker()
    submit(lab, WAITING)
    pid = lab.pid("pid-0")
    parent = next(p for p in lab.processes() if p.pid == pid).ppid()
    os.kill(parent, 9)
    wait_until(lambda: not alive(pid), "the command is gone")


@pytest.mark.slow
def test_the_example_is_tuned_and_goes_on_from_its_checkpoints(directory: Directory) -> None:
    (directory.path / "workers").mkdir()
    for name in ("any_script.py", "script.toml"):
        shutil.copy(WORKERS / name, directory.path / "workers" / name)
    begun = time.monotonic()
    out = directory.call("run", "workers/script.toml", "--workers", "2")
    journal = directory.journal("script")
    assert check(journal) == []
    assert any(entry["type"] == "started" and entry["start"] > 0 for entry in journal)
    assert not [entry for entry in journal if entry["type"] == "failed"]
    assert "best" in out
    assert time.monotonic() - begun < 120
