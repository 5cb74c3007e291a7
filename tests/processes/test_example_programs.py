"""The programs in workers/: trained in pieces they are what they are when trained in one go."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.processes.pieces import ROOT, WORKERS, Reports, in_pieces

GOOD = {"lr": 0.1, "hidden": 128, "batch": 32}
#: Each program in workers/ and a test that runs it, whole.
RUN_BY = {
    "any_script.py": "tests/processes/test_commands.py",
    "digits.py": "tests/processes/test_digits_run.py",
    "digits_torch.py": "tests/processes/test_example_programs.py",
    "frameworks/keras_digits.py": "tests/processes/test_frameworks.py",
    "frameworks/lightgbm_cancer.py": "tests/processes/test_tabular_programs.py",
    "frameworks/lightning_digits.py": "tests/processes/test_frameworks.py",
    "frameworks/sklearn_digits.py": "tests/processes/test_tabular_programs.py",
    "frameworks/transformers_text.py": "tests/processes/test_frameworks.py",
    "frameworks/xgboost_cancer.py": "tests/processes/test_tabular_programs.py",
    "optuna_digits.py": "tests/processes/test_tabular_programs.py",
    "ray_article.py": "tests/processes/test_tune.py",
    "script.toml": "tests/processes/test_commands.py",
    "torchrun.toml": "tests/processes/test_torchrun.py",
    "torchrun_digits.py": "tests/processes/test_torchrun.py",
    "start": "tests/processes/test_workers_start.py",
}


def train(program: str, folder: Path, *targets: int) -> tuple[Reports, Path]:
    """Trains one segment up to each of `targets`; returns all reports and the last checkpoint."""
    return in_pieces(program, GOOD, "accuracy", folder, *targets)


def test_every_program_in_workers_has_a_test_that_runs_it() -> None:
    programs = {
        str(path.relative_to(WORKERS))
        for path in WORKERS.rglob("*")
        if path.is_file() and path.suffix not in {".md", ".pyc"}
    }
    assert programs == RUN_BY.keys(), "put each into RUN_BY, with the test that runs it"
    for program, test in RUN_BY.items():
        found = (ROOT / test).read_text().count(f'{Path(program).name}"')
        in_table = ROOT / test == Path(__file__)
        assert found > in_table, f"{test} does not run {program}"


def test_digits_in_two_segments_equals_digits_in_one_bit_for_bit(tmp_path: Path) -> None:
    at_once, one = train("digits.py", tmp_path / "at once", 9)
    in_pieces, two = train("digits.py", tmp_path / "in pieces", 3, 9)
    assert len(at_once) == 9
    assert at_once == in_pieces
    with np.load(one / "model.npz") as expected, np.load(two / "model.npz") as found:
        assert len(expected.files) == 9
        assert sorted(expected.files) == sorted(found.files)
        for name in expected.files:
            assert expected[name].tobytes() == found[name].tobytes(), name


def test_a_good_configuration_of_digits_reaches_97_percent(tmp_path: Path) -> None:
    reports, _ = train("digits.py", tmp_path, 64)
    assert reports[-1]["accuracy"] >= 0.97


@pytest.fixture
def one_thread() -> Iterator[None]:
    """PyTorch with a single thread, as in a worker: on a busy machine more are far slower."""
    import torch  # installed for the slow tests only

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_digits_torch_in_two_segments_equals_it_in_one_bit_for_bit(tmp_path: Path) -> None:
    import torch

    at_once, one = train("digits_torch.py", tmp_path / "at once", 9)
    in_pieces, two = train("digits_torch.py", tmp_path / "in pieces", 3, 9)
    assert len(at_once) == 9
    assert at_once == in_pieces
    expected, found = (torch.load(path / "learning.pt", weights_only=True) for path in (one, two))
    assert expected["model"].keys() == found["model"].keys()
    for name, weights in expected["model"].items():
        assert torch.equal(weights, found["model"][name]), name
    momenta = [state["optimizer"]["state"] for state in (expected, found)]
    for number, state in momenta[0].items():
        assert torch.equal(state["momentum_buffer"], momenta[1][number]["momentum_buffer"])
    assert torch.equal(expected["rng"], found["rng"])


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_good_configuration_of_digits_torch_reaches_97_percent(tmp_path: Path) -> None:
    reports, _ = train("digits_torch.py", tmp_path, 64)
    assert reports[-1]["accuracy"] >= 0.97
