"""The shape of the journal's entries: what a line of a file is held against before it is folded.

A file may have been edited, cut, joined or made up. Whatever reads entries relies on their fields
being of these types and sizes, if they are there (a missing one is no entry that can be folded, and
is said then); that entries follow each other is for `search/rules.py` to say.
"""

from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct

from asha_queue.settings import NAME
from asha_queue.store.contract import Json

#: Of what is counted; exact as a double, which is all that others may have for it.
Count = Annotated[int, Meta(ge=0, le=2**53)]
#: Of trials, rungs and attempts, for which there is a record each.
Number = Annotated[int, Meta(ge=0, le=10**9)]
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Identifier = Annotated[str, Meta(pattern=NAME.removesuffix("$") + r"\Z")]


class Entry(Struct):
    """What every entry has."""

    v: Annotated[int, Meta(ge=0, le=2**31)]
    id: Annotated[str, Meta(pattern=r"^[0-9]{1,18}-[0-9]{1,18}\Z")]
    type: str
    at: Seconds


class Submitted(Entry):
    uid: Identifier = ""
    experiment: dict[str, Any] = {}


class Retried(Entry):
    trial: Number = 0
    rung: Number = 0


class Segment(Retried):
    """What happens to an attempt."""

    attempt: Annotated[int, Meta(ge=1, le=10**9)] = 1
    worker: str | None = None
    token: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0


class Scheduled(Segment):
    target: Count = 0
    bracket: Number = 0
    config: dict[str, Any] = {}


class Started(Segment):
    start: Count = 0


class Checkpoint(Struct):
    path: Annotated[str, Meta(pattern=r"^[^\0]{1,4096}\Z")]
    resource: Count
    metrics: dict[str, Any] = {}
    bytes: Count = 0
    digest: str = ""


class Verifiable(Checkpoint, kw_only=True):
    digest: str


class Ended(Segment):
    reached: Count | None = None
    checkpoint: Checkpoint | None = None
    metrics: dict[str, Any] = {}
    seconds: Seconds | None = None
    curve: list[tuple[Count, dict[str, Any]]] | None = None
    error: str | None = None
    final: bool = False
    reason: str | None = None


class Evicted(Retried):
    checkpoints: list[str] = []
    reached: Count = 0
    left: Count = 0


class Paused(Entry):
    now: bool = False


class Changed(Struct):
    num_samples: Number = 0
    max_t: Count = 0


class Extended(Entry):
    changed: Changed = msgspec.field(default_factory=Changed)


#: Levels of lists and objects in an entry, at most: whoever walks through one is recursive.
DEEPEST: Final = 64

#: What each type is; of those that are not here nothing else is asked.
SHAPES: Final[dict[str, type[Entry]]] = {
    "submitted": Submitted,
    "scheduled": Scheduled,
    "started": Started,
    "completed": Ended,
    "suspended": Ended,
    "failed": Ended,
    "lost": Ended,
    "retried": Retried,
    "warning": Retried,
    "evicted": Evicted,
    "paused": Paused,
    "extended": Extended,
}


def misrecorded(checkpoint: Any) -> str:
    """What is wrong with the record of a checkpoint that is to be verified; empty if nothing."""
    try:
        msgspec.convert(checkpoint, Verifiable)
    except (msgspec.ValidationError, UnicodeError) as error:
        return str(error)
    return ""


def misshapen(read: Json) -> str:
    """What is wrong with the shape of an entry, which has v, id, type and at; empty if nothing."""
    kind = read["type"]
    shape = SHAPES.get(kind, Entry) if isinstance(kind, str) else Entry
    try:
        msgspec.convert(read, shape)
    except (msgspec.ValidationError, UnicodeError) as error:
        return str(error)
    layer: list[Any] = [read]
    for _ in range(DEEPEST):
        layer = [
            item
            for value in layer
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, dict | list)
        ]
        if not layer:
            return ""
    return f"more than {DEEPEST} lists and objects within each other"
