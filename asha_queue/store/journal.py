"""Entries of the journal as text: one JSON object per entry, a public format.

JSON has no NaN and no infinities: they are written as the strings "NaN", "Infinity" and
"-Infinity", at any depth, and stay strings when read (whoever ranks values knows them).
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from asha_queue import formats
from asha_queue.errors import JournalError, NewerFormat
from asha_queue.settings import FORMAT
from asha_queue.storage import Storage, opened
from asha_queue.store.contract import Json
from asha_queue.store.entries import misshapen

#: Bytes at the end of a file in which its last line is looked for first.
PIECE = 65536
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
        return json.dumps(finite(value), allow_nan=False, separators=(",", ":"))


def decode(text: str) -> Any:
    """What `encode` wrote, with "NaN", "Infinity" and "-Infinity" as strings."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:  # half a surrogate pair, which is JSON all the same
        return json.loads(text, parse_constant=_no_json)


def _no_json(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def members(value: Mapping[str, Any]) -> str:
    """The members of a JSON object without its braces, for a script to put among its own."""
    return encode(value)[1:-1]


def entry(stream_id: str, fields: Mapping[str, str]) -> Json:
    """An entry from a stream's id and its fields v, type, at and data; raises `NewerFormat`."""
    v = int(fields["v"])
    if v > FORMAT:
        formats.require(v, f"journal entry {stream_id}")
    return {
        "v": v,
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
        read = decode(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(f"not a line of a journal ({error}): {line[:80]!r}") from None
    if not isinstance(read, dict) or not {"v", "id", "type", "at"} <= read.keys():
        raise JournalError(f"not an entry of a journal, v, id, type or at missing: {line[:80]!r}")
    if not isinstance(read["v"], int) or not isinstance(read["at"], int | float):
        raise JournalError(f"not an entry of a journal, v or at is no number: {line[:80]!r}")
    formats.require(read["v"], f"journal entry {read['id']}")
    return read


def load_file(path: Path | str) -> tuple[list[Json], bool]:
    """The entries of a journal.jsonl, and whether its last line was cut off and left out: so does
    an exporter leave it that was killed while it wrote.

    Raises `JournalError`, naming the line, for anything else that is no entry.
    """
    try:
        folder, _, name = str(path).rpartition("/")
        data = opened(folder).read(name) if "://" in folder else Path(path).read_bytes()
    except OSError as error:
        raise JournalError(f"no such file: {path}, or not to be read: {error.strerror}") from None
    *lines, rest = data.decode(errors="replace").split("\n")
    entries = []
    for number, line in enumerate([*lines, rest] if rest else lines, start=1):
        try:
            read = load(line)
            if wrong := misshapen(read):
                raise JournalError(f"not an entry of a journal, {wrong}: {line[:80]!r}")
            entries.append(read)
        except JournalError as error:
            if number > len(lines):
                return entries, True
            raise JournalError(f"{path}, line {number}: {error}") from None
    return entries, False


def ends(folder: Storage, name: str) -> tuple[Json, Json] | None:
    """The first entry of a journal.jsonl and the last that is whole, without reading what lies
    between them; None if they are none. Raises OSError when an object store cannot be read."""
    try:
        size, piece = folder.size(name), PIECE
        while b"\n" not in (first := folder.read(name, 0, piece)) and piece < size:
            piece *= 2
        piece = PIECE
        while True:
            lines = folder.read(name, max(0, size - piece)).split(b"\n")
            if len(lines) > 2 or piece >= size:  # the last but one begins after a line's end
                break
            piece *= 2
        return load(first.partition(b"\n")[0].decode()), load(lines[-2].decode())
    except OSError as error:
        if folder.remote and not isinstance(error, FileNotFoundError):
            raise
        return None
    except (ValueError, IndexError, JournalError, NewerFormat):
        return None


def finite(value: Any) -> Any:
    """The value with NaN and infinities, at any depth, as the texts that JSON has for them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value
