"""A storage that is a folder, of this machine or one that all nodes mount."""

import contextlib
import os
import secrets
import shutil
from pathlib import Path


class Folder:
    """A folder on a file system."""

    remote = False

    def __init__(self, path: str | Path) -> None:
        self.local = Path(path)

    def __str__(self) -> str:
        return str(self.local)

    def below(self, name: str) -> "Folder":
        return Folder(self.local / name)

    def at(self, name: str) -> str:
        return str(self.local / name)

    def check(self) -> None:
        """Nothing is asked: it is made when it is first written to."""

    def exists(self, name: str) -> bool:
        return (self.local / name).exists()

    def names(self, name: str = "") -> list[str]:
        try:
            return sorted(os.listdir(self.local / name))
        except FileNotFoundError:
            return []

    def size(self, name: str) -> int:
        return (self.local / name).stat().st_size

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        with (self.local / name).open("rb") as file:
            file.seek(start)
            return file.read(-1 if end is None else max(0, end - start))

    def write(self, name: str, data: bytes) -> None:
        path = self.local / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            draft.write_bytes(data)
            draft.rename(path)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise

    def put(self, name: str) -> None:
        """It is there already."""

    def move(self, name: str, other: str) -> None:
        (self.local / name).rename(self.local / other)

    def remove(self, name: str = "") -> None:
        shutil.rmtree(self.local / name, ignore_errors=True)
