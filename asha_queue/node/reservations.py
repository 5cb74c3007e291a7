"""GPUs that a launcher has taken: one lock file for each, in a folder of this user.

No two launchers of a user have a GPU at the same time, whatever their brokers are. The kernel gives
a lock back when its launcher ends, however that happens; a file alone means nothing.
"""

import fcntl
import os
import re
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from asha_queue.errors import NodeError
from asha_queue.node.gpus import Gpu

#: Seconds between two attempts to take a lock.
TRY_AGAIN = 0.2


def reserve(gpus: Iterable[Gpu], patience: float) -> list[int]:
    """Takes the GPUs, waiting for at most `patience` seconds; returns the descriptors that hold
    them for as long as they are open.

    Raises NodeError that names the process that has one.
    """
    deadline = time.monotonic() + patience
    folder = _folder()
    # in one order everywhere, so that two launchers cannot wait for each other
    wanted = sorted({_file(gpu): gpu for gpu in gpus}.items())
    return [_lock(folder / file, gpu, deadline) for file, gpu in wanted]


def _file(gpu: Gpu) -> str:
    return re.sub(r"[^A-Za-z0-9.-]", "-", gpu.uuid or gpu.name)


def _lock(path: Path, gpu: Gpu, deadline: float) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                holder = os.pread(descriptor, 20, 0).decode() or "another"
                os.close(descriptor)
                raise NodeError(
                    f"{gpu.name} is taken by process {holder}, a launcher of yours; end it first, "
                    f"or name other GPUs with --gpus"
                ) from None
            time.sleep(TRY_AGAIN)
            continue
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


def _folder() -> Path:
    folder = Path(tempfile.gettempdir()) / f"asha-queue-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
        raise NodeError(f"{folder} is not yours; have it removed")
    return folder
