"""The manifest: what a checkpoint is and which files it has, with their sizes and digests."""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from asha_queue.errors import CheckpointCorrupt, CheckpointError, CheckpointUnreachable
from asha_queue.formats import require
from asha_queue.settings import FORMAT
from asha_queue.store.journal import decode, encode

#: Name of the manifest in a checkpoint's folder.
NAME = "manifest.json"
#: Bytes of a checkpoint from which on a thread to sync them is worth its start.
LARGE = 1_000_000


class Listed(Struct):
    """A file of a checkpoint."""

    size: Annotated[int, Meta(ge=0, le=2**62)]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Manifest(Struct):
    """What is read of a manifest."""

    files: dict[str, Listed]


def write(folder: Path, facts: dict[str, Any]) -> tuple[str, int]:
    """Lists and syncs the files of `folder`, then writes the manifest; returns its digest and the
    size of all files in bytes."""
    if (folder / NAME).exists():
        raise CheckpointError(
            f"a checkpoint cannot hold a file named {NAME}, which is its manifest; rename yours"
        )
    if not folder.is_dir():
        raise CheckpointError(
            f"the folder that save() gave is gone: {folder}; write into it and leave it there"
        )
    files: dict[str, dict[str, Any]] = {}
    with _synced(list(_files(folder))) as paths:
        for path in paths:
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            files[path.relative_to(folder).as_posix()] = {
                "size": path.stat().st_size,
                "sha256": sha256,
            }
    text = encode({"v": FORMAT, **facts, "files": files}).encode()
    with (folder / NAME).open("wb") as manifest:
        manifest.write(text)
        manifest.flush()
        os.fsync(manifest.fileno())
    for directory in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        sync(directory)
    return hashlib.sha256(text).hexdigest(), sum(file["size"] for file in files.values())


def verify(folder: Path, digest: str) -> None:
    """Raises CheckpointCorrupt unless the manifest is the one with this digest and every file is
    the one it lists, CheckpointUnreachable when one is there but cannot be read, and NewerFormat
    for what a newer version has written."""
    try:
        text = _read(folder / NAME)
        if hashlib.sha256(text).hexdigest() != digest:
            raise CheckpointCorrupt(f"{folder / NAME} is not the one that was written")
        for name, expected in listed(text, folder).items():
            path = folder / name
            facts = path.stat()
            if facts.st_size != expected.size or not stat.S_ISREG(facts.st_mode):
                raise CheckpointCorrupt(f"{path} does not have the {expected.size} bytes it had")
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected.sha256:
                    raise CheckpointCorrupt(f"{path} is not the file that was written")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise CheckpointCorrupt(f"{error.filename} is missing") from None
    except OSError as error:
        raise CheckpointUnreachable(f"{error.filename} cannot be read: {error.strerror}") from None


def listed(text: bytes, place: object) -> dict[str, Listed]:
    """The files that a manifest at `place` lists, by their names below its folder.

    Raises NewerFormat for that of a later version, and CheckpointCorrupt for what is no manifest,
    and for names that lead anywhere else.
    """
    try:
        read = decode(text.decode())
        if isinstance(read, dict) and isinstance(v := read.get("v", 0), int):
            require(v, f"checkpoint {place}")
        files = msgspec.convert(read, Manifest).files
    except (msgspec.ValidationError, ValueError, RecursionError) as error:
        raise CheckpointCorrupt(f"{place} has a manifest that is none: {error!s:.200}") from None
    for name in files:
        parts = name.split("/")
        if {"", ".", ".."} & {*parts} or "\0" in name or name == NAME:
            raise CheckpointCorrupt(f"{place} has a manifest with {name!r:.80}, no file in it")
    return files


@contextlib.contextmanager
def _synced(paths: list[Path]) -> Iterator[list[Path]]:
    """Has files survive a power cut when the block ends: large ones are written to the disk while
    it runs, in which their digests are computed."""
    if sum(path.stat().st_size for path in paths) < LARGE:
        for path in paths:
            sync(path)
        yield paths
        return
    with ThreadPoolExecutor(1) as beside:
        syncs = [beside.submit(sync, path) for path in paths]
        yield paths
        for one in syncs:
            one.result()


def sync(path: Path) -> None:
    """Makes a file, or the names in a folder, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read()
