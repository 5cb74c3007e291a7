"""Asking an object store again: which errors pass, how long they are waited for, what is said.

Rules

* What a second call would not change is an error at once: what is not there, what is not allowed,
  no credentials, a mistake in a call. Everything else (time-outs, broken connections, half an
  answer, 5xx) is tried again, with pauses that double, for as long as the caller has patience.
* Each is told as an OSError with the URL. Libraries quote headers and URLs in their errors: what
  looks like a credential is taken out, and so are the values of variables that hold one.
"""

import errno
import os
import random
import re
import time
from collections.abc import Callable
from typing import TypeVar

#: Seconds for which a call is repeated: in training, where giving up costs work …
PATIENCE = 60.0
#: … and where somebody or something else waits.
QUICK = 5.0
#: Seconds between two calls: the first, and the longest.
TRY_AGAIN = 0.2
TRY_AGAIN_MAX = 5.0
#: Characters of an error that are told.
SHOWN = 200

#: Errors, by the names of their classes, that stay: libraries that know them may not be installed.
_LASTING = frozenset(
    {
        *("NoCredentialsError", "PartialCredentialsError", "ProfileNotFound"),
        *("ParamValidationError", "DefaultCredentialsError", "ClientAuthenticationError"),
        *("InvalidRegionError", "EndpointResolutionError"),
    }
)
#: Answers of S3 that s3fs does not tell apart from faults: a mistake in what it was told.
_REFUSED = re.compile(r"Invalid(Bucket|Access|Token|Security)|SignatureDoesNotMatch|Forbidden")
#: Names of variables whose values are credentials.
_SECRET = re.compile(r"SECRET|TOKEN|PASSWORD|KEY|CREDENTIAL|CONNECTION_STRING|SAS", re.IGNORECASE)
#: Characters of a variable's value from which on it is told from an ordinary word.
_LONG = 8

T = TypeVar("T")


def persist(call: Callable[[], T], url: str, patience: float) -> T:
    """What `call` returns, repeated while its error may pass; raises OSError, naming `url`."""
    pause, begun = TRY_AGAIN, time.monotonic()
    while True:
        try:
            return call()
        except Exception as error:
            waited = time.monotonic() - begun
            if lasting(error) or waited + pause > patience:
                raise as_os_error(error, url) from error
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, TRY_AGAIN_MAX)


def lasting(error: BaseException) -> bool:
    """Whether the same call would fail again."""
    mistakes = FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError
    if isinstance(error, (*mistakes, ValueError, TypeError, AttributeError, ImportError)):
        return True
    named = {cls.__name__ for cls in type(error).__mro__}
    return bool(named & _LASTING or _REFUSED.search(str(error)))


def as_os_error(error: BaseException, url: str) -> OSError:
    """The error as all storages tell theirs."""
    number = errno.EIO
    if isinstance(error, FileNotFoundError):
        number = errno.ENOENT
    elif isinstance(error, PermissionError) or lasting(error):
        number = errno.EACCES
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:  # of this machine's cache
        number = errno.ENOSPC
    return OSError(number, described(error), url)


def described(error: BaseException) -> str:
    """What an error says, in one line and without what must not be told."""
    said = str(error).strip().partition("\n")[0]
    if isinstance(error, OSError) and error.strerror:
        said = error.strerror
    elif isinstance(error, FileNotFoundError):  # its text is the path once more
        said = os.strerror(errno.ENOENT)
    return scrubbed(said)[:SHOWN] or type(error).__name__


def scrubbed(text: str) -> str:
    """The text without credentials."""
    for name, value in os.environ.items():
        if _SECRET.search(name) and len(value) >= _LONG:
            text = text.replace(value, "***")
    text = re.sub(r"(://)[^/\s@]+@", r"\1***@", text)
    return re.sub(r"(\w://[^\s?]+)\?[^\s'\")]+", r"\1?***", text)
