"""A file whose age tells a probe whether a process does its work.

Rules

* It is touched when the work goes on, and the server has answered; never by a timer. So its age is
  the time since then, and it does not exist before the first time.
* One fact serves all probes: what is seconds old is ready, what is minutes old is hung. A probe
  needs `find` for that and no Python, which takes a second to start.
* It never keeps the work from going on: a disk that is full later makes it old, and nothing else.
"""

import contextlib
from pathlib import Path

from asha_queue.errors import AshaQueueError


class Alive:
    """The file at `path`; without one nothing is done.

    Raises AshaQueueError at once if it cannot be written there.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        if path is None:
            return
        try:
            path.touch()
            path.unlink()  # what an earlier process left says nothing of this one
        except OSError as error:
            raise AshaQueueError(
                f"--alive {path}: it cannot be written ({error.strerror}); name a file in a folder "
                f"that this user may write to"
            ) from None

    def beat(self) -> None:
        """Says that the work goes on."""
        if self._path:
            with contextlib.suppress(OSError):
                self._path.touch()
