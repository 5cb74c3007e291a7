"""The README's commands and examples do what it says, in a copy of the repository's `workers/`."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue import Experiment
from asha_queue.specification import Specification
from tests.chaos import processes
from tests.conftest import answers, wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent


def block(language: str, containing: str) -> str:
    """The first fenced block of a language that contains a text."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README, flags=re.S)
    return next(text for text in blocks if containing in text)


def commands(containing: str) -> list[str]:
    """The lines of the indented block that contains a text, without their explanations."""
    paragraphs = re.findall(r"(?:^    \S.*\n)+", README, flags=re.M)
    lines = next(text for text in paragraphs if containing in text).splitlines()
    return [re.split(r"\s{2,}#?", line.strip())[0] for line in lines]


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A folder with the repository's workers, in which nothing is left running."""
    shutil.copytree(ROOT / "workers", tmp_path / "workers")
    mark = uuid.uuid4().hex
    os.environ[processes.MARK] = mark
    yield tmp_path
    del os.environ[processes.MARK]
    left = processes.of_run(mark, tmp_path)
    for found in left.values():
        for process in found:
            process.kill()
    assert not left


def call(command: str, folder: Path, **environment: str) -> str:
    """Runs a command as a shell in the project's virtual environment would."""
    words = shlex.split(command)
    done = subprocess.run(
        [BIN / words[0], *words[1:]],
        cwd=folder,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_first_command_prints_what_the_readme_shows_and_the_others_follow(clone: Path) -> None:
    shown = block("", "$ asha-queue run").splitlines()
    command = next(line[2:] for line in shown if line.startswith("$ asha-queue"))
    printed = call(command, clone)
    for line in shown:
        if not line.startswith("$"):
            form = re.sub(r"\\?[\d.,]+", r"[\\d.,]+", re.escape(line))
            assert re.search(form, printed), f"no line such as {line!r} in\n{printed}"
    looks = commands("asha-queue status digits")
    assert len(looks) == 6
    for look in looks:
        yes = " --yes" if "delete" in look else ""
        assert call(look + yes, clone)


def test_the_commands_for_a_server_of_ones_own_work_in_their_order(
    clone: Path, broker: str
) -> None:
    export, worker, flower, run = commands("celery -A asha_queue worker")
    assert export.startswith("export ASHA_QUEUE_BROKER=redis://")
    shutil.copy(clone / "workers" / "digits.py", clone)
    source = (clone / "digits.py").read_text()
    (clone / "digits.py").write_text(source.replace("num_samples=256", "num_samples=16"))
    with (clone / "log").open("wb") as log:
        started = [
            subprocess.Popen(
                [BIN / shlex.split(command)[0], *shlex.split(command)[1:]],
                cwd=clone,
                env=os.environ | {"ASHA_QUEUE_BROKER": broker},
                stdout=log,
                stderr=log,
            )
            for command in (worker, f"{flower} --port=0")
        ]
    try:
        assert "best" in call(run, clone, ASHA_QUEUE_BROKER=broker)
        assert "Visit me at http" in (clone / "log").read_text()
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(timeout=30)
    assert answers(broker)
    mark = os.environ[processes.MARK]
    wait_until(lambda: not processes.of_run(mark, clone), "worker, keeper and Flower have ended")


def test_the_experiment_in_python_and_the_one_in_toml_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "digits.py").write_text(block("python", "def train(trial"))
    (tmp_path / "digits.toml").write_text(block("toml", "train ="))
    names: dict[str, object] = {"__name__": "digits"}
    path = str(tmp_path / "digits.py")
    exec(compile((tmp_path / "digits.py").read_text(), path, "exec"), names)
    experiment = names["experiment"]
    assert isinstance(experiment, Experiment)
    assert experiment == Specification.from_toml(tmp_path / "digits.toml")


def test_the_simulation_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python", "simulate("), "README.md", "exec"), {"__name__": "example"})
    assert "'x'" in capsys.readouterr().out
