"""Where things are: the broker (which is also the store) and the storage, and who said so."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

#: Folder of runs, and of the embedded server's data, below the working directory.
DEFAULT_STORAGE = "asha-runs"
#: File in which a running embedded server leaves its URL (mode 0600: it holds the password).
ADDRESS_FILE = Path(DEFAULT_STORAGE) / ".valkey" / "address"


@dataclass(frozen=True, slots=True)
class Where:
    """A place and the reason why it is this one."""

    url: str
    origin: str

    def __str__(self) -> str:
        return f"{without_password(self.url)} ({self.origin})"


def broker(explicit: str | None = None, *, embedded: bool = True) -> Where | None:
    """The broker's URL: `explicit`, ASHA_QUEUE_BROKER, CELERY_BROKER_URL, or, if `embedded`, the
    server of the working directory when one has left its address there; else None."""
    if explicit:
        return Where(explicit, "--broker")
    for variable in ("ASHA_QUEUE_BROKER", "CELERY_BROKER_URL"):
        if url := os.environ.get(variable):
            return Where(url, variable)
    address = Path.cwd() / ADDRESS_FILE
    if embedded and address.is_file():
        return Where(address.read_text().strip(), "embedded server of this directory")
    return None


def storage(explicit: str | None = None, experiment: str | None = None) -> Where:
    """The root of checkpoints, logs and exports: `explicit`, ASHA_QUEUE_STORAGE, the experiment's
    own, or `asha-runs`; absolute."""
    candidates = (
        (explicit, "--storage"),
        (os.environ.get("ASHA_QUEUE_STORAGE"), "ASHA_QUEUE_STORAGE"),
        (experiment, "the experiment's storage"),
    )
    for path, origin in candidates:
        if path:
            return Where(str(Path(path).expanduser().absolute()), origin)
    return Where(str(Path(DEFAULT_STORAGE).absolute()), "default")


def without_password(url: str) -> str:
    """The URL as it may be shown: user and passwords replaced by `***`."""
    url = re.sub(r"([?&]\w*password=)[^&]*", r"\1***", url)
    try:
        parts = urlsplit(url)
    except ValueError:  # what is no URL is said by whoever uses it
        return url.partition("://")[0] + "://…"
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc="***@" + parts.netloc.rpartition("@")[2]))
