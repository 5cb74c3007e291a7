"""What the attempts of an experiment have printed, as it is read from its folder in the storage.

Rules

* A path is made of numbers, below the experiment's folder. A link that leads out of the folder is
  not followed, and only files are read: programs write into this folder, and whoever reads it for a
  page may be allowed to read more than they.
* `tail` reads no more than it was asked for, however long the log is.
* Of an object store a log is read where it is written, which is on its worker's machine, until its
  attempt has ended, and from the store afterwards.
* What cannot be read here is no error: a sentence says why. Trials train on other machines.
"""

import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from asha_queue.storage import AnyStorage, opened
from asha_queue.storage.patience import QUICK
from asha_queue.training.loglimit import cut_at
from asha_queue.training.output import log_file

#: Bytes of the end of a log, unless more or fewer are asked for.
TAIL = 64 * 2**10

#: What a terminal takes for colours and movements.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")


@dataclass(frozen=True, slots=True)
class Tail:
    """The end of a log: whole lines, as a terminal would show them, without colours.

    `text` is None when there is nothing to be read, and `why` is the sentence that says so;
    otherwise `why` says how much was left out before the text, and is empty if nothing was.
    """

    path: Path
    text: str | None
    why: str


class Logs:
    """The logs of one experiment; `folder` is its own in the storage."""

    def __init__(self, folder: AnyStorage) -> None:
        self._storage = opened(folder, QUICK)
        self._folder = self._storage.local

    def path(self, trial: int, rung: int, attempt: int) -> Path:
        """Where the output of one attempt is."""
        return log_file(self._folder, trial, rung, attempt)

    def away(self) -> str:
        """The sentence that says so when the folder is not seen from this machine."""
        if self._storage.remote or self._folder.is_dir():
            return ""
        return f"the output is not on this machine: {self._folder} does not exist here"

    def tail(self, trial: int, rung: int, attempt: int, most: int = TAIL) -> Tail:
        """The last `most` bytes of what an attempt has printed, or why there are none."""
        path = self.path(trial, rung, attempt)
        if away := self.away():
            return Tail(path, None, away)
        try:
            if stored := self._stored(path):
                size = self._storage.size(stored)
                read = self._storage.read(stored, max(0, size - most), size)
            else:
                with self._opened(path) as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(0, size - most))
                    read = file.read(most)
        except OSError as error:
            return Tail(path, None, f"no output: {self.why_not(path, error)}")
        if size <= most:
            return Tail(path, _shown(read), "")
        part, _, whole = read.partition(b"\n")
        read = whole or part
        left_out = size - len(read)
        return Tail(path, _shown(read), f"the first {left_out:,} of {size:,} bytes are left out")

    def copy(self, trial: int, rung: int, attempt: int, seen: int, out: BinaryIO) -> int:
        """Writes to `out` what a log has beyond its first `seen` bytes, or from the line at the cut
        on if it was cut since; returns how many bytes of it are seen now.

        Raises OSError when it cannot be read.
        """
        path = self.path(trial, rung, attempt)
        if stored := self._stored(path):
            return seen + out.write(self._storage.read(stored, seen))
        with self._opened(path) as file:
            file.seek(seen if seen <= os.fstat(file.fileno()).st_size else cut_at(path))
            shutil.copyfileobj(file, out)
            return file.tell()

    def place(self, path: Path) -> str:
        """A log's path or URL, for people."""
        return self._storage.at(path.relative_to(self._folder).as_posix())

    def why_not(self, path: Path, error: OSError) -> str:
        """Why a log cannot be read."""
        if self._storage.remote and isinstance(error, FileNotFoundError):
            return (
                f"{self.place(path)} is stored when the attempt has ended; until then it is on "
                f"the machine of its worker"
            )
        return f"{self.place(path)}: {error.strerror}"

    def _stored(self, path: Path) -> str:
        """A log's name in an object store; empty if it is a file of this machine."""
        if not self._storage.remote or path.exists():
            return ""
        return path.relative_to(self._folder).as_posix()

    def _opened(self, path: Path) -> BinaryIO:
        real = os.path.realpath(path, strict=True)
        if not Path(real).is_relative_to(self._folder.resolve()):
            raise PermissionError(0, "it leads out of the experiment's folder")
        # a link that was put there meanwhile is no file; a pipe would be waited for
        descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        file = os.fdopen(descriptor, "rb")
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.close()
            raise PermissionError(0, "it is no file")
        return file


def _shown(output: bytes) -> str:
    """Output as text; of a line that was written over and over, a progress bar, its last state."""
    text = _ESCAPE.sub("", output.decode(errors="replace"))
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
