"""What workers and coordinators say of themselves, as it is read.

Everyone who looks at the fleet reads it, and any worker may say anything: what is not of the type
that it is to be is taken as not said, so that one worker spoils no look at the others.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from asha_queue.store.contract import Json

Path = Annotated[str, Meta(pattern=r"^[^\0]*\Z")]


class Storage(Struct):
    """What a node has found out about its storage (`checkpoints/probe.py`)."""

    root: Path
    id: str
    seen: list[str]
    error: str


#: What is told, by name; what has other names is of a later version, and nothing here reads it.
_TYPES: Final[dict[str, Any]] = {
    "host": str,
    "pid": Annotated[int, Meta(ge=1, le=2**31)],
    "device": str,
    "version": str,
    "queues": list[str],
    "programs": list[str],
    "gpus": list[str] | str,
    "storage": Storage,
}


def introduced(said: Any) -> Json:
    """What was said, without what cannot be."""
    if not isinstance(said, dict):
        return {}
    return {name: value for name, value in said.items() if _fits(name, value)}


def _fits(name: str, value: Any) -> bool:
    if name not in _TYPES:
        return True
    try:
        msgspec.convert(value, _TYPES[name])
    except (msgspec.ValidationError, UnicodeError):
        return False
    return True
