"""Telling a program's errors from those of the storage that it writes to."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

#: What is wrong with a disk, a mount or a quota, and never with a program.
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_BROKEN = _FULL | {errno.EROFS, errno.EIO, errno.ESTALE}
#: Bytes that are left on a disk that counts as full: libraries report it in errors of their own.
ALMOST_NOTHING = 2**20


def full(error: BaseException) -> str:
    """Why no space was left, if that is behind this error; else nothing."""
    return _reason(error, _FULL)


def unwritable(error: BaseException, folder: Path) -> str:
    """Why `folder` could not be written, if that is behind an error in writing it; else nothing."""
    if reason := _reason(error, _BROKEN):
        return reason
    if isinstance(error, Exception) and folder.is_dir():  # else the program has removed it
        if shutil.disk_usage(folder).free < ALMOST_NOTHING:
            return f"{folder}: {os.strerror(errno.ENOSPC)}"
    return ""


def _reason(error: BaseException, numbers: frozenset[int]) -> str:
    for cause in _chain(error):
        if isinstance(cause, OSError) and cause.errno in numbers:
            named = f"{cause.filename}: " if cause.filename else ""
            return f"{named}{os.strerror(cause.errno)}"
    return ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
