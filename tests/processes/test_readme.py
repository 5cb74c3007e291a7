"""The README's commands and examples do what it says, in a copy of the repository's `workers/`."""

import json
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

from asha_queue import Experiment, Handle
from asha_queue.specification import Specification
from asha_queue.store import connect
from tests.chaos import processes
from tests.conftest import answers, free_port, wait_until

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
    done = subprocess.run(
        shlex.split(command),
        cwd=folder,
        env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"} | environment,
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
    shutil.rmtree(clone / "asha-runs" / ".valkey")  # the server has lost its data
    [restore] = commands("asha-queue restore")
    assert "256 trials" in call(restore, clone)
    looks = commands("asha-queue status digits 17")
    assert len(looks) == 10
    for look in looks:
        yes = " --yes" if "delete" in look else ""
        assert call(look + yes, clone)
    assert "Learning curves" in (clone / "digits.html").read_text()


#: Commands of the cluster's walk-through that run until they are ended.
STANDING = ("coordinator", "worker", "flower")


def test_the_walk_through_of_a_cluster_works_word_for_word(clone: Path, broker: str) -> None:
    shutil.copy(clone / "workers" / "digits.py", clone)
    source = (clone / "digits.py").read_text()
    (clone / "digits.py").write_text(source.replace("num_samples=256", "num_samples=16"))
    lines = [
        *commands("asha-queue coordinator"),
        *commands("asha-queue worker"),
        *commands("asha-queue doctor"),
    ]
    port = free_port()  # rather than Flower's own, which may be taken
    environment = {}
    started = {}
    printed = {}
    try:
        for line in lines:
            words = shlex.split(line.replace("/shared/runs", str(clone / "runs")))
            if words[0] == "export":
                assert words[1].startswith("ASHA_QUEUE_BROKER=redis://")
                environment = {"ASHA_QUEUE_BROKER": broker, "FLOWER_BASIC_AUTH": "ada:secret"}
                environment["FLOWER_PORT"] = str(port)
            elif words[1] in STANDING:
                started[words[1]] = start(words, clone, environment)
            else:
                printed[words[1]] = call(shlex.join(words), clone, **environment)
            if line == "asha-queue worker":
                wait_until(lambda: connect(broker).workers(), "the worker is there")
        assert "0 errors" in printed["doctor"]
        assert "digits" in printed["status"]
        handle = Handle.of("digits", broker)
        assert handle.wait(60).state == "finished"
        assert (clone / "runs" / "digits" / "best.json").is_file()
        wait_until(lambda: "Visit me at http" in (clone / "log").read_text(), "Flower is up")
        steer(clone, environment, handle)
    finally:
        for process in started.values():
            process.terminate()
        codes = {name: process.wait(timeout=60) for name, process in started.items()}
    assert codes["coordinator"] == codes["worker"] == 0
    assert answers(broker)
    mark = os.environ[processes.MARK]
    wait_until(lambda: not processes.of_run(mark, clone), "all has ended")


def steer(clone: Path, environment: dict[str, str], handle: Handle) -> None:
    """The commands that steer an experiment, on the finished one; `extend` opens it again."""
    lines = {line.split()[1]: line for line in commands("asha-queue pause digits")}
    assert list(lines) == ["pause", "resume", "extend", "retry", "cancel"]
    call(lines["extend"].replace("300", "60"), clone, **environment)  # more than end meanwhile
    call(lines["pause"], clone, **environment)
    assert handle.result().state == "paused"
    call(lines["resume"], clone, **environment)
    assert "none" in call(lines["retry"], clone, **environment)
    result = handle.wait(60)
    assert result.state == "finished"
    assert [rung.level for rung in result.rungs] == [1, 4, 16, 64, 256]
    assert len(result.trials) == 60
    call(lines["extend"], clone, **environment)
    [order] = commands("curl -u ada:secret")
    here = order.replace(":5555/", f":{environment['FLOWER_PORT']}/")
    assert json.loads(call(here, clone))["state"] == "paused"
    call(lines["cancel"], clone, **environment)
    assert handle.result().state == "cancelled"


def start(words: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [BIN / words[0], *words[1:]],
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


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
