"""SIGTERM to the training process itself.

Rules

* Slurm (preemption, `scancel`), and others that end a group or a container of processes, tell all
  of them at once, and not the launcher alone. So the first SIGTERM means that the segment is wanted
  back, as a drain does, and is no failure of the program, in which Celery's own handler would raise
  SystemExit.
* The second one ends the process: the segment is given back by its keeper.
* A process that the program has forked is ended as before. A program that sets a handler of its own
  has its way.
"""

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any

from asha_queue.training.line import Line


@dataclass(slots=True)
class _Segment:
    line: Line
    process: int
    #: The handler outside of segments.
    before: Any
    told: bool = False


#: The segment that this process trains, if it trains one.
_segment: _Segment | None = None


@contextlib.contextmanager
def heard(line: Line) -> Iterator[None]:
    """Takes SIGTERM for a drain while a segment is trained in the block."""
    global _segment
    _segment = _Segment(line, os.getpid(), signal.getsignal(signal.SIGTERM))
    signal.signal(signal.SIGTERM, _on_sigterm)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, _segment.before)
        _segment = None


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    segment = _segment
    if segment and os.getpid() == segment.process and not segment.told:
        segment.told = True
        segment.line.want_back()
    elif segment and os.getpid() != segment.process and callable(segment.before):
        segment.before(number, frame)
    else:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
