"""The programs in workers/: trained in pieces they are what they are when trained in one go."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asha_queue.checkpoints import Draft
from asha_queue.training.programs import digest, load
from asha_queue.training.progress import Progress
from asha_queue.training.trial import Trial

WORKERS = Path(__file__).parent.parent.parent / "workers"
GOOD = {"lr": 0.1, "hidden": 128, "batch": 32}


class Segment:
    """A segment without a worker: its checkpoint is written to `folder`."""

    def __init__(self, start: int, target: int, folder: Path) -> None:
        self.progress = Progress(start, target, "accuracy")
        self.folder = folder
        self.reports: list[dict[str, float]] = []

    def draining(self) -> bool:
        return False

    def go_on(self) -> None:
        pass

    def live(self, step: int, metrics: dict[str, float]) -> None:
        self.reports.append(metrics)

    @contextlib.contextmanager
    def writer(self, resource: int, metrics: dict[str, float]) -> Iterator[Draft]:
        self.folder.mkdir(parents=True)
        yield Draft(self.folder, resource, metrics)

    def written(self, record: dict[str, Any]) -> None:
        pass


def train(program: str, folder: Path, *targets: int) -> tuple[list[dict[str, float]], Path]:
    """Trains one segment up to each of `targets`; returns all reports and the last checkpoint."""
    path = WORKERS / program
    function = load(f"{program}:train", [WORKERS], digest(path))
    reports: list[dict[str, float]] = []
    checkpoint, start = None, 0
    for rung, target in enumerate(targets):
        segment = Segment(start, target, folder / str(target))
        function(
            Trial(
                segment,
                number=7,
                config=GOOD,
                experiment="digits",
                rung=rung,
                attempt=1,
                device="cpu",
                checkpoint=checkpoint,
            )
        )
        reports += segment.reports
        checkpoint, start = segment.folder, target
    assert checkpoint is not None
    return reports, checkpoint


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
