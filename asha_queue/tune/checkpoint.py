"""`Checkpoint`: a folder, as Ray Tune hands it about."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from asha_queue.errors import SpecificationError


class Checkpoint:
    """A folder of files that a function has saved or is to go on from."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)

    @classmethod
    def from_directory(cls, path: str | Path) -> "Checkpoint":
        """What is in a folder; `tune.report` copies it. Raises SpecificationError if it is none."""
        if not Path(path).is_dir():
            raise SpecificationError(f"Checkpoint.from_directory({str(path)!r}): is no folder")
        return cls(path)

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """Gives the folder itself, to be read only."""
        yield self.path

    def to_directory(self, path: str | Path | None = None) -> str:
        """Copies it to `path`, by default a new temporary folder, and returns that."""
        into = path or tempfile.mkdtemp(prefix="checkpoint-")
        shutil.copytree(self.path, into, dirs_exist_ok=True)
        return str(into)

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"
