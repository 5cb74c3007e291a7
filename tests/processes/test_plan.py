"""`asha-queue plan` as a user calls it."""

import json

import pytest

from tests.processes.directory import PROGRAM, Directory


def test_a_plan_is_told_before_anything_is_there_and_leaves_nothing(directory: Directory) -> None:
    shown = directory.call("plan", "exp.py", "--workers", "1,4")
    assert "quick  12 trials" in shown
    found = json.loads(directory.call("plan", "exp.py", "--json", "--seconds-per-unit", "2"))
    assert found["levels"] == [1, 3, 9]
    assert found["rungs"][0]["segments"] == {"low": 12, "median": 12, "high": 12}
    assert {path.name for path in directory.path.iterdir()} == {"exp.py"}


def test_a_first_trial_is_measured_and_nothing_of_it_stays(
    directory: Directory, tmp_path_factory: pytest.TempPathFactory
) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    directory.environment |= {"STEP": "0.05", "TMPDIR": str(scratch)}
    found = json.loads(directory.call("plan", "exp.py", "--measure", "--json"))
    measured = found["measured"]
    assert 0.05 <= measured["per_unit"] < 0.5
    assert measured["apart"]
    assert [(start, target) for start, target, _ in measured["segments"]] == [(0, 1), (1, 3)]
    assert measured["checkpoint_bytes"] == 1
    assert found["disk"]["median"] == found["checkpoints"]["median"]
    assert {path.name for path in directory.path.iterdir()} - {"__pycache__"} == {"exp.py"}
    assert list(scratch.iterdir()) == []
    assert directory.nothing_left()


def test_a_command_is_measured_and_what_it_leaves_running_ends(directory: Directory) -> None:
    directory.write(
        "command.toml",
        """
        name = "shell"
        command = "sleep 60 & echo step {target} loss {x}; echo {x} > {save}/x"
        pattern = 'step (?P<step>\\d+) loss (?P<loss>\\S+)'
        metric = "loss"
        mode = "min"
        max_t = 4
        [space]
        x = {uniform = [0, 1]}
        """,
    )
    found = json.loads(directory.call("plan", "command.toml", "--measure", "--json"))
    assert found["measured"]["checkpoint_bytes"] > 0
    assert directory.nothing_left()


def test_a_program_that_fails_or_saves_nothing_is_told(directory: Directory) -> None:
    directory.write(
        "fails.py", PROGRAM.replace("for step", "raise OSError('no data')\n    for step")
    )
    said = directory.call("plan", "fails.py", "--measure", expect=2)
    assert "the trial that was to be measured has failed" in said
    assert "OSError: no data" in said
    directory.write("dies.py", PROGRAM.replace("for step", "os._exit(3)\n    for step"))
    assert "has died with its process (3)" in directory.call(
        "plan", "dies.py", "--measure", expect=2
    )
    lines = [line for line in PROGRAM.splitlines() if "save" not in line and "folder" not in line]
    directory.write("forgets.py", "\n".join(lines))
    assert "warning: the program saves no checkpoint" in directory.call("plan", "forgets.py")


def test_a_page_is_written_and_what_is_no_page_stays(directory: Directory) -> None:
    assert "wrote plan.html" in directory.call("plan", "exp.py", "--output", "plan.html")
    page = (directory.path / "plan.html").read_text()
    assert page.startswith("<!DOCTYPE html>")
    assert "Busy share" in page
    assert directory.call("plan", "exp.py", "--output", "-").startswith("<!DOCTYPE html>")
    before = (directory.path / "exp.py").read_text()
    assert "exp.py is there and is no report" in directory.call(
        "plan", "exp.py", "--output", "exp.py", expect=2
    )
    assert (directory.path / "exp.py").read_text() == before
