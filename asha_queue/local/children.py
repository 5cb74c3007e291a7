"""Children of a run: they end with it, however it ends."""

import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO

from asha_queue.training.processes import die_with_parent


def start(
    command: Sequence[str], log: IO[bytes], environment: Mapping[str, str], death: signal.Signals
) -> subprocess.Popen[bytes]:
    """Starts a child that gets the signal `death` when this process dies, and no Ctrl-C."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
        preexec_fn=die_with_parent(death),
    )


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Has a child end, and kills it when it takes longer."""
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
