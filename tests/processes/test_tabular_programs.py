"""The programs for scikit-learn, XGBoost and LightGBM, and the objective for Optuna: trained in
pieces they are what they are when trained in one go, and each is an experiment that ends."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from asha_queue.search.rules import check
from asha_queue.training.dialects import program
from asha_queue.training.programs import digest
from asha_queue.training.trial import Trial
from tests.processes.directory import Directory
from tests.pure.test_trial import Segment

WORKERS = Path(__file__).parents[2] / "workers"
SKLEARN = {"alpha": 1e-4, "eta0": 0.1, "learning_rate": "invscaling", "average": True}
XGBOOST = {"eta": 0.3, "max_depth": 4, "min_child_weight": 1.0, "subsample": 0.6}
LIGHTGBM = {"learning_rate": 0.1, "num_leaves": 15, "min_child_samples": 5}
OPTUNA = {"alpha": 1e-4, "eta0": 0.1, "schedule": "invscaling"}
PROGRAMS: list[Any] = [
    ("frameworks/sklearn_digits.py", SKLEARN, "sklearn"),
    ("optuna_digits.py", OPTUNA, "sklearn"),
    ("frameworks/xgboost_cancer.py", XGBOOST | {"colsample_bytree": 0.5}, "xgboost"),
    (
        "frameworks/lightgbm_cancer.py",
        LIGHTGBM | {"bagging_fraction": 0.6, "feature_fraction": 0.5},
        "lightgbm",
    ),
]


def trained(
    path: Path, config: dict[str, Any], folder: Path, *targets: int
) -> tuple[list[tuple[int, dict[str, float]]], Path]:
    """The reports of the segments up to each of `targets`, and the last checkpoint."""
    objective = path.name.startswith("optuna")
    function = program(
        {
            "train": f"{path.name}:{'objective' if objective else 'train'}",
            "digest": digest(path),
            "dialect": "optuna" if objective else "trial",
            "metric": "accuracy",
            "space": config,
        },
        [path.parent],
    )
    reports: list[tuple[int, dict[str, float]]] = []
    checkpoint, start = None, 0
    for target in targets:
        segment = Segment(folder / str(target), start, target)
        trial = Trial(
            segment,
            number=7,
            config=config,
            experiment="test",
            rung=0,
            attempt=1,
            device="cpu",
            checkpoint=checkpoint,
        )
        segment.progress.finish(function(trial))
        reports += segment.shown[: target - start]
        [record] = segment.records
        checkpoint, start = folder / str(target) / record["path"], target
    assert checkpoint
    return reports, checkpoint


@pytest.mark.parametrize(("name", "config", "library"), PROGRAMS)
def test_three_and_six_steps_in_two_segments_are_nine_in_one_bit_for_bit(
    name: str, config: dict[str, Any], library: str, tmp_path: Path
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed; make test-all installs it")
    at_once, one = trained(WORKERS / name, config, tmp_path / "at once", 9)
    in_pieces, two = trained(WORKERS / name, config, tmp_path / "in pieces", 3, 9)
    assert [step for step, _ in at_once] == list(range(1, 10))
    assert at_once == in_pieces
    assert len({json.dumps(metrics) for _, metrics in at_once}) > 3
    [file] = [path.name for path in one.iterdir() if path.name.startswith("model")]
    assert known(one / file) == known(two / file)


def known(path: Path) -> Any:
    """What the next step depends on, bit for bit."""
    if path.suffix in (".ubj", ".txt"):
        return path.read_bytes()
    model, rest = pickle.loads(path.read_bytes())
    state = rest if isinstance(rest, int) else rest.bit_generator.state
    return model.coef_.tobytes(), model.intercept_.tobytes(), model.t_, model.get_params(), state


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    made = Directory(tmp_path)
    yield made
    made.end()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "config", "library"), PROGRAMS)
def test_each_is_an_experiment_that_ends(
    name: str, config: dict[str, Any], library: str, directory: Directory
) -> None:
    pytest.importorskip(library, reason=f"{library} is not installed; make test-all installs it")
    text = (WORKERS / name).read_text()
    directory.write("p.py", text.replace("num_samples=64", "num_samples=12"))
    out = directory.call("run", "p.py", "--workers", "1")
    assert "best " in out
    journal = directory.journal(Path(name).stem.replace("_", "-"))
    assert check(journal) == []
    kinds = [entry["type"] for entry in journal]
    assert kinds[-1] == "finished"
    assert "failed" not in kinds
    completed = [entry for entry in journal if entry["type"] == "completed"]
    assert {entry["rung"] for entry in completed} >= {0, 1}
    assert all(entry["start"] > 0 for entry in journal if _continues(entry))


def _continues(entry: dict[str, Any]) -> bool:
    return bool(entry["type"] == "started" and entry["rung"] > 0)
