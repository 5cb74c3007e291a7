"""The pulse of a training process: a page of memory that its keeper reads.

Rules

* The program's thread writes it with each report, in about a microsecond and without asking
  anybody; the keeper reads it when something may be overdue. So what was reported last is known at
  every moment, of a program that holds the interpreter's lock or has closed its line, too.
* Times are of the machine's monotonic clock, which is the same one for both.
* Every field is one aligned double: a reader finds an old value or a new one, never half of one.
* Silence counts from the last report, the last checkpoint or the program's start. While a
  checkpoint is written at least SAVING is allowed. While the server does not answer no time passes:
  neither silence nor training.
* The file lies in the keeper's folder, so the next keeper finds it where the killed one had it.
"""

import contextlib
import math
import mmap
import os
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path

#: Seconds of silence that are always allowed unless the experiment says otherwise …
REPORT_TIMEOUT = 1800.0
#: … and how many times the usual seconds between two reports are.
USUAL_STEPS = 20
#: Steps by which the usual ones are judged.
STEPS = 63
#: Seconds that a checkpoint may take to be written.
SAVING = 3600.0

#: When the program was started; 0 = none is in training.
_BEGUN = 0
#: When it was heard last.
_HEARD = 1
#: Seconds of silence that are allowed from then on.
_PATIENCE = 2
#: The step reported last.
_REACHED = 3
#: Since when the server has not answered; 0 = it does.
_STOPPED = 4
_SIZE = 5 * 8


def pulse_file(line: str, pid: int) -> Path:
    """Where the pulse of a training process is, beside its keeper's socket `line`."""
    return Path(line).with_name(f"pulse-{pid}")


class Pulse:
    """The program's end: made once in a process, for all its segments."""

    def __init__(self, line: str) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        descriptor = os.open(pulse_file(line, os.getpid()), flags, 0o600)
        try:
            os.write(descriptor, bytes(_SIZE))  # room for it is had now, or an error
            self._cells = memoryview(mmap.mmap(descriptor, _SIZE)).cast("d")
        finally:
            os.close(descriptor)
        self._given: float | None = None
        self._steps: deque[float] = deque(maxlen=STEPS)

    def begin(self, reached: int, report_timeout: float | None) -> None:
        """The program starts."""
        cells = self._cells
        self._given = report_timeout
        self._steps.clear()
        cells[_HEARD] = time.monotonic()
        cells[_PATIENCE] = report_timeout or REPORT_TIMEOUT
        cells[_REACHED] = reached
        cells[_STOPPED] = 0.0
        cells[_BEGUN] = cells[_HEARD]  # last: from here on the keeper looks at the others

    def end(self) -> None:
        """The program has ended: nothing is overdue any more."""
        self._cells[_BEGUN] = 0.0

    def report(self, reached: int) -> None:
        """The program has reported a step."""
        cells = self._cells
        now = time.monotonic()
        if self._given is None:
            step = now - cells[_HEARD]
            self._steps.append(step)
            # a short step never makes the usual one longer, so nearly all reports end here
            if step * USUAL_STEPS > REPORT_TIMEOUT or cells[_PATIENCE] > REPORT_TIMEOUT:
                usual = sorted(self._steps)[len(self._steps) // 2]
                cells[_PATIENCE] = max(REPORT_TIMEOUT, USUAL_STEPS * usual)
        cells[_REACHED] = reached
        cells[_HEARD] = now

    @contextlib.contextmanager
    def saving(self) -> Iterator[None]:
        """While a checkpoint is written."""
        cells = self._cells
        usual = cells[_PATIENCE]
        cells[_HEARD] = time.monotonic()
        cells[_PATIENCE] = max(usual, SAVING)
        try:
            yield
        finally:
            cells[_HEARD] = time.monotonic()
            cells[_PATIENCE] = usual

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """While the server is asked, which may take as long as it likes."""
        cells = self._cells
        since = cells[_STOPPED] = time.monotonic()
        try:
            yield
        finally:
            passed = time.monotonic() - since
            cells[_HEARD] += passed
            if cells[_BEGUN]:
                cells[_BEGUN] += passed
            cells[_STOPPED] = 0.0


class Reading:
    """The keeper's end."""

    def __init__(self, line: str, pid: int) -> None:
        self._path = pulse_file(line, pid)
        with self._path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), _SIZE, access=mmap.ACCESS_READ)
        self._cells = memoryview(memory).cast("d")

    def remove(self) -> None:
        """Removes the file of a process that is gone."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    @property
    def reached(self) -> int:
        """The step reported last."""
        return int(self._cells[_REACHED])

    @property
    def patience(self) -> float:
        """Seconds that the program may be silent."""
        return self._cells[_PATIENCE]

    def silent_at(self) -> float:
        """When the program will have been silent for too long, if it reports nothing until then."""
        return self._cells[_HEARD] + self.patience if self._passing else math.inf

    def trained_at(self, segment_timeout: float) -> float:
        """When the program will have trained for so long."""
        return self._cells[_BEGUN] + segment_timeout if self._passing else math.inf

    @property
    def _passing(self) -> bool:
        return self._cells[_BEGUN] > 0.0 and self._cells[_STOPPED] == 0.0
