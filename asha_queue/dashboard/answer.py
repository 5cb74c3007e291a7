"""Answers of many bytes: compressed, hashed and sent without keeping Flower's event loop.

Rules

* `pack` is for a thread: it hashes what is to be sent, so that a client that has it already is told
  so (304) and gets nothing; and compresses what is large for a client that takes it.
* `send` is for the event loop, and does no more than to hand over bytes.
"""

import gzip
import hashlib
import re
from typing import Any, Final, NamedTuple, Self

#: Bytes from which on an answer is compressed.
COMPRESSED: Final = 4096
#: How hard: most of the gain for a third of the time of the hardest.
LEVEL: Final = 5

_GZIP = re.compile(r"\bgzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class Asked(NamedTuple):
    """What a client says of itself: its Accept-Encoding, and the ETags of what it has."""

    accepted: str = ""
    known: str = ""

    @classmethod
    def by(cls, handler: Any) -> Self:
        headers = handler.request.headers
        known = headers.get("If-None-Match", "") if handler.request.method == "GET" else ""
        return cls(headers.get("Accept-Encoding", ""), known)


#: A client of which nothing is known.
UNKNOWN: Final = Asked()


class Packed(NamedTuple):
    """An answer as it goes over the wire; without a body if the client has it."""

    body: bytes | None
    kind: str
    etag: str
    compressed: bool


def takes_gzip(accepted: str) -> bool:
    """Whether a client that sent this Accept-Encoding takes gzip."""
    return _GZIP.search(accepted.lower()) is not None


def pack(body: bytes, kind: str, asked: Asked = UNKNOWN) -> Packed:
    """`body` as it will be sent, `kind` being its Content-Type."""
    etag = f'W/"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
    if etag in asked.known:
        return Packed(None, kind, etag, False)
    compressed = len(body) >= COMPRESSED and takes_gzip(asked.accepted)
    if compressed:
        body = gzip.compress(body, LEVEL, mtime=0)
    return Packed(body, kind, etag, compressed)


def send(handler: Any, packed: Packed) -> None:
    """Ends a request with an answer; with 304 when the client has it already."""
    handler.set_header("Content-Type", packed.kind)
    handler.set_header("Etag", packed.etag)
    handler.set_header("Vary", "Accept-Encoding")
    handler.set_header("Cache-Control", "private, no-cache")  # kept, but asked for each time
    handler.compute_etag = lambda: packed.etag  # or Tornado would hash it all over again
    if packed.body is None:
        handler.set_status(304)
    elif packed.compressed:
        handler.set_header("Content-Encoding", "gzip")
    handler.finish(packed.body)
