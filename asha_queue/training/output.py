"""The program's output: descriptors 1 and 2 of the process, in a file while a segment runs.

The file has a descriptor of its own, too: what the interpreter says as it dies (of a segmentation
fault, or of being overdue) must come through when the program has closed the other two.

Of an object store the file is in the mirror while it is written, under a lock; it is stored when
the attempt has ended, and then removed here. A process that is killed stores nothing: the next one
of this machine finds what nobody writes any more, and stores it when its own attempt has ended.
"""

import contextlib
import faulthandler
import fcntl
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from asha_queue.errors import ProgramError
from asha_queue.storage import Remote


def log_file(folder: Path, trial: int, rung: int, attempt: int) -> Path:
    """Where the output of one attempt goes; `folder` is the experiment's."""
    return folder / "logs" / f"trial-{trial:05d}" / f"rung{rung}-attempt{attempt}.log"


@contextlib.contextmanager
def redirected(path: Path, mirrored: bool = False) -> Iterator[None]:
    """Appends what this process and its children print to `path`; where that cannot be opened,
    the output stays where it was. A mirrored file is new, and locked while it is written.

    Raises ProgramError when the descriptors to go back to were closed meanwhile.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if mirrored:
            path.unlink(missing_ok=True)  # of an experiment that had this name before
        log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        if mirrored:
            fcntl.flock(log, fcntl.LOCK_SH)
    except OSError as error:
        print(f"no log file {path}: {error.strerror}", file=sys.stderr)
        yield
        return
    _flush()
    saved = [os.dup(1), os.dup(2)]
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable(log)
    try:
        yield
    finally:
        faulthandler.disable()
        _flush()
        try:
            os.close(log)
            for number, descriptor in enumerate(saved, start=1):
                os.dup2(descriptor, number)
                os.close(descriptor)
        except OSError:
            raise ProgramError(
                "the program closed descriptors that are not its own, as os.closerange() does; "
                "close only what it has opened"
            ) from None


def send_logs(storage: Remote) -> None:
    """Stores the logs in the mirror that nobody writes any more."""
    for path in storage.local.glob("*/logs/trial-*/*.log"):
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                storage.put(path.relative_to(storage.local).as_posix())
                path.unlink()
        except BlockingIOError:
            continue  # another worker's
        except OSError as error:
            print(f"{path} stays here: {error.filename}: {error.strerror}", file=sys.stderr)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # a full disk, or closed by the program
            stream.flush()
