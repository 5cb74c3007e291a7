"""Pages that are written into files: reports and plans."""

import os
import secrets
from pathlib import Path

from asha_queue.errors import AshaQueueError

#: What every page begins with.
BEGINNING = "<!DOCTYPE html>"


def refuse_others(target: Path) -> None:
    """A file that is there and is no report is somebody's, and may be a slip of the keyboard."""
    try:
        with target.open(encoding="utf-8", errors="replace") as file:
            there = file.read(len(BEGINNING))
    except FileNotFoundError:
        return
    except OSError as error:
        raise AshaQueueError(f"{target} cannot be written: {error.strerror}") from None
    if there and there != BEGINNING:
        raise AshaQueueError(
            f"{target} is there and is no report: it stays as it is. Give another --output FILE"
        )


def write(target: Path, page: str) -> str:
    """Writes all of it or nothing, so that a reader never sees half a page; returns what to say."""
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        partial.write_text(page, encoding="utf-8")
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise AshaQueueError(f"{target} cannot be written: {error.strerror}") from None
    return f"wrote {target} ({len(page) / 1e6:.1f} MB)"
