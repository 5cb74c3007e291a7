"""The best models of an experiment, taken out of its storage into a folder.

Rules

* The best are those that `status` shows as such: one, or with several metrics the Pareto front.
* A model's folder gets `checkpoint/`, whose files are those that the program saved, compared with
  their manifest after they were copied, and then `trial.json`, which says what they are. With
  several metrics each has a folder of its own, `trial-N/`.
* All of them are taken out or none: what was copied before an error is removed again. A folder that
  has anything in it is somebody's, and is left as it is.
* Nothing is held in the storage meanwhile. While an experiment runs, its best checkpoint may have
  had to make room for a better one by the time it is copied; then the error says so.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from asha_queue import where
from asha_queue.checkpoints import Checkpoints
from asha_queue.errors import CheckpointCorrupt, CheckpointUnreachable, ModelError
from asha_queue.result import Best, Result
from asha_queue.storage import opened
from asha_queue.storage.patience import QUICK
from asha_queue.store.entries import misrecorded
from asha_queue.store.journal import finite

#: In a model's folder: the files that the program saved, and what they are.
CHECKPOINT: Final = "checkpoint"
ABOUT: Final = "trial.json"


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was taken out, into `folder`."""

    experiment: str
    trial: int
    resource: int
    metrics: dict[str, Any]
    config: dict[str, Any]
    folder: str


def take_out(entries: Sequence[dict[str, Any]], target: Path, storage: str | None) -> list[Model]:
    """Copies the best models of the experiment with this journal to `target`, a folder that is new
    or empty; `storage` is that of the caller, who may see it elsewhere.

    Raises ModelError when there is none, and CheckpointUnreachable where it is not to be seen.
    """
    if not entries or entries[0]["type"] != "submitted" or "uid" not in entries[0]:
        raise ModelError("no journal of an experiment, which begins with 'submitted'")
    result = Result.from_journal(entries)
    specification, uid = result.specification, entries[0]["uid"]
    gone = {path for e in entries if e["type"] == "evicted" for path in e["checkpoints"]}
    best = _best(result, gone)
    root = where.storage(storage, specification.storage).url
    checkpoints = Checkpoints(opened(root, QUICK), specification.name, uid)
    made = _made(target)
    models = []
    try:
        for one in best:
            folder = target / f"trial-{one.trial}" if len(specification.metrics) > 1 else target
            _copy(result, one, checkpoints, folder)
            about = (one.trial, one.resource, one.metrics, one.config, str(folder.absolute()))
            models.append(Model(specification.name, *about))
        for model in models:  # now that nothing can be missing
            _describe(model)
    except BaseException as error:
        _clear(target, made)
        if isinstance(error, OSError):
            place = error.filename2 or error.filename or target
            raise ModelError(f"{place} cannot be written: {error.strerror}") from None
        raise
    finally:
        checkpoints.release()
    return models


def _best(result: Result, gone: set[str]) -> list[Best]:
    """The best, all of which have a checkpoint."""
    name = result.specification.name
    if not result.best:
        why = "no result that meets the constraints" if result.nearest else "no result"
        yet = "" if result.state in ("finished", "cancelled") else " yet"
        raise ModelError(f"experiment {name} has {why}{yet}: there is no best model")
    for one in result.pareto_front:
        described = f"trial {one.trial} at {one.resource}, of the best of experiment {name},"
        if not one.checkpoint:
            raise ModelError(
                f"{described} has saved no checkpoint, so there is nothing to take out: its "
                f"program saves one by trial.save(). What there is of it: asha-queue status {name} "
                f"{one.trial}"
            )
        if wrong := misrecorded(one.checkpoint):
            raise ModelError(f"{described} has a checkpoint whose record is none: {wrong}")
        if one.checkpoint["path"] in gone:
            raise ModelError(
                f"{described} has no checkpoint any more: it was removed, as "
                f"keep_checkpoints={result.specification.keep_checkpoints!r} has it"
            )
    return result.pareto_front


def _copy(result: Result, one: Best, checkpoints: Checkpoints, folder: Path) -> None:
    assert one.checkpoint, "_best has looked"
    try:
        checkpoints.copy(one.checkpoint, folder / CHECKPOINT)
    except CheckpointUnreachable as error:
        raise CheckpointUnreachable(
            f"{error}. Call this where the storage is mounted, or name it by --storage or "
            f"ASHA_QUEUE_STORAGE"
        ) from None
    except CheckpointCorrupt as error:
        said = f"the checkpoint of trial {one.trial} cannot be taken out: {error}"
        if result.state not in ("finished", "cancelled"):
            said += ". If a better one has taken its place meanwhile, call this again"
        raise ModelError(said) from None


def _describe(model: Model) -> None:
    about = asdict(model)
    del about["folder"]  # it may be moved
    text = json.dumps(finite(about), indent=2, ensure_ascii=False, allow_nan=False)
    (Path(model.folder) / ABOUT).write_text(text + "\n", encoding="utf-8")


def _made(target: Path) -> bool:
    """Makes the folder if there is none, and says whether it did."""
    try:
        there = sorted(path.name for path in target.iterdir())
    except FileNotFoundError:
        try:
            target.mkdir(parents=True)
        except OSError as error:
            raise ModelError(f"{target} cannot be made: {error.strerror}") from None
        return True
    except OSError as error:
        raise ModelError(f"{target} cannot be used: {error.strerror}") from None
    if there:
        raise ModelError(
            f"{target} is not empty, it has {there[0]}: it stays as it is. Name a folder that is "
            f"new or empty"
        )
    return False


def _clear(target: Path, made: bool) -> None:
    """Removes what was copied, and the folder if it was made for it."""
    for path in target.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    if made:
        target.rmdir()
