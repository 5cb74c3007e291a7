"""Opening a storage by its path or URL."""

from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias

from asha_queue.errors import StorageError
from asha_queue.storage.contract import Storage
from asha_queue.storage.folder import Folder
from asha_queue.storage.patience import PATIENCE
from asha_queue.storage.remote import Remote
from asha_queue.where import PACKAGES, storage_root

#: What names a storage.
AnyStorage: TypeAlias = "Storage | Path | str"


def opened(place: AnyStorage, patience: float = PATIENCE) -> Storage:
    """The storage at a path or URL; calls of an object store are repeated for `patience` seconds.

    Raises StorageError for a URL that is none of a storage, or whose package is not installed.
    """
    if not isinstance(place, str):
        return Folder(place) if isinstance(place, Path) else place
    if "://" not in place:
        return Folder(place)
    root = storage_root(place)
    scheme = root.partition("://")[0]
    if scheme not in PACKAGES:
        return Folder(root)
    package, extra = PACKAGES[scheme]
    if find_spec(package) is None:
        raise StorageError(
            f"storage {root}: {scheme}:// needs the package {package}, which is not installed "
            f"here; install it: pip install 'asha-queue[{extra}]'"
        )
    return Remote(root, patience)


def required(place: AnyStorage, patience: float = PATIENCE) -> Storage:
    """As `opened`, and reached: raises StorageError, too, when there is no such bucket or this
    machine may not look into it."""
    storage = opened(place, patience)
    try:
        storage.check()
    except OSError as error:
        raise StorageError(
            f"storage {storage} cannot be used from here: {error.filename}: {error.strerror}. "
            f"Correct the URL, create the bucket, or give this machine credentials that may list, "
            f"read and write it"
        ) from None
    return storage
