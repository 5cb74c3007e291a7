"""Orders given from another terminal while `asha-queue run` goes on."""

import json
import time
from pathlib import Path

from asha_queue.search.rules import check
from tests.conftest import wait_until
from tests.processes.directory import Directory

STUBBORN = """
import time
from asha_queue import Experiment, uniform

def train(trial):
    try:
        trial.report(step=1, loss=1.0)
        while True:
            time.sleep(0.05)
    except BaseException:
        time.sleep(600)

experiment = Experiment(
    name="quick", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=9, reduction_factor=3, num_samples=12, seed=1,
)
"""


def kinds(directory: Directory) -> list[str]:
    """Types of the entries exported so far."""
    path = directory.path / "asha-runs/quick/journal.jsonl"
    return [entry["type"] for entry in directory.journal()] if path.exists() else []


def test_a_run_is_paused_now_extended_and_resumed_from_another_terminal(
    directory: Directory,
) -> None:
    run = directory.start("run", "exp.py", "--workers", "2", STEP="0.8")
    live = directory.path / "asha-runs/quick/checkpoints"
    wait_until(lambda: any(live.glob("*/*/*-4/manifest.json")), "a segment with steps left", 60)
    workers = json.loads(directory.call("status", "--json"))["workers"]
    assert [worker["worker"].partition("@")[0] for worker in workers] == ["cpu0", "cpu1"]
    assert any(worker["trains"] for worker in workers)
    directory.call("pause", "quick", "--now", "--reason", "lunch")
    wait_until(lambda: "suspended" in kinds(directory), "what runs is handed back")
    assert "paused" in directory.call("status", "quick")
    before = kinds(directory).count("started")
    wait_until(lambda: kinds(directory).count("started") == before, "nothing starts", 5)
    directory.call("extend", "quick", "--num-samples", "14")
    directory.call("resume", "quick")
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, out + err
    journal = directory.journal()
    assert check(journal) == []
    assert len({e["trial"] for e in journal if e["type"] == "completed"}) == 14
    paused = next(e for e in journal if e["type"] == "paused")
    assert (paused["reason"], paused["now"]) == ("lunch", True)
    at = [e["at"] for e in journal if e["type"] in ("paused", "resumed")]
    assert not [e for e in journal if e["type"] == "started" and at[0] < e["at"] < at[1]]


def test_a_finished_experiment_is_extended_and_goes_on_from_its_checkpoints(
    directory: Directory,
) -> None:
    directory.call("run", "exp.py", "--workers", "2")
    directory.call("extend", "quick", "--max-t", "27", "--num-samples", "40")
    directory.call("run", "exp.py", "--workers", "2")
    journal = directory.journal()
    assert check(journal) == []
    top = [e for e in journal if e["type"] == "started" and e["rung"] == 3]
    assert top
    assert {e["start"] for e in top} == {9}
    refused = directory.call("extend", "quick", "--max-t", "9", expect=2)
    assert "max_t=9: experiment quick has 27" in refused
    assert "nothing to extend" in directory.call("extend", "quick", expect=2)


def test_cancel_frees_the_workers_within_seconds_of_a_program_that_does_not_listen(
    directory: Directory,
) -> None:
    directory.write("exp.py", STUBBORN)
    run = directory.start("run", "exp.py", "--workers", "2")
    wait_until(lambda: kinds(directory).count("started") == 2, "both workers train", 60)
    asked = time.monotonic()
    directory.call("cancel", "quick", "--reason", "wrong idea")
    _, err = run.communicate(timeout=60)
    print(f"\nended {time.monotonic() - asked:.1f} s after the order")
    assert run.returncode == 1
    assert "experiment quick was cancelled" in err
    assert check(directory.journal()) == []
    wait_until(directory.nothing_left, "every process of the run has ended")
    refused = directory.call("resume", "quick", expect=2)
    assert "it is cancelled" in refused


def test_failed_trials_are_tried_again_once_the_cause_is_gone(
    directory: Directory, tmp_path: Path
) -> None:
    flag = tmp_path / "repaired"
    text = (directory.path / "exp.py").read_text()
    guard = (
        f"    from pathlib import Path\n"
        f"    if trial.number == 3 and not Path({str(flag)!r}).exists():\n"
        "        raise OSError('data set not mounted')\n"
    )
    directory.write("exp.py", text.replace("    for step in", guard + "    for step in"))
    directory.call("run", "exp.py", "--workers", "2")
    assert "data set not mounted" in directory.call("status", "quick", "3")
    flag.touch()
    assert "tried again: 3" in directory.call("retry", "quick")
    directory.call("run", "exp.py", "--workers", "2")
    journal = directory.journal()
    assert check(journal) == []
    assert any(e["type"] == "completed" and e["trial"] == 3 for e in journal)
    assert "none" in directory.call("retry", "quick")


def test_submit_says_that_nobody_decides_yet_and_where_checkpoints_would_go(
    directory: Directory, broker: str
) -> None:
    submitted = directory.start("submit", "exp.py", "--broker", broker)
    out, err = submitted.communicate(timeout=60)
    assert submitted.returncode == 0, err
    assert "submitted quick" in out
    assert "no coordinator is alive" in err
    assert "give --storage DIR that all nodes share" in err
    asked = directory.start("submit", "exp.py", "--broker", broker, "--json", "--storage", "/else")
    out, err = asked.communicate(timeout=60)
    assert asked.returncode == 2
    assert "storage: asha-runs -> /else" in err
    assert "no broker given" in directory.call("submit", "exp.py", expect=2)
