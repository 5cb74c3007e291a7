"""Where things are: the broker (which is also the store) and the storage, and who said so.

A storage is a folder or the URL of a bucket. The URL is written down (in the journal, in logs, on
pages), so it may hold no credentials: libraries find them in the environment or in files of theirs.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from asha_queue.errors import StorageError
from asha_queue.urls import server_url

#: Folder of runs, and of the embedded server's data, below the working directory.
DEFAULT_STORAGE = "asha-runs"
#: File in which a running embedded server leaves its URL (mode 0600: it holds the password).
ADDRESS_FILE = Path(DEFAULT_STORAGE) / ".valkey" / "address"
#: Variables of the environment that name the broker.
VARIABLES = ("ASHA_QUEUE_BROKER", "CELERY_BROKER_URL")
#: The schemes of storage URLs, and the packages that know them, which extras bring.
PACKAGES = {"s3": ("s3fs", "s3"), "gs": ("gcsfs", "gcs"), "az": ("adlfs", "azure")}


@dataclass(frozen=True, slots=True)
class Where:
    """A place and the reason why it is this one."""

    url: str = field(repr=False)
    origin: str

    def __str__(self) -> str:
        return f"{without_password(self.url)} ({self.origin})"


def broker(explicit: str | None = None, *, embedded: bool = True) -> Where | None:
    """The broker's URL: `explicit`, ASHA_QUEUE_BROKER, CELERY_BROKER_URL, or, if `embedded`, the
    server of the working directory when one has left its address there; else None.

    Raises StoreError, which shows no password, for what is not the URL of a server."""
    if explicit:
        return Where(server_url(explicit), "--broker")
    for variable in VARIABLES:
        if url := os.environ.get(variable):
            return Where(server_url(url), variable)
    address = Path.cwd() / ADDRESS_FILE
    if embedded and address.is_file():
        return Where(address.read_text().strip(), "embedded server of this directory")
    return None


def storage(explicit: str | None = None, experiment: str | None = None) -> Where:
    """The root of checkpoints, logs and exports: `explicit`, ASHA_QUEUE_STORAGE, the experiment's
    own, or `asha-runs`; an absolute path or a URL. Raises StorageError as `storage_root` does."""
    candidates = (
        (explicit, "--storage"),
        (os.environ.get("ASHA_QUEUE_STORAGE"), "ASHA_QUEUE_STORAGE"),
        (experiment, "the experiment's storage"),
    )
    for path, origin in candidates:
        if path:
            return Where(storage_root(path), origin)
    return Where(storage_root(DEFAULT_STORAGE), "default")


def storage_root(text: str) -> str:
    """The absolute path of a folder, or the URL of a bucket as it is written down.

    Raises StorageError for a URL that is none of a storage, or that holds credentials or options;
    the message shows none of them.
    """
    scheme, separator, rest = text.partition("://")
    try:
        impossible = b"\0" in os.fsencode(text)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise StorageError(f"storage {text!r:.80}: holds a character that no path and no URL has")
    if not separator:
        try:
            return str(Path(text).expanduser().absolute())
        except RuntimeError:
            raise StorageError(f"storage {text}: there is no such home here") from None
    shown = f"{scheme}://{re.split('[?#]', rest.rpartition('@')[2])[0]}"
    if "@" in rest or "?" in rest or "#" in rest:
        raise StorageError(
            f"storage {shown}: its URL may hold no credentials and no options, as it is kept in "
            f"the journal; give them by the environment or the files of the library, as its "
            f"other users do (for s3:// AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ~/.aws, …)"
        )
    if scheme == "file":
        return str(Path(rest).absolute())
    if scheme not in PACKAGES:
        why = "is seen by one process alone" if scheme == "memory" else "is not supported"
        raise StorageError(
            f"storage {shown}: {scheme}:// {why}; give a folder that all nodes share, or "
            + ", ".join(f"{known}://BUCKET/PREFIX" for known in PACKAGES)
        )
    parts = [part for part in rest.split("/") if part]
    if not parts or {".", ".."} & {*parts}:
        raise StorageError(
            f"storage {shown}: must be {scheme}://BUCKET or {scheme}://BUCKET/PREFIX"
        )
    return f"{scheme}://{'/'.join(parts)}"


def without_password(url: str) -> str:
    """The URL as it may be shown: user and passwords replaced by `***`. Where it is not clear what
    is the password, as in one with a slash that was not written as %2F, more is replaced."""
    url = re.sub(r"([?&]\w*password=)[^&]*", r"\1***", url)
    scheme, separator, rest = url.partition("://")
    _, at, shown = (rest if separator else scheme).rpartition("@")
    if not at:
        return url
    return f"{scheme}://***@{shown}" if separator else f"***@{shown}"


def user_of(url: str) -> str:
    """The user in a URL, as whom its server is asked."""
    try:
        login = urlsplit(url).netloc.rpartition("@")[0]
    except ValueError:
        login = ""
    return unquote(login.partition(":")[0]) or "default"
