"""What a program finds around it in its process, put back when its segment has ended.

The next segment, perhaps of another experiment, runs in the same process: it must meet neither the
working directory, nor the signal handlers, nor the alarm clock, nor the closed streams of this one.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

#: Signals whose handlers programs change, and libraries for them.
_HANDLED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2),
    *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGCHLD, signal.SIGPIPE),
)


@contextlib.contextmanager
def unchanged() -> Iterator[None]:
    """Puts back, at the end of the block, what the code in it has changed."""
    here = os.open(".", os.O_RDONLY)  # not by its name: that may be removed or renamed
    handlers = {number: signal.getsignal(number) for number in _HANDLED}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    streams = sys.stdin, sys.stdout, sys.stderr
    umask = os.umask(0o077)
    os.umask(umask)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # closed by the program, or removed
            os.chdir(here)
            os.close(here)
        os.umask(umask)
        for clock in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
            signal.setitimer(clock, 0)
        for signum, handler in handlers.items():
            # None: set by C code, and not to be had from here
            if handler is not None and signal.getsignal(signum) != handler:
                signal.signal(signum, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        sys.stdin, sys.stdout, sys.stderr = streams
        for name, number in (("stdout", 1), ("stderr", 2)):
            if getattr(sys, name).closed:
                setattr(sys, name, os.fdopen(number, "w", buffering=1, closefd=False))
