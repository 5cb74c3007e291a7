"""Checkpoints of one experiment, as folders below a storage root.

Rules

* `NAME/checkpoints/UID/TRIAL/TOKEN-CLAIM-STEP/`: no two processes ever write to the same folder,
  not even a frozen one that wakes up after its segment was given to another.
* Files are written under another name; then come the manifest, a sync of everything, and one
  rename. What has no manifest under its final name does not exist.
* Only `remove` deletes what was once finished, for the leader, once it is off the record; the
  manifest goes first: what is half removed does not exist. What a killed writer has left unfinished
  is removed by the next holder of its segment: a frozen one that comes back to it could not make it
  count.
* In an object store the same names hold: the folder is written in this machine's cache, its files
  are stored, then the manifest, which makes it a checkpoint there; see `stored.py`.
* *Corrupt* (the files are not those of the manifest) and *unreachable* (this node does not see the
  experiment's folder at all, or may not read it) are told apart: one has lost the checkpoint, the
  other is a node with another disk.
"""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asha_queue.checkpoints import manifest
from asha_queue.checkpoints.stored import StoredCheckpoints
from asha_queue.checkpoints.trouble import unwritable
from asha_queue.errors import CheckpointCorrupt, CheckpointUnreachable, CheckpointUnwritable
from asha_queue.storage import AnyStorage, Remote, opened
from asha_queue.store.entries import misrecorded

#: Characters of the claim's id in the name of a folder.
CLAIM_SHOWN = 8


@dataclass(slots=True)
class Draft:
    """A checkpoint being written: its folder, what it will stand for, and in the end its record."""

    folder: Path
    resource: int
    metrics: dict[str, float]
    #: {"path", "resource", "metrics", "bytes", "digest"}; `path` is relative to the storage root.
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Restored:
    """Where to go on: the newest good checkpoint's folder and resource, and what had to be
    dropped on the way to it."""

    folder: Path | None
    resource: int
    dropped: list[str]
    reasons: list[str]


class Checkpoints:
    """Writes and verifies the checkpoints of one experiment."""

    def __init__(self, storage: AnyStorage, experiment: str, uid: str) -> None:
        place = opened(storage)
        self._stored = (
            StoredCheckpoints(place, experiment, uid) if isinstance(place, Remote) else None
        )
        #: The storage's folder, or its mirror in the cache.
        self._root = place.local
        self._home = self._root / experiment
        self._uid = uid

    @contextlib.contextmanager
    def writer(
        self,
        trial: int,
        token: int,
        claim: str,
        resource: int,
        metrics: Mapping[str, float],
        config_digest: str = "",
    ) -> Iterator[Draft]:
        """Gives a draft with an empty folder; when the block ends well, the checkpoint exists and
        `draft.record` is what the store keeps of it. An exception removes the folder.

        Raises CheckpointUnwritable when the storage is to blame, also for an error in the block.
        """
        parent = self._home / "checkpoints" / self._uid / str(trial)
        try:
            parent.mkdir(parents=True, exist_ok=True)
            final = _unused(parent, f"{token}-{claim[:CLAIM_SHOWN]}-{resource}")
            draft = Draft(final.with_name(f".{final.name}.partial"), resource, dict(metrics))
            draft.folder.mkdir()
            if self._stored:
                self._stored.hold(draft.folder)
        except OSError as error:
            reason = f"{error.filename or parent}: {error.strerror}"
            raise CheckpointUnwritable(f"no checkpoint can be written: {reason}") from error
        try:
            yield draft
            facts = {
                "uid": self._uid,
                "trial": trial,
                "token": token,
                "claim": claim,
                "resource": resource,
                "metrics": draft.metrics,
                "config_digest": config_digest,
            }
            digest, size = manifest.write(draft.folder, facts)
            if self._stored:
                self._stored.store(draft.folder, final)
            draft.folder.rename(final)
        except CheckpointUnwritable:
            shutil.rmtree(draft.folder, ignore_errors=True)
            raise
        except BaseException as error:
            reason = unwritable(error, draft.folder)  # looked at before there is room again
            shutil.rmtree(draft.folder, ignore_errors=True)
            if reason:
                raise CheckpointUnwritable(f"no checkpoint can be written: {reason}") from error
            raise
        manifest.sync(parent)
        if self._stored:
            self._stored.keep(final, size)
        draft.record = {
            "path": final.relative_to(self._root).as_posix(),
            "resource": resource,
            "metrics": draft.metrics,
            "bytes": size,
            "digest": digest,
        }

    def remove_unfinished(self, trial: int, token: int) -> None:
        """Removes what earlier holders of the trial, with smaller tokens, have left unfinished."""
        for folder in (self._home / "checkpoints" / self._uid / str(trial)).glob(".*.partial"):
            writer = folder.name[1:].partition("-")[0]
            if writer.isdecimal() and int(writer) < token:
                shutil.rmtree(folder, ignore_errors=True)
        if self._stored:
            self._stored.remove_unfinished(trial, token)

    def release(self) -> None:
        """Lets the cache do without what was written and restored here."""
        if self._stored:
            self._stored.release()

    def require_seen(self) -> None:
        """Raises CheckpointUnreachable when this node does not see the experiment's checkpoints;
        of an object store nothing is asked here, but when something is to be done there."""
        home = self._home / "checkpoints" / self._uid
        if not self._stored and not home.is_dir():
            raise CheckpointUnreachable(f"{home} does not exist here")

    def remove(self, path: str) -> None:
        """Removes a checkpoint; one that is gone is no error.

        Raises CheckpointUnreachable when this node does not see the experiment's checkpoints, or
        may not remove them: then it is still there.
        """
        self.require_seen()
        folder, home = self._root / path, self._home / "checkpoints" / self._uid
        # of a trial: not all of them, and not those of another experiment
        if home.resolve() not in folder.resolve().parent.parents:
            raise CheckpointCorrupt(f"{folder} is not a checkpoint of its experiment, {home}")
        if self._stored:
            self._stored.remove(path)
            return
        try:
            (folder / manifest.NAME).unlink(missing_ok=True)
            if folder.is_dir():
                shutil.rmtree(folder)
        except FileNotFoundError:  # somebody else removes it just now
            return
        except OSError as error:
            reason = f"{error.filename or folder} cannot be removed: {error.strerror}"
            raise CheckpointUnreachable(reason) from error

    def verify(self, checkpoint: Mapping[str, Any]) -> Path:
        """The checkpoint's folder, with every file compared with its manifest.

        Raises CheckpointUnreachable when the experiment's folder is not seen from this node, and
        CheckpointCorrupt when it is but the checkpoint is not what it was.
        """
        if self._stored:
            return self._stored.verify(checkpoint)
        for folder in (self._root, self._home):
            if not folder.is_dir():
                raise CheckpointUnreachable(f"{folder} does not exist here")
        folder = self._root / str(checkpoint["path"])
        if not folder.resolve().is_relative_to(self._home.resolve()):
            raise CheckpointCorrupt(f"{folder} is not a folder of its experiment, {self._home}")
        manifest.verify(folder, checkpoint["digest"])
        return folder

    def copy(self, checkpoint: Mapping[str, Any], target: Path) -> None:
        """Copies a checkpoint's files, and its manifest, to `target`, a folder that is not there
        yet; compares what has come there.

        Raises what `verify` does, and OSError when `target` cannot be written.
        """
        folder = self.verify(checkpoint)
        target.mkdir(parents=True)
        try:
            names = manifest.listed((folder / manifest.NAME).read_bytes(), folder)
            for name in (*names, manifest.NAME):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, target / name)
        except FileNotFoundError as error:
            raise CheckpointCorrupt(f"{error.filename} is missing") from None
        manifest.verify(target, checkpoint["digest"])

    def restore(self, checkpoints: Sequence[Mapping[str, Any]]) -> Restored:
        """The newest good one of `checkpoints` (newest last), or none of them.

        Raises CheckpointUnreachable if one cannot be judged from this node.
        """
        dropped: list[str] = []
        reasons: list[str] = []
        for checkpoint in reversed(checkpoints):
            if wrong := misrecorded(checkpoint):
                reasons.append(f"a checkpoint's record is none: {wrong}")
                continue
            try:
                folder = self.verify(checkpoint)
            except CheckpointCorrupt as error:
                dropped.append(checkpoint["path"])
                reasons.append(str(error))
            else:
                return Restored(folder, checkpoint["resource"], dropped, reasons)
        return Restored(None, 0, dropped, reasons)


def _unused(parent: Path, name: str) -> Path:
    """`name`, or `name.2`, … if this claim saved the same step before."""
    path, count = parent / name, 1
    while os.path.lexists(path):
        count += 1
        path = parent / f"{name}.{count}"
    return path
