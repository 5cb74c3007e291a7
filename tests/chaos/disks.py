"""A small disk of its own for the storage, which can be filled without harm to anybody else."""

import contextlib
import functools
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[bool]:
    """Mounts a file system of this size on `folder`, where root may; says whether it did."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "chaos", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield False
        return
    try:
        yield True
    finally:
        # lazily: whatever still has a file there does not keep it from the next one
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@functools.cache
def can_be_made() -> bool:
    """Whether this user can mount one."""
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder), 1) as made:
        return made
