"""What the rooms need of a storage, whatever is behind it.

Rules

* Names are relative to the storage, with `/` between their parts.
* A file is written at `local / name`, and others see it once `put` has returned. On a file system
  `local` is the storage itself and nothing is left to do; for an object store it is a mirror in
  the cache of this machine.
* An object is there whole or not at all, and can be neither appended to nor renamed. So what takes
  several of them is committed by the last: a checkpoint by its manifest.
* Errors are OSErrors with `filename` and `strerror`, in both; what is not there is a
  FileNotFoundError. An object store is asked again for some time before it is one.
* No credential passes through here: the libraries find them, and texts of errors lose them.
"""

from pathlib import Path
from typing import Protocol


class Storage(Protocol):
    """A folder of a storage."""

    #: Where this machine writes what is to be stored.
    local: Path

    @property
    def remote(self) -> bool:
        """Whether what was written at `local` has to be `put`."""

    def below(self, name: str) -> "Storage":
        """A folder in this one."""

    def at(self, name: str) -> str:
        """Path or URL of a file, for people."""

    def check(self) -> None:
        """Raises OSError when a bucket does not exist or cannot be reached from here."""

    def exists(self, name: str) -> bool:
        """Whether there is a file."""

    def names(self, name: str = "") -> list[str]:
        """What is in a folder, sorted; nothing if there is none."""

    def size(self, name: str) -> int:
        """Bytes of a file."""

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """The bytes of a file from `start` up to `end`, or as many as there are."""

    def write(self, name: str, data: bytes) -> None:
        """Replaces a small file by another, whole."""

    def put(self, name: str) -> None:
        """Stores the file at `local / name`."""

    def move(self, name: str, other: str) -> None:
        """Gives a file another name."""

    def remove(self, name: str = "") -> None:
        """Removes a folder with everything below it, or all of this one."""
