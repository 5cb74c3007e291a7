"""A limit to what a program prints: its log must not fill the disk.

Rules

* A log longer than LIMIT keeps its first part and its end, with a line between that says how much
  was cut. What comes after that is appended, as the file is open for appending wherever it is
  written, and so it can be shortened under the writers' hands.
* The keeper does this, in a thread of its own: the program, and what it has started, may print
  without a pause in any language; and a storage that hangs must not stop the keeper.
* What is printed in the instant between the last read of the file and its shortening is cut with
  the rest.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

#: Bytes of a log, at most, whenever it was looked at.
LIMIT = 16 * 2**20
#: Bytes that are kept of its beginning …
FIRST = 8 * 2**20
#: … and of its end.
LAST = 2**20
#: Reads by which the end may be reached of a file that grows meanwhile.
PIECES = 100
#: Bytes before the end of the beginning in which a whole line is looked for.
LINE = 2**16
#: Seconds between two looks; the shorter one while a log grows fast.
LOOK_EVERY = 0.25
LOOK_SOON = 0.05
#: Bytes between two looks that are fast.
FAST = 2**20
#: Begins the line at the cut.
MARK = "[asha-queue] cut here: "


@dataclass(slots=True)
class _Log:
    """A log in the works: the bytes cut of it so far, those of the line that says so, and its size
    at the last look."""

    cut: int = 0
    said: int = 0
    size: int = 0
    ended: bool = False


class LogLimit:
    """Keeps the logs of running segments short."""

    def __init__(self) -> None:
        self._logs: dict[Path, _Log] = {}
        self._changed = threading.Condition()
        #: Whether the thread waits for a log, and not for the time of its next look.
        self._idle = False
        threading.Thread(target=self._look, name="log limit", daemon=True).start()

    def begin(self, path: Path) -> None:
        """Looks after this file, which may not be there yet."""
        with self._changed:
            self._logs[path] = _Log()
            if self._idle:
                self._changed.notify()

    def end(self, path: Path) -> None:
        """Looks at it for the last time, soon."""
        with self._changed:
            if path in self._logs:
                self._logs[path].ended = True

    def _look(self) -> None:
        while True:
            with self._changed:
                self._idle = True
                self._changed.wait_for(lambda: self._logs)
                self._idle = False
                logs = dict(self._logs)
                ended = [path for path, log in logs.items() if log.ended]
            fast = False
            for path, log in logs.items():
                try:
                    size = path.stat().st_size
                    fast = fast or size - log.size > FAST
                    log.size = shorten(path, log) if size > LIMIT else size
                except OSError:
                    continue  # not there yet, or its storage is not
            with self._changed:
                for path in ended:
                    del self._logs[path]
                self._changed.wait(LOOK_SOON if fast else LOOK_EVERY)


def shorten(path: Path, log: _Log) -> int:
    """Cuts the middle out of a log; returns its new size."""
    with path.open("r+b", buffering=0) as file:
        file.seek(FIRST - LINE)
        first = FIRST - LINE + ((file.read(LINE) or b"").rfind(b"\n") + 1 or LINE)
        size = file.seek(-LAST, os.SEEK_END)
        end = b""
        for _ in range(PIECES):  # to the very end: the last words are worth most
            if not (more := file.read(LAST)):
                break
            end = (end + more)[-LAST:]
            size += len(more)
        file.truncate(first)
    end = end[end.find(b"\n") + 1 :]
    log.cut += size - first - len(end) - log.said
    said = f"{MARK}{log.cut:,} bytes; a log is kept below {LIMIT // 2**20} MiB\n"
    log.said = len(said)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    try:
        os.write(descriptor, said.encode() + end)
    finally:
        os.close(descriptor)
    return first + len(said) + len(end)


def cut_at(path: Path) -> int:
    """Where the line of the cut begins; the end of the file if it has none."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, FIRST - LINE))
        found = file.read(LINE + len(MARK)).find(MARK.encode())
        return max(0, FIRST - LINE) + found if found >= 0 else size
