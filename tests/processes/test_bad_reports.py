"""Programs that report what is no result: each has one outcome, which `status` explains."""

import json
import re
from typing import Any

import pytest
from click.testing import CliRunner

from asha_queue.cli import root
from tests.conftest import wait_until
from tests.processes.bad import log_of, others_complete, submit
from tests.processes.lab import Lab

#: The fields that `status` wants of an experiment, beside those that every one of a lab has.
FIELDS: dict[str, Any] = {
    "space": {"x": {"uniform": [0, 1]}},
    "max_t": 12,
    "grace_period": 3,
    "num_samples": 3,
}


def status(lab: Lab, uid: str, *arguments: str) -> str:
    command = ["status", f"test-{uid}", *arguments, "--broker", lab.broker]
    shown = CliRunner().invoke(root, command, env={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    return shown.output


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("trial.report('abc')", "ReportError: report('abc') without a metric: write report(score="),
        ("trial.report(score='abc')", "ReportError: metric score='abc' is no number but a str"),
        ("trial.report('abc', score=1)", "ReportError: step 'abc' is no integer"),
        ("trial.report(7, score=1)", "ReportError: report of step 7, but this segment ends at"),
        ("trial.report({'score': 1})", "ReportError: report({'score': 1}) without a metric: write"),
        ("trial.report(score=None)", "ReportError: metric score=None is no number but a NoneType"),
        ("trial.report(1, 2, score=1)", "TypeError: Trial.report() takes from 1 to 2 positional"),
        ("return 'abc'", "ReportError: the program returned 'abc'; return nothing, the score as"),
        ("pass", "ReportError: the program reported nothing; call trial.report(score=…)"),
        ("raise ValueError('no')", "ValueError: no"),
        ("raise ValueError(os.fsdecode(b'\\xff'))", "ValueError: ?"),
        ("raise MemoryError", "MemoryError: "),
        ("sys.exit(0)", "SystemExit: 0"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("raise BaseException('odd')", "BaseException: odd"),
        ("class E(Exception): __str__ = None\nraise E", "E, whose text cannot be had: TypeError("),
        (
            "trial.report(1, score=1)\nwith trial.save() as at: shutil.rmtree(at)",
            "CheckpointError: the folder that save() gave is gone",
        ),
    ],
)
def test_a_program_that_errs_has_failed_with_the_reason_in_one_line(
    worker: Lab, bad: str, error: str
) -> None:
    uid = submit(worker, bad)
    [failed] = worker.wait_for(uid, "failed")
    others_complete(worker, uid)
    assert failed["trial"] == 1
    assert failed["final"]
    assert failed["error"].partition("\n")[0].startswith(error)
    assert worker.entries(uid, "lost") == []


def test_a_program_without_enough_memory_has_failed_like_any_other(worker: Lab) -> None:
    uid = submit(
        worker,
        """
        import resource
        resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
        bytearray(2**31)
        """,
    )
    [failed] = worker.wait_for(uid, "failed")
    others_complete(worker, uid)
    assert failed["error"].startswith("MemoryError: \n")


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ("score=math.nan", "score is nan"),
        ("score=-math.inf", "score is -inf"),
        ("other=1.0", "score was never reported"),
    ],
)
def test_a_result_that_cannot_be_ranked_ranks_last_and_is_shown_as_diverged(
    worker: Lab, report: str, said: str
) -> None:
    uid = submit(worker, f"for step in trial.steps(): trial.report({report})", **FIELDS)
    others_complete(worker, uid, (0, 1, 2))
    assert f"diverged 1: {said} (trial 1)" in status(worker, uid)
    assert "trial 1  diverged" in status(worker, uid, "1")


def test_a_hundred_thousand_reports_take_seconds_and_no_room(worker: Lab) -> None:
    uid = submit(
        worker,
        """
        import resource
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for step in trial.steps():
            trial.report(score=step)
        seconds = time.monotonic() - begun
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        (folder / "cost").write_text(f"{seconds} {more}")
        """,
        target=100_000,
        configs=[{"short": True}, {}, {"short": True}],
    )
    others_complete(worker, uid, (0, 1, 2))
    [completed] = [entry for entry in worker.entries(uid, "completed") if entry["trial"] == 1]
    seconds, kibibytes = (float(number) for number in worker.read("cost").split())
    print(f"\n{seconds * 10:.1f} µs per report, {kibibytes:g} KiB more memory")
    assert seconds < 30
    assert kibibytes < 8 * 1024
    assert completed["metrics"] == {"score": 100_000}
    assert len(completed["curve"]) <= 64
    points, _ = worker.store.live(uid, "", count=100_000)
    assert len(points) < 11_000


def test_status_counts_what_went_wrong_by_its_reason_in_eighty_columns(worker: Lab) -> None:
    bad = "trial.report(1, score=1)\nraise TypeError('no such layer' + 50 * ' at all')"
    uid = submit(worker, bad, retries=1, **FIELDS)
    worker.wait_for(uid, "failed", count=2)
    others_complete(worker, uid)
    lines = status(worker, uid).splitlines()
    assert all(len(line) <= 80 for line in lines)
    [told] = [line for line in lines if line.startswith("failed")]
    assert told.startswith("failed 2: TypeError: no such layer at all")
    [trouble] = json.loads(status(worker, uid, "--json"))["troubles"]
    assert (trouble["kind"], trouble["count"], trouble["trials"]) == ("failed", 2, [1])


def test_status_of_a_trial_tells_how_each_attempt_ended(worker: Lab) -> None:
    uid = submit(worker, "os._exit(4) if trial.attempt == 1 else sys.exit('enough')", **FIELDS)
    worker.wait_for(uid, "failed")
    shown = status(worker, uid, "1")
    assert re.search(
        r"""attempts
  rung 0 attempt 1  w@lab  0 → 3  lost at 0
      the training process died on w@lab: exit code 4
  rung 0 attempt 2  w@lab  0 → 3  failed at 0
      SystemExit: enough
""",
        shown,
    )
    history = json.loads(status(worker, uid, "1", "--json"))["history"]
    assert [(one["state"], one["attempt"]) for one in history] == [("lost", 1), ("failed", 2)]


def test_a_program_that_saves_no_checkpoint_is_told_so_once(worker: Lab) -> None:
    uid = worker.submit(
        "def train(trial): return 1.0", configs=[{}, {}, {}], **{"retries": 0} | FIELDS
    )
    worker.wait_for(uid, "completed", count=3)
    said = "no segment has saved a checkpoint, so each starts from step 0: up to 33% more work."
    assert f"note: {said}" in " ".join(status(worker, uid).split())
    log = worker.log.read_text()
    assert log.count(f"experiment test-{uid} saves no checkpoint: each segment starts") == 1


def test_what_was_printed_by_the_bad_one_is_in_its_log_only(worker: Lab) -> None:
    uid = submit(worker, "print('from trial', trial.number)\nreturn 1.0")
    others_complete(worker, uid, (0, 1, 2))
    assert log_of(worker, uid) == "from trial 1\n"
    wait_until(lambda: "from trial" not in worker.log.read_text(), "not in the worker's log")
