"""A regular expression of the user's, which may need longer than the world lasts.

`(a+)+b` on a line of forty a's does. The engine looks for signals while it searches, so an alarm
ends it: LONGEST is far more than any line needs that the expression was made for.
"""

import re
import signal
import threading
from types import FrameType
from typing import Final

from asha_queue.errors import CommandError

#: Seconds that a pattern may take for one line.
LONGEST: Final = 2.0


def search(pattern: re.Pattern[str], line: str) -> re.Match[str] | None:
    """As `pattern.search(line)`; raises CommandError when it takes too long."""
    if threading.current_thread() is not threading.main_thread():  # which alone hears of signals
        return pattern.search(line)

    def end(number: int, frame: FrameType | None) -> None:
        raise CommandError(
            f"the pattern {pattern.pattern!r:.200} took more than {LONGEST:g} s for the line "
            f"{line!r:.200}: it tries too many ways to match; avoid repeats within repeats, as in "
            f"(a+)+ or (.*,)*"
        )

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        return pattern.search(line)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
