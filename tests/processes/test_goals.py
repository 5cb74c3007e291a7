"""Several metrics and a constraint in a run with real workers, as a user sees it."""

import csv
import json

from asha_queue.result import Result
from asha_queue.search.rules import check
from tests.processes.directory import PROGRAM, Directory

TWO = (
    PROGRAM.replace(
        'trial.report(loss=trial.config["x"] + 1 / step)',
        'trial.report(accuracy=trial.config["x"] - 1 / step, latency=trial.config["x"] ** 2)',
    )
    .replace(
        'metric="loss", mode="min",',
        'metric=["accuracy", "latency"], mode=["max", "min"], '
        'constraints={"latency": {"max": 0.7}},',
    )
    .replace("num_samples=12", "num_samples=36")
)


def test_a_run_with_two_metrics_ends_with_its_front_in_the_terminal_and_in_the_files(
    directory: Directory,
) -> None:
    directory.write("exp.py", TWO)
    out = directory.call("run", "exp.py", "--workers", "2")
    journal = directory.journal()
    assert check(journal) == []
    result = Result.from_journal(journal)
    front = result.pareto_front
    assert len(front) > 1
    assert all(one.metrics["latency"] <= 0.7 for one in front)
    assert f"best        accuracy={front[0].metrics['accuracy']:.4g} latency=" in out
    head = next(line for line in out.splitlines() if line.split()[:1] == ["front"])
    assert head.split() == ["front", "accuracy", "latency", "steps", "configuration"]
    run = directory.path / "asha-runs" / "quick"
    best = json.loads((run / "best.json").read_text())
    assert best["trial"] == front[0].trial
    assert [one["trial"] for one in best["front"]] == [one.trial for one in front]
    rows = list(csv.DictReader((run / "trials.csv").read_text().splitlines()))
    marked = {int(row["trial"]) for row in rows if row["front"] == "True"}
    assert marked == {one.trial for one in front}
    assert all((row["feasible"] == "True") == (float(row["latency"]) <= 0.7) for row in rows)
    seen = directory.call("status", "quick", str(front[0].trial))
    assert "(front 1, at an end of it)" in seen
    assert "latency=" in seen


def test_a_program_that_returns_one_number_for_two_metrics_is_told_so(directory: Directory) -> None:
    few = TWO.replace("num_samples=36", "num_samples=4")  # a failure costs its process
    directory.write(
        "exp.py",
        few.replace("    for step in trial.steps():", "    return 0.5\n    for step in ():"),
    )
    out = directory.call("run", "exp.py", "--workers", "1")
    assert "the program returned 0.5; return nothing or a dict of metrics" in out
