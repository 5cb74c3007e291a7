"""Checkpoints of one experiment in an object store, and those that this machine's cache has.

Rules

* The manifest is stored last, and is the commit: without one there are only files, which the next
  holder of the trial removes.
* A checkpoint in the cache is the one in the store if it has the manifest with the recorded digest
  and the files that it lists: then nothing is asked of the store. Otherwise it is fetched, beside
  its place, and gets its name when every file was compared.
* What is written or restored is held until `release`, so that no other worker of this machine makes
  room at its cost.
* *Corrupt* is what the store has lost or has otherwise than it was stored; *unreachable* is a store
  that gives no answer, no such bucket, or no permission. Empty folders of a checkpoint are lost.
"""

import hashlib
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from asha_queue.checkpoints import manifest
from asha_queue.errors import CheckpointCorrupt, CheckpointUnreachable, CheckpointUnwritable
from asha_queue.storage import Remote
from asha_queue.storage.cache import PARTIAL, Hold, cache, cache_folder, discard, hold

#: Times that a checkpoint is fetched whose files are not those that were stored.
FETCHES = 2


class StoredCheckpoints:
    """Stores, fetches and keeps checkpoints."""

    def __init__(self, root: Remote, experiment: str, uid: str) -> None:
        self._root = root
        self._experiment = experiment
        self._folder = f"{experiment}/checkpoints/{uid}"
        self._holds: list[Hold] = []

    def store(self, draft: Path, final: Path) -> None:
        """Stores a written folder under the name that it is to get."""
        name = final.relative_to(self._root.local).as_posix()
        try:
            self._root.upload(draft, name, manifest.NAME)
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
            raise CheckpointUnwritable(f"no checkpoint can be written: {reason}") from error

    def hold(self, folder: Path) -> bool:
        """Keeps a folder of the cache from being removed; False if there is none."""
        held = hold(folder)
        if held:
            self._holds.append(held)
        return held is not None

    def keep(self, folder: Path, size: int) -> None:
        """Counts a folder that has come to the cache."""
        cache(cache_folder()).add(size)

    def release(self) -> None:
        """Lets go of everything that is held."""
        for held in self._holds:
            held.close()
        self._holds.clear()

    def verify(self, checkpoint: Mapping[str, Any]) -> Path:
        """The checkpoint's folder in the cache, fetched if need be."""
        name, digest = str(checkpoint["path"]), str(checkpoint["digest"])
        parts = PurePosixPath(name).parts
        if parts[:1] != (self._experiment,) or ".." in parts:
            home = self._root.at(self._experiment)
            raise CheckpointCorrupt(
                f"{self._root.at(name)} is not a folder of its experiment, {home}"
            )
        folder = self._root.local / name
        if self.hold(folder):
            try:
                manifest.verify(folder, digest)
                return folder
            except CheckpointCorrupt:
                self._holds.pop().close()
                if not discard(folder):
                    raise
        self._fetch(name, digest, folder)
        self.hold(folder)
        return folder

    def remove(self, name: str) -> None:
        """Removes a checkpoint, the manifest first; one that is gone is no error."""
        try:
            self._root.remove(f"{name}/{manifest.NAME}")
            self._root.remove(name)
        except OSError as error:
            reason = f"{self._root.at(name)} cannot be removed: {error.strerror}"
            raise CheckpointUnreachable(reason) from error

    def remove_unfinished(self, trial: int, token: int) -> None:
        """Removes what holders with smaller tokens have stored without a manifest."""
        parent = f"{self._folder}/{trial}"
        try:
            for name in self._root.names(parent):
                writer = name.partition("-")[0]
                if writer.isdecimal() and int(writer) < token:
                    if not self._root.exists(f"{parent}/{name}/{manifest.NAME}"):
                        self._root.remove(f"{parent}/{name}")
        except OSError:
            return  # it takes room, and nothing else

    def _fetch(self, name: str, digest: str, folder: Path) -> None:
        draft = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{PARTIAL}")
        try:
            draft.mkdir(parents=True)
            with hold(draft) or Hold(-1):
                size = self._filled(name, digest, draft)
                try:
                    draft.rename(folder)
                except OSError:  # another worker has fetched it meanwhile
                    manifest.verify(folder, digest)
        except FileNotFoundError as error:
            self._require_reachable()
            raise CheckpointCorrupt(f"{error.filename} is missing") from None
        except OSError as error:
            reason = f"{error.filename}: {error.strerror}"
            raise CheckpointUnreachable(f"{self._root.at(name)} cannot be read: {reason}") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        cache(cache_folder()).add(size)

    def _filled(self, name: str, digest: str, draft: Path) -> int:
        """Fetches the files into a folder, and compares them; returns their size."""
        text = self._root.read(f"{name}/{manifest.NAME}")
        if hashlib.sha256(text).hexdigest() != digest:
            place = self._root.at(f"{name}/{manifest.NAME}")
            raise CheckpointCorrupt(f"{place} is not the one that was written")
        files = manifest.listed(text, self._root.at(name))
        sizes = {file: facts.size for file, facts in files.items()}
        (draft / manifest.NAME).write_bytes(text)
        for fetch in range(1, FETCHES + 1):
            self._root.download(name, sizes, draft)
            try:
                manifest.verify(draft, digest)
                break
            except CheckpointCorrupt:
                if fetch == FETCHES:
                    place = self._root.at(name)
                    raise CheckpointCorrupt(
                        f"{place} has files that are not those that were written"
                    ) from None
        return sum(sizes.values())

    def _require_reachable(self) -> None:
        """Tells a checkpoint that is missing from a storage that is another one."""
        try:
            self._root.check()
            there = self._root.names(self._experiment)
        except OSError as error:
            raise CheckpointUnreachable(f"{error.filename}: {error.strerror}") from None
        if not there:
            place = self._root.at(self._experiment)
            raise CheckpointUnreachable(f"{place} does not exist")
