"""The trial that this process trains: for code that is not handed it."""

import contextlib
from collections.abc import Iterator

from asha_queue.errors import AshaQueueError
from asha_queue.training.trial import Trial

_running: Trial | None = None


def current() -> Trial:
    """The trial that is trained in this process; raises AshaQueueError if there is none."""
    if _running is None:
        raise AshaQueueError(
            "no trial is trained in this process: reports and checkpoints belong into the function "
            "that a search trains"
        )
    return _running


@contextlib.contextmanager
def running(trial: Trial) -> Iterator[None]:
    """Makes `trial` the one that is trained here, for as long as its program runs."""
    global _running
    _running = trial
    try:
        yield
    finally:
        _running = None
