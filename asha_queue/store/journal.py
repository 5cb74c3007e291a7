"""Entries of the journal as text: one JSON object per entry, a public format.

JSON has no NaN and no infinities: they are written as the strings "NaN", "Infinity" and
"-Infinity", at any depth, and stay strings when read (whoever ranks values knows them).
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from asha_queue.errors import JournalError, NewerFormat
from asha_queue.settings import FORMAT
from asha_queue.store.contract import Json

#: Types of entries after which an older decision no longer counts; `failed` does when final.
RELEVANT = frozenset(
    {
        "submitted",
        "scheduled",
        "completed",
        "paused",
        "resumed",
        "extended",
        "retried",
        "cancelled",
        "finished",
    }
)


def decides(entry: Mapping[str, Any]) -> bool:
    """Whether this entry can change a decision: the last such id is `last` in the store."""
    return entry["type"] in RELEVANT or (entry["type"] == "failed" and bool(entry["final"]))


def encode(value: Any) -> str:
    """JSON in one line of ASCII; numbers keep every digit."""
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:  # a NaN or an infinity somewhere: rare, so looked for only now
        return json.dumps(_finite(value), allow_nan=False, separators=(",", ":"))


def decode(text: str) -> Any:
    """What `encode` wrote, with "NaN", "Infinity" and "-Infinity" as strings."""
    return json.loads(text)


def members(value: Mapping[str, Any]) -> str:
    """The members of a JSON object without its braces, for a script to put among its own."""
    return encode(value)[1:-1]


def entry(stream_id: str, fields: Mapping[str, str]) -> Json:
    """An entry from a stream's id and its fields v, type, at and data."""
    return {
        "v": int(fields["v"]),
        "id": stream_id,
        "type": fields["type"],
        "at": float(fields["at"]),
        **decode(fields["data"]),
    }


def dump(entry: Mapping[str, Any]) -> str:
    """An entry as a line of journal.jsonl, with its newline."""
    return encode(entry) + "\n"


def load(line: str) -> Json:
    """The entry of a line of journal.jsonl; raises `NewerFormat` for what a newer version wrote."""
    try:
        read = json.loads(line)
    except ValueError as error:
        raise JournalError(f"not a line of a journal ({error}): {line[:80]!r}") from None
    if not isinstance(read, dict) or not {"v", "id", "type", "at"} <= read.keys():
        raise JournalError(f"not an entry of a journal, v, id, type or at missing: {line[:80]!r}")
    if read["v"] > FORMAT:
        raise NewerFormat(
            f"journal entry {read['id']} has format {read['v']}, this version reads up to "
            f"{FORMAT}: update asha-queue"
        )
    return read


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
