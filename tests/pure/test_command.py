"""Commands: what their line means, what is refused, and which of their files are compared."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from asha_queue.errors import ProgramDiffers, ProgramError, SpecificationError
from asha_queue.experiment import Experiment
from asha_queue.search.space import choice, uniform
from asha_queue.specification import Specification
from asha_queue.specification.command import rendered
from asha_queue.training.scripts import COMMANDS, files, folder_of


def words(command: str, **config: Any) -> list[str]:
    """The words that a program is given by a real shell."""
    values = {"target": 9, "checkpoint": "", "config": config}
    line, parameters = rendered(command, values)
    shell = ["/bin/sh", "-c", f"printf '%s\\n' {line}", "sh", *parameters]
    done = subprocess.run(shell, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def specification(**changes: Any) -> Specification:
    fields = {
        "name": "script",
        "command": "python train.py --lr {lr} --kind {net.kind} --epochs {target}",
        "space": {"lr": uniform(0, 1), "net": {"kind": choice(["a", "b"])}},
        "metric": "loss",
        "mode": "min",
        "max_t": 9,
    }
    return Specification(**{**fields, **changes})


@pytest.mark.parametrize("value", ["a b", "x; echo bad", "$(echo bad)", "it's", 'a"b`c`', "*"])
def test_a_value_is_one_word_whatever_is_in_it(value: str) -> None:
    assert words('--name={name} "--name={name}"', name=value) == [f"--name={value}"] * 2


def test_what_is_empty_vanishes_with_its_brackets() -> None:
    assert words("--to {target} [--resume {checkpoint}] [--x {x.y}]") == ["--to", "9"]
    assert words("[--x {x.y}]", x={"y": True}) == ["--x", "true"]
    assert words("a{checkpoint}b {{target}} ${HOME:+home}") == ["ab", "{target}", "home"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"command": "run {lrr}"}, "command: {lrr} is no placeholder; there are python, experim"),
        ({"command": "sh -c 'run {lr}'"}, "command: {lr} stands in single quotes, where the shel"),
        (
            {"command": "run {target}", "space": {"target": uniform(0, 1)}},
            "command: {target} may be the hyperparameter or what each command is told; write {co",
        ),
        ({"train": "a.py:train"}, "train, command: one of both is needed, and only one"),
        ({"command": None}, "train, command: one of both is needed, and only one"),
        ({"pattern": "("}, "pattern='(': no regular expression: missing ), unterminated"),
        ({"pattern": "(?P<los>.)"}, "pattern='(?P<los>.)': has no group for the metric; write (?"),
        (
            {"pattern": "(?P<loss>.)", "command": None, "train": "a.py:train"},
            "pattern='(?P<loss>.)': goes with command only",
        ),
    ],
)
def test_a_bad_command_is_refused_with_what_to_write(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError) as caught:
        specification(**changes)
    assert str(caught.value).startswith(message)


def test_a_specification_with_a_command_survives_json() -> None:
    made = specification(pattern="(?P<loss>[0-9.]+)")
    assert Specification.from_json(made.to_json()) == made
    one, other = (specification(files={"train.py": digest}) for digest in "ab")
    assert one.differences(other) == ["the program train.py has changed"]
    assert one.differences(specification()) == []


def test_files_of_a_command_are_compared_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text("1")
    found = files("A=b {python} train.py --lr {lr} && echo done", tmp_path)
    assert list(found) == ["train.py"]
    monkeypatch.delenv(COMMANDS, raising=False)
    with pytest.raises(ProgramError, match="start it as `asha-queue worker --commands`"):
        folder_of(found, ".", [tmp_path])
    monkeypatch.setenv(COMMANDS, "1")
    assert folder_of(found, ".", [tmp_path / "elsewhere", tmp_path]) == tmp_path
    with pytest.raises(ProgramError, match="not all of train.py found"):
        folder_of(found, ".", [tmp_path / "elsewhere"])
    (tmp_path / "train.py").write_text("2")
    with pytest.raises(ProgramDiffers, match="differs from the one submitted"):
        folder_of(found, ".", [tmp_path])


def test_a_command_of_a_toml_runs_in_its_folder_wherever_it_is_submitted_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "programs" / "mine"
    mine.mkdir(parents=True)
    (mine / "train.py").write_text("")
    (mine / "exp.toml").write_text(
        'name = "toml"\ncommand = "python train.py {lr}"\nmetric = "loss"\nmode = "min"\n'
        "max_t = 4\n"
        "[space]\nlr = {uniform = [0, 1]}\n"
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv(COMMANDS, "1")
    made = {}
    for cwd, folder, root in (
        (mine, ".", mine),
        (mine.parent, "mine", mine.parent),
        (tmp_path / "elsewhere", ".", mine),
    ):
        monkeypatch.chdir(cwd)
        read = Experiment.from_toml(os.path.relpath(mine / "exp.toml"))
        made[cwd], roots = read.resolved()
        assert (made[cwd].folder, roots, list(made[cwd].files)) == (folder, [root], ["train.py"])
        assert folder_of(made[cwd].files, folder, roots) == mine
    assert made[mine].differences(made[mine.parent]) == []
    # a worker with the one root or the other
    assert folder_of(made[mine.parent].files, "mine", [mine]) == mine
    with pytest.raises(ProgramError, match="not all of train.py found"):
        folder_of(made[mine].files, "../mine", [tmp_path / "elsewhere"])
    with pytest.raises(ProgramError, match="the folder mine is not found"):
        folder_of({}, "mine", [])


def test_a_script_that_is_missing_or_not_executable_is_refused_at_submission(
    tmp_path: Path,
) -> None:
    with pytest.raises(ProgramError, match="train.py is not a file in"):
        files("python train.py", tmp_path)
    (tmp_path / "train.sh").write_text("#!/bin/sh\n")
    with pytest.raises(ProgramError, match=r"train.sh is not executable; chmod \+x"):
        files("./train.sh {lr}", tmp_path)
