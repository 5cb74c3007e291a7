"""The cache of this machine: a mirror of each object store, bounded in size.

Rules

* Checkpoints lie here as they do in a folder: complete under their names, and stored before they
  get them. So a trial that goes on where it was needs nothing from the store.
* Whoever uses one holds a shared lock on its folder; the lock ends with the process. Removing one
  takes the lock alone first, then renames it away: so none that is in use goes, and who comes a
  moment late finds none and fetches it.
* Those used longest ago go first, as soon as all together are larger than the limit, or than half
  of what the disk has for them. What a killed process has left unfinished goes at once.
* Workers of a machine share it, and count by themselves when to look: the limit may be passed by a
  few percent.
"""

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

#: Bytes that checkpoints may take, unless ASHA_QUEUE_CACHE_BYTES says otherwise.
LIMIT = 20 * 2**30
#: Part of the limit after which it is looked at again.
LOOK_AFTER = 0.02
#: Seconds after which what is unfinished and in nobody's use is a dead process's.
STALE = 60.0
#: Where checkpoints are below the folder of the cache.
CHECKPOINTS = "*/*/checkpoints/*/*/*"
#: Ends the name of a folder that is not complete yet.
PARTIAL = ".partial"


def cache_folder() -> Path:
    """ASHA_QUEUE_CACHE, or a folder among this user's caches."""
    if given := os.environ.get("ASHA_QUEUE_CACHE"):
        return Path(given).expanduser().absolute()
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "asha-queue"


def mirror(url: str) -> Path:
    """Where the files of an object store are on this machine."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", url)[:40].strip("-")
    return cache_folder() / f"{readable}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


class Hold:
    """The use of a checkpoint's folder, until it is closed or the process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def hold(folder: Path) -> Hold | None:
    """Holds a folder, and counts it as used now; None if there is none."""
    return _locked(folder, fcntl.LOCK_SH)


def discard(folder: Path) -> bool:
    """Removes a folder that nobody uses; False if somebody does."""
    lock = _locked(folder, fcntl.LOCK_EX)
    if lock is None:
        return False
    with lock, contextlib.suppress(OSError):
        away = folder.with_name(f".{folder.name.strip('.')}.{secrets.token_hex(4)}{PARTIAL}")
        folder.rename(away)
        shutil.rmtree(away, ignore_errors=True)
    return True


def _locked(folder: Path, kind: int) -> Hold | None:
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(folder)):  # not removed meanwhile
            if kind == fcntl.LOCK_SH:
                os.utime(folder)
            return Hold(descriptor)
    except OSError:
        pass
    os.close(descriptor)
    return None


@dataclass(frozen=True, slots=True)
class Kept:
    """A checkpoint in the cache."""

    folder: Path
    used_at: float
    bytes: int


class Cache:
    """Keeps a folder of the cache below its limit."""

    def __init__(self, folder: Path, limit: int | None = None) -> None:
        self._folder = folder
        self._limit = limit or int(os.environ.get("ASHA_QUEUE_CACHE_BYTES") or LIMIT)
        self._added: float = self._limit  # how much there is already nobody knows

    def add(self, size: int) -> None:
        """Counts a checkpoint that has come to the cache, and makes room if it may be full."""
        self._added += size
        if self._added > LOOK_AFTER * self._limit:
            self._added = 0
            self.make_room()

    def make_room(self) -> None:
        """Removes those used longest ago until the others are within the limit."""
        kept = sorted(self._kept(), key=lambda one: one.used_at)
        used = sum(one.bytes for one in kept)
        with contextlib.suppress(OSError):
            used_limit = (used + shutil.disk_usage(self._folder).free) // 2
            limit = min(self._limit, used_limit)
            for one in kept:
                dead = one.folder.name.endswith(PARTIAL) and time.time() - one.used_at > STALE
                if (dead or used > limit) and discard(one.folder):
                    used -= one.bytes

    def _kept(self) -> Iterator[Kept]:
        for folder in self._folder.glob(CHECKPOINTS):
            with contextlib.suppress(OSError):  # removed meanwhile
                files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
                yield Kept(folder, folder.stat().st_mtime, sum(files))


@functools.cache
def cache(folder: Path) -> Cache:
    """The cache in this process."""
    return Cache(folder)
