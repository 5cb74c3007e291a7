"""The programs in workers/frameworks/: what a framework trains in two processes is what it trains
in one, and it lets go of a segment that is wanted back or cancelled."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from asha_queue.search.rules import check
from tests.processes.directory import Directory
from tests.processes.pieces import WORKERS, Piece, in_pieces, run, train_apart

pytestmark = pytest.mark.slow


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
    Program("transformers_text.py", "transformers", {"lr": 3e-3, "width": 32, "batch": 16}, "loss"),
]


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request: pytest.FixtureRequest) -> Program:
    program: Program = request.param
    for module in ("torch", program.needs):
        if find_spec(module) is None:  # not imported: each segment has a process of its own
            pytest.skip(f"{module} is not installed; `make .venv/.for-frameworks` does it")
    return program


def test_three_epochs_and_six_in_another_process_equal_nine_bit_for_bit(
    program: Program, tmp_path: Path
) -> None:
    asked = program.path, program.config, program.metric
    at_once, _ = in_pieces(*asked, tmp_path / "at once", 9, train=train_apart)
    pieces, _ = in_pieces(*asked, tmp_path / "in pieces", 3, 9, train=train_apart)
    assert [report["step"] for report in at_once] == list(range(1, 10))
    assert at_once == pieces
    first, last = (report[program.metric] for report in (at_once[0], at_once[-1]))
    assert last > first + 0.1 if program.metric == "accuracy" else last < first - 0.5


def test_a_segment_that_is_wanted_back_ends_and_another_process_goes_on_where_it_was(
    program: Program, tmp_path: Path
) -> None:
    drained = str(tmp_path / "drained")
    config, metric = program.config, program.metric
    before = train_apart(program.path, Piece(config, metric, 0, 4, drained, drain_at=2))
    after = train_apart(program.path, Piece(config, metric, 2, 4, str(tmp_path / "on"), drained))
    assert [report["step"] for report in before + after] == [1, 2, 3, 4]


def test_a_cancelled_trial_is_stopped_through_the_framework(
    program: Program, tmp_path: Path
) -> None:
    piece = Piece(program.config, program.metric, 0, 9, str(tmp_path / "cancelled"), cancel_at=2)
    done = run(program.path, piece)
    assert done.returncode == 3, done.stdout + done.stderr  # TrialStopped has come out
    assert not Path(piece.folder).exists()


def test_a_small_experiment_is_run_to_its_end(program: Program, directory: Directory) -> None:
    text = (WORKERS / program.path).read_text()
    for name, value in (("EPOCHS = ", "3"), ("num_samples=", "4")):
        text, changes = re.subn(rf"{name}\d+", f"{name}{value}", text)
        assert changes == 1
    directory.write(program.name, text)
    directory.environment["KERAS_HOME"] = str(directory.path)
    directory.call("run", program.name, "--workers", "1")
    journal = directory.journal(program.name.removesuffix(".py"))
    completed = [entry for entry in journal if entry["type"] == "completed"]
    assert check(journal) == []
    assert [e for e in journal if e["type"] in {"failed", "lost", "warning"}] == []
    assert [e["reached"] for e in completed].count(1) == 4
    # one was continued from its checkpoint
    assert [e["reached"] for e in completed].count(3) == 1
    assert sorted(e["start"] for e in journal if e["type"] == "started") == [0, 0, 0, 0, 1]
