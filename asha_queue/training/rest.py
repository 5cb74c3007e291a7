"""Rest: a worker that can train nothing at present asks for nothing.

Rules

* Whatever it asked for it would only keep from others. So it rests after it has refused a segment:
  for REFUSED seconds, twice as long each time, up to REFUSED_MAX, until it trains one. What it
  refused is published again soon, for others.
* A worker that the store has set aside rests for as long as the store says.
* While it rests it holds its Celery task, and so is given no other. A drain ends the rest.
"""

import time

from asha_queue.training.line import Line
from asha_queue.training.live import LiveReports

#: Seconds of rest after a refusal: the first, and at most.
REFUSED = 2.0
REFUSED_MAX = 60.0
#: Seconds between two looks for a drain.
LOOK_EVERY = 0.2


class Rest:
    """The rest of a training process."""

    def __init__(self, line: Line, live: LiveReports) -> None:
        self._line = line
        self._live = live
        self._refused = 0

    def after_refusal(self) -> float:
        """Seconds to rest after one more refusal."""
        self._refused += 1
        return min(REFUSED * 2.0 ** (self._refused - 1), REFUSED_MAX)

    def over(self) -> None:
        """Says that something is trained."""
        self._refused = 0

    def take(self, seconds: float, task: str, reason: str) -> None:
        """Rests for so long, and shows why as the progress of the task."""
        until = time.monotonic() + seconds
        self._live.tell(task, lambda: f"rests for {seconds:.0f} s: {reason}")
        while time.monotonic() < until and not self._line.draining:
            time.sleep(LOOK_EVERY)
        self._live.done()
