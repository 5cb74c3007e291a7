"""`asha-queue plan` as a user calls it."""

import json

import pytest

from tests.processes.directory import PROGRAM, Directory


def test_a_plan_is_told_before_anything_is_there_and_leaves_nothing(directory: Directory) -> None:
    shown = directory.call("plan", "exp.py", "--workers", "1,4")
    assert "quick  12 trials" in shown
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
    assert found["fleets"][0]["seconds"]["median"] > 12 * 0.05
    assert {path.name for path in directory.path.iterdir()} - {"__pycache__"} == {"exp.py"}
    assert list(scratch.iterdir()) == []
    assert directory.nothing_left()


def test_a_program_that_fails_is_told_in_one_message(directory: Directory) -> None:
    broken = PROGRAM.replace("for step", "raise OSError('no data')\n    for step")
    directory.write("fails.py", broken)
    said = directory.call("plan", "fails.py", "--measure", expect=2)
    assert "the trial that was to be measured has failed" in said
    assert "OSError: no data" in said
    assert directory.nothing_left()


@pytest.mark.slow
def test_a_program_that_ends_its_process_or_leaves_one_is_told_and_swept(
    directory: Directory,
) -> None:
    directory.write("dies.py", PROGRAM.replace("for step", "os._exit(3)\n    for step"))
    said = directory.call("plan", "dies.py", "--measure", expect=2)
    assert "has died with its process (3)" in said
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
