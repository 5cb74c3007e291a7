"""`asha-queue logs`: the output of each attempt, with how it ended, from a real worker."""

import json
import subprocess
import sys
import threading
from pathlib import Path

from click.testing import CliRunner, Result

from asha_queue.cli import root
from tests.conftest import wait_until
from tests.processes.lab import Lab

#: Fails at its first attempt; prints before and after.
PROGRAM = """
import os, sys
def train(trial):
    print(f"hello from attempt {trial.attempt}")
    print("to standard error", file=sys.stderr)
    if trial.attempt == 1:
        raise ValueError("no such layer")
    for step in trial.steps():
        trial.report(score=1.0)
    os.write(1, b"done \\xff\\n")
"""


def logs(lab: Lab, uid: str, *arguments: str) -> Result:
    command = ["logs", f"test-{uid}", *arguments, "--broker", lab.broker]
    return CliRunner().invoke(root, command)


def in_storage(lab: Lab) -> tuple[str, str]:
    return ("--storage", str(lab.storage))


def test_each_attempt_has_a_header_and_its_output_the_newest_last(lab: Lab) -> None:
    lab.worker("w@lab")
    uid = lab.submit(PROGRAM)
    lab.wait_for(uid, "completed")
    done = logs(lab, uid, "0", *in_storage(lab))
    assert done.exit_code == 0
    first, second = done.stdout_bytes.split(b"== ")[1:]
    assert first.startswith(
        "rung 0 attempt 1  w@lab  0 → 3  failed at 0: ValueError: no such layer\n".encode()
    )
    assert b"hello from attempt 1\nto standard error\nTraceback" in first
    assert second.decode(errors="replace") == (
        "rung 0 attempt 2  w@lab  0 → 3  completed at 3\n"
        "hello from attempt 2\nto standard error\ndone \ufffd\n"
    )
    assert b"attempt 1" not in logs(lab, uid, "0", "--attempt", "2", *in_storage(lab)).stdout_bytes
    nothing = logs(lab, uid, "0", "--rung", "1", *in_storage(lab))
    assert "no such attempt" in str(nothing.exception)
    listed = json.loads(logs(lab, uid, "0", "--json", *in_storage(lab)).output)
    assert [(one["attempt"], one["state"]) for one in listed] == [(1, "failed"), (2, "completed")]
    assert all(Path(one["log"]).is_file() for one in listed)
    assert listed[0]["why"].startswith("ValueError: no such layer\n")


def test_without_the_storage_it_tells_the_errors_and_the_path(lab: Lab) -> None:
    lab.worker("w@lab")
    uid = lab.submit(PROGRAM)
    lab.wait_for(uid, "completed")
    done = logs(lab, uid, "0", "--storage", str(lab.folder / "nowhere"))
    assert "hello" not in done.output
    assert 'raise ValueError("no such layer")' in done.output
    assert "completed at 3" in done.output
    said = str(done.exception)
    assert f"{lab.folder / 'nowhere' / f'test-{uid}'} does not exist here" in said
    assert "--storage" in said


def test_a_trial_that_has_not_begun_is_queued(lab: Lab) -> None:
    uid = lab.submit(PROGRAM)
    done = logs(lab, uid, "0", *in_storage(lab))
    assert done.output == "== rung 0 attempt 1  0 → 3  queued\n"
    assert "no such attempt" in str(logs(lab, uid, "7", *in_storage(lab)).exception)


def test_following_prints_what_comes_until_the_attempt_has_ended(lab: Lab) -> None:
    lab.worker("w@lab")
    uid = lab.submit(
        """
        import os, time
        def train(trial):
            print("begun", flush=True)
            while not os.path.exists(trial.config["folder"] + "/go"):
                time.sleep(0.01)
            for step in trial.steps():
                trial.report(score=1.0)
            print("ended")
        """
    )
    command = [sys.executable, "-m", "asha_queue", "logs", f"test-{uid}", "0", "--follow"]
    following = subprocess.Popen(
        [*command, *in_storage(lab), "--broker", lab.broker], stdout=subprocess.PIPE, text=True
    )
    lines: list[str] = []
    assert following.stdout
    reader = threading.Thread(target=lambda out: lines.extend(out), args=(following.stdout,))
    reader.start()
    try:
        lab.wait_for(uid, "started")
        wait_until(lambda: "begun\n" in lines, "the first line is shown while the trial trains")
        assert "ended\n" not in lines
        (lab.folder / "go").touch()
        lab.wait_for(uid, "completed")
        assert following.wait(timeout=20) == 0
        reader.join(timeout=20)
        assert lines.count("begun\n") == lines.count("ended\n") == 1
        assert lines[-2:] == ["== rung 0 attempt 1  w@lab  0 → 3  completed at 3\n", "ended\n"]
    finally:
        following.kill()
        following.wait()
        following.stdout.close()
