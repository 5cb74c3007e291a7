"""A storage in an object store, by fsspec: S3, Google's or Azure's.

Rules

* A process makes its own connections when it first needs them: training processes are forked, and
  fsspec's thread does not come along.
* What is listed is asked for anew each time: other machines write.
* Files are moved by several threads at once. What was stored has the size that the file has here,
  or it is stored again: half an upload that was answered well counts for nothing.
* Waiting is bounded by the caller's patience, so the libraries' own repetitions are kept short.
"""

import contextlib
import functools
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from asha_queue.storage.cache import mirror
from asha_queue.storage.patience import PATIENCE, QUICK, persist

#: Files that are moved at a time.
THREADS = 8
#: Seconds until a connection is made, and until the next bytes have come.
CONNECT_TIMEOUT = 5
READ_TIMEOUT = 15
#: Calls of a library before its error is heard.
CALLS = 2

#: What the libraries are told, by scheme. None keeps lists of files: those are others' to change.
OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {
        "config_kwargs": {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": READ_TIMEOUT,
            "retries": {"total_max_attempts": 1},
            "max_pool_connections": 2 * THREADS,
        }
    },
    "gs": {},
    "az": {"connection_timeout": CONNECT_TIMEOUT, "read_timeout": READ_TIMEOUT},
}

T = TypeVar("T")


class Remote:
    """A bucket, or what is in it below a prefix."""

    remote = True

    def __init__(self, url: str, patience: float = PATIENCE, local: Path | None = None) -> None:
        self.local = local or mirror(url)
        self._url = url
        self._patience = patience
        self._bucket = url.partition("://")[2].partition("/")[0]

    def __str__(self) -> str:
        return self._url

    def below(self, name: str) -> "Remote":
        return Remote(self.at(name), self._patience, self.local / name)

    def at(self, name: str) -> str:
        return f"{self._url}/{name}" if name else self._url

    def check(self) -> None:
        patience = min(QUICK, self._patience)
        try:
            persist(lambda: self._fs.ls(self._path(), detail=False), self._url, patience)
        except FileNotFoundError:  # an empty prefix, too; but the store has answered
            if not persist(lambda: self._fs.exists(self._bucket), self._url, patience):
                scheme = self._url.partition("://")[0]
                said = f"there is no bucket {self._bucket!r}"
                raise FileNotFoundError(2, said, f"{scheme}://{self._bucket}") from None

    def exists(self, name: str) -> bool:
        try:
            self.size(name)
        except FileNotFoundError:
            return False
        return True

    def names(self, name: str = "") -> list[str]:
        path = self._path(name)
        try:
            found = self._call(lambda: self._fs.ls(path, detail=False), name)
        except FileNotFoundError:
            return []
        names = {str(one).rstrip("/").removeprefix(path).strip("/") for one in found}
        return sorted(names - {""})

    def size(self, name: str) -> int:
        return int(self._call(lambda: self._fs.info(self._path(name)), name)["size"])

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        if start or end is not None:  # a range that holds nothing cannot be asked for
            size = self.size(name)
            end = size if end is None else min(size, end)
            if start >= end:
                return b""
        span = {"start": start, "end": end} if start or end is not None else {}
        return bytes(self._call(lambda: self._fs.cat_file(self._path(name), **span), name))

    def write(self, name: str, data: bytes) -> None:
        self._call(lambda: self._fs.pipe_file(self._path(name), data), name)

    def put(self, name: str) -> None:
        path = self.local / name
        size = path.stat().st_size

        def store() -> None:
            self._fs.put_file(str(path), self._path(name))
            self._expect(name, size, self._fs.info(self._path(name))["size"])

        self._call(store, name)

    def move(self, name: str, other: str) -> None:
        self._call(lambda: self._fs.cp_file(self._path(name), self._path(other)), name)
        self._call(lambda: self._fs.rm_file(self._path(name)), name)

    def remove(self, name: str = "") -> None:
        with contextlib.suppress(FileNotFoundError):
            self._call(lambda: self._fs.rm(self._path(name), recursive=True), name)
        shutil.rmtree(self.local / name, ignore_errors=True)

    def upload(self, folder: Path, name: str, last: str) -> None:
        """Stores what is in a folder, whose files stay as they are, under `name`; the file `last`
        when all others are there."""
        paths = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
        commit = paths.pop(last)
        sizes = {file: path.stat().st_size for file, path in paths.items()}
        missing = set(sizes)

        def store_missing() -> None:
            self._all(
                missing,
                lambda file: self._fs.put_file(str(paths[file]), self._path(f"{name}/{file}")),
                name,
            )
            found = self._found(name)
            for file in list(missing):
                self._expect(f"{name}/{file}", sizes[file], found.get(file))
                missing.discard(file)

        if sizes:
            self._call(store_missing, name)

        def store_last() -> None:
            self._fs.put_file(str(commit), self._path(f"{name}/{last}"))

        self._call(store_last, f"{name}/{last}")

    def download(self, name: str, sizes: Mapping[str, int], folder: Path) -> None:
        """Fetches the files of `name` into a folder."""
        for file in sizes:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)

        def fetch(file: str) -> None:
            self._fs.get_file(self._path(f"{name}/{file}"), str(folder / file))
            self._expect(f"{name}/{file}", sizes[file], (folder / file).stat().st_size)

        self._all(sizes, fetch, name)

    def _all(self, files: Iterable[str], move: Callable[[str], None], name: str) -> None:
        """Moves files, each for as long as there is patience; the first error ends it."""
        each = [*files]
        with ThreadPoolExecutor(min(THREADS, len(each)) or 1) as threads:
            waited = [
                threads.submit(self._call, functools.partial(move, file), f"{name}/{file}")
                for file in each
            ]
            try:
                for one in waited:
                    one.result()
            except BaseException:
                threads.shutdown(wait=False, cancel_futures=True)
                raise

    def _found(self, name: str) -> dict[str, int]:
        """The files below `name`, with their sizes."""
        path = self._path(name)
        found = self._fs.find(path, detail=True)
        return {one.removeprefix(path).strip("/"): facts["size"] for one, facts in found.items()}

    def _expect(self, name: str, expected: int, size: int | None) -> None:
        if size != expected:
            raise BrokenPipeError(0, f"it has {size or 0:,} of {expected:,} bytes", self.at(name))

    def _call(self, call: Callable[[], T], name: str) -> T:
        return persist(call, self.at(name), self._patience)

    def _path(self, name: str = "") -> str:
        """As the library has it, which is without the scheme."""
        return str(self._fs._strip_protocol(self.at(name)))

    @property
    def _fs(self) -> Any:
        return file_system(self._url.partition("://")[0], os.getpid())


@functools.cache
def file_system(scheme: str, process: int) -> Any:
    """The library's connections of this process."""
    import fsspec

    made = fsspec.filesystem(
        scheme, use_listings_cache=False, skip_instance_cache=True, **OPTIONS.get(scheme, {})
    )
    if scheme == "s3":
        made.retries = CALLS
    return made
