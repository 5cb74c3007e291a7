"""The storage: files of experiments in a folder, or in an object store with a mirror of it here."""

from asha_queue.storage.contract import Storage
from asha_queue.storage.folder import Folder
from asha_queue.storage.opening import AnyStorage, opened, required
from asha_queue.storage.remote import Remote

__all__ = ["AnyStorage", "Folder", "Remote", "Storage", "opened", "required"]
