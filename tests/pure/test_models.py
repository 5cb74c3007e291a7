"""The best models are taken out of a storage whole, or not at all with the reason."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from asha_queue.checkpoints import Checkpoints
from asha_queue.cli import root as command
from asha_queue.errors import AshaQueueError, CheckpointUnreachable, ModelError
from asha_queue.models import take_out
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.store.journal import dump
from tests.pure.entries import Entry, completed, scheduled

UID = "0123456789abcdef"


def specification(root: Path, **fields: Any) -> Specification:
    default = {"metric": "loss", "mode": "min", "storage": str(root)}
    space = {"x": uniform(0.0, 1.0)}
    return Specification(
        name="sums", train="sums.py:train", space=space, max_t=9, num_samples=3, seed=5,
        **(default | fields),
    )  # fmt: skip


class Run:
    """An experiment whose trials have saved what they are: `weights of TRIAL`."""

    def __init__(self, root: Path, results: list[dict[str, Any]], **fields: Any) -> None:
        self.checkpoints = Checkpoints(root, "sums", UID)
        experiment = specification(root, **fields).to_json()
        self.entries: list[Entry] = [{"type": "submitted", "uid": UID, "experiment": experiment}]
        for trial, metrics in enumerate(results):
            self.entries.append(scheduled(trial, config={"x": trial / 10}))
            self.entries.append(
                completed(trial, metrics=metrics, reached=1, checkpoint=self.saved(trial, metrics))
            )

    def saved(self, trial: int, metrics: dict[str, float]) -> dict[str, Any]:
        with self.checkpoints.writer(trial, 7, "c0123456", 1, metrics) as draft:
            (draft.folder / "parts").mkdir()
            (draft.folder / "parts" / "weights").write_text(f"weights of {trial}")
        return draft.record

    def journal(self, path: Path) -> Path:
        kept = [
            {"v": 1, "id": f"{number}-0", "at": float(number), **entry}
            for number, entry in enumerate(self.entries, start=1)
        ]
        path.write_text("".join(dump(entry) for entry in kept))
        return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs"


@pytest.fixture
def run(root: Path) -> Run:
    return Run(root, [{"loss": 0.5}, {"loss": 0.2}, {"loss": 0.9}])


def test_the_best_one_is_copied_with_what_it_is(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "models" / "sums"
    journal = run.journal(tmp_path / "journal.jsonl")
    said = CliRunner().invoke(command, ["best", str(journal), str(target)])
    assert said.output == f"trial 1: loss=0.2 at 1: x=0.1\n  {target}\n"
    assert (target / "checkpoint/parts/weights").read_text() == "weights of 1"
    assert json.loads((target / "trial.json").read_text()) == {
        "experiment": "sums",
        "trial": 1,
        "resource": 1,
        "metrics": {"loss": 0.2},
        "config": {"x": 0.1},
    }
    assert sorted(path.name for path in target.iterdir()) == ["checkpoint", "trial.json"]


def test_as_json_it_tells_the_same_and_where_it_is(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "empty"
    target.mkdir()
    journal = run.journal(tmp_path / "journal.jsonl")
    said = CliRunner().invoke(command, ["best", str(journal), str(target), "--json"])
    [model] = json.loads(said.output)
    assert model.pop("folder") == str(target)
    assert model == json.loads((target / "trial.json").read_text())


def test_of_several_metrics_the_whole_front_is_taken_out(root: Path, tmp_path: Path) -> None:
    results = [{"loss": a, "size": b} for a, b in [(0.1, 9.0), (0.2, 9.5), (0.3, 2.0)]]
    run = Run(root, results, metric=["loss", "size"], mode=["min", "min"])
    models = take_out(run.entries, tmp_path / "front", None)
    assert [model.trial for model in models] == [0, 2]
    folders = [tmp_path / "front" / "trial-0", tmp_path / "front" / "trial-2"]
    assert [Path(model.folder) for model in models] == folders
    for model, folder in zip(models, folders, strict=True):
        saved = (folder / "checkpoint" / "parts" / "weights").read_text()
        assert saved == f"weights of {model.trial}"
        assert json.loads((folder / "trial.json").read_text())["metrics"] == model.metrics


def refused(
    run: Run,
    target: Path,
    said: str,
    kind: type[AshaQueueError] = ModelError,
    storage: str | None = None,
) -> None:
    there = sorted(target.rglob("*")) if target.is_dir() else target.exists()
    with pytest.raises(kind, match=said):
        take_out(run.entries, target, storage)
    assert there == (sorted(target.rglob("*")) if target.is_dir() else target.exists())


def test_without_a_result_there_is_none(root: Path, tmp_path: Path) -> None:
    refused(Run(root, []), tmp_path / "models", "sums has no result yet: there is no best model")
    ended = Run(root, [])
    ended.entries.append({"type": "cancelled"})
    refused(ended, tmp_path / "models", "sums has no result: there is no best model")
    bounded = Run(root, [{"loss": 0.5}], constraints={"loss": {"max": 0.1}})
    refused(bounded, tmp_path / "models", "sums has no result that meets the constraints yet")


def test_one_that_saved_nothing_cannot_be_taken_out(run: Run, tmp_path: Path) -> None:
    run.entries[4] = {**run.entries[4], "checkpoint": None}
    refused(run, tmp_path / "models", "trial 1 at 1, .* has saved no checkpoint, .*trial.save")


def test_one_that_was_evicted_is_told_so(run: Run, tmp_path: Path) -> None:
    path = run.entries[4]["checkpoint"]["path"]
    evicted = {"type": "evicted", "trial": 1, "rung": 0, "checkpoints": [path]}
    run.entries.append({**evicted, "reached": 1, "left": 0})
    refused(run, tmp_path / "models", "trial 1 .* no checkpoint any more: .*keep_checkpoints='need")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "parts/weights").write_text("weights of 2"), "is not the file"),
    ],
)
def test_one_that_is_lost_or_changed_leaves_nothing(
    run: Run, root: Path, tmp_path: Path, harm: Callable[[Path], None], said: str
) -> None:
    harm(root / run.entries[4]["checkpoint"]["path"])
    refused(run, tmp_path / "models", f"trial 1 cannot be taken out: .*{said}.* call this again")
    (tmp_path / "there").mkdir()
    refused(run, tmp_path / "there", said)


def test_of_a_front_all_are_taken_out_or_none(root: Path, tmp_path: Path) -> None:
    results = [{"loss": 0.1, "size": 9.0}, {"loss": 0.3, "size": 2.0}]
    run = Run(root, results, metric=["loss", "size"], mode=["min", "min"])
    (root / run.entries[4]["checkpoint"]["path"] / "parts/weights").unlink()
    refused(run, tmp_path / "models", "trial 1 cannot be taken out: .*weights is missing")


def test_a_folder_with_anything_in_it_stays_as_it_is(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "models"
    target.mkdir()
    (target / "mine").write_text("precious")
    refused(run, target, "models is not empty, it has mine: it stays as it is")
    refused(run, target / "mine", "mine cannot be used: Not a directory")
    refused(run, target / "mine" / "below", "Not a directory")


def test_a_storage_that_is_not_seen_from_here_is_named(run: Run, tmp_path: Path) -> None:
    away = str(tmp_path / "away")
    said = "away does not exist here. Call this where the storage is mounted, or name it by --stor"
    refused(run, tmp_path / "models", said, CheckpointUnreachable, away)


def test_what_is_no_journal_of_an_experiment_is_refused(run: Run, tmp_path: Path) -> None:
    run.entries = run.entries[1:]
    refused(run, tmp_path / "models", "no journal of an experiment")
