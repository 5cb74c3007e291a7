"""The programs in workers/frameworks/: what a framework trains in two processes is what it trains
in one, and it lets go of a segment that is wanted back or cancelled."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from asha_queue.search.rules import check
from tests.processes.directory import Directory
from tests.processes.pieces import WORKERS, Piece, Reports, train_apart

# most of it is imports, which a busy machine makes minutes of
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Program(NamedTuple):
    """A program, the module without which it cannot run, and what to train it with."""

    name: str
    needs: str
    config: dict[str, float]
    metric: str

    @property
    def path(self) -> str:
        return f"frameworks/{self.name}"


PROGRAMS = [
    Program("keras_digits.py", "keras", {"lr": 3e-3, "hidden": 32}, "accuracy"),
    Program(
        "lightning_digits.py", "lightning", {"lr": 3e-3, "hidden": 32, "batch": 32}, "accuracy"
    ),
    Program("transformers_text.py", "transformers", {"lr": 1e-2, "width": 32, "batch": 8}, "loss"),
]


@pytest.fixture(scope="module", params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    program: Program = request.param
    for module in ("torch", program.needs):
        if find_spec(module) is None:  # not imported: segments have processes of their own
            pytest.skip(f"{module} is not installed; `make .venv/.for-frameworks` does it")
    return program


@dataclass(frozen=True)
class Trained:
    """What was reported: in the first process, and by what went on in a second one."""

    at_once: Reports
    three: Reports
    drained: Reports
    cancelled: Reports
    six_more: Reports
    after_drained: Reports
    folder: Path


@pytest.fixture(scope="module")
def trained(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp(program.needs)

    def piece(start: int, target: int, name: str, after: str | None = None, **more: int) -> Piece:
        checkpoint = str(folder / after) if after else None
        kept = str(folder / name)
        return Piece(program.config, program.metric, start, target, kept, checkpoint, **more)

    first = train_apart(
        program.path,
        piece(0, 3, "three"),
        piece(0, 4, "drained", drain_at=2),
        piece(0, 9, "cancelled", cancel_at=2),
        piece(0, 9, "at once"),
    )
    second = train_apart(
        program.path,
        piece(2, 4, "after drained", after="drained"),
        piece(3, 9, "six more", after="three"),
    )
    three, drained, cancelled, at_once = first
    after_drained, six_more = second
    return Trained(at_once, three, drained, cancelled, six_more, after_drained, folder)


def test_three_epochs_and_six_in_another_process_equal_nine_bit_for_bit(
    program: Program, trained: Trained
) -> None:
    assert [report["step"] for report in trained.at_once] == list(range(1, 10))
    assert trained.at_once == trained.three + trained.six_more
    first, last = (trained.at_once[at][program.metric] for at in (0, -1))
    assert last > first + 0.1 if program.metric == "accuracy" else last < first - 0.2


def test_a_segment_that_is_wanted_back_ends_and_another_process_goes_on_where_it_was(
    trained: Trained,
) -> None:
    assert len(trained.drained) == 2
    assert trained.drained + trained.after_drained == trained.at_once[:4]


def test_a_cancelled_trial_is_stopped_through_the_framework(trained: Trained) -> None:
    assert trained.cancelled == []  # TrialStopped has come out
    assert not (trained.folder / "cancelled").exists()


def test_a_small_experiment_is_run_to_its_end(program: Program, directory: Directory) -> None:
    text = (WORKERS / program.path).read_text()
    for name in ("EPOCHS = ", "num_samples=", "reduction_factor="):
        text, changes = re.subn(rf"{name}\d+", f"{name}2", text)
        assert changes == 1
    directory.write(program.name, text)
    directory.environment["KERAS_HOME"] = str(directory.path)
    directory.call("run", program.name, "--workers", "1", seconds=500)
    journal = directory.journal(program.name.removesuffix(".py"))
    completed = [entry for entry in journal if entry["type"] == "completed"]
    assert check(journal) == []
    assert [e for e in journal if e["type"] in {"failed", "lost", "warning"}] == []
    # two, and the better one goes on from its checkpoint
    assert sorted(e["start"] for e in journal if e["type"] == "started") == [0, 0, 1]
    assert sorted(e["reached"] for e in completed) == [1, 1, 2]
