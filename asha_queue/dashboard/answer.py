"""Answers of many bytes: compressed, hashed and sent without keeping Flower's event loop.

Rules

* `pack` is for a thread: it compresses what is large for a client that takes it, and hashes what
  was to be sent, so that a client that has it already is told so (304) and gets nothing.
* `send` is for the event loop, and does no more than to hand over bytes.
"""

import gzip
import hashlib
import re
from typing import Any, Final, NamedTuple

#: Bytes from which on an answer is compressed.
COMPRESSED: Final = 4096
#: How hard: most of the gain for a third of the time of the hardest.
LEVEL: Final = 5

_GZIP = re.compile(r"\bgzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))")


class Packed(NamedTuple):
    """An answer as it goes over the wire."""

    body: bytes
    kind: str
    etag: str
    compressed: bool


def takes_gzip(accepted: str) -> bool:
    """Whether a client that sent this Accept-Encoding takes gzip."""
    return _GZIP.search(accepted.lower()) is not None


def pack(body: bytes, kind: str, accepted: str = "") -> Packed:
    """`body` as it will be sent, `kind` being its Content-Type and `accepted` the client's
    Accept-Encoding."""
    etag = f'W/"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"'
    compressed = len(body) >= COMPRESSED and takes_gzip(accepted)
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
    asked = handler.request.method == "GET" and handler.get_status() == 200
    if asked and handler.check_etag_header():
        handler.set_status(304)
        handler.finish()
        return
    if packed.compressed:
        handler.set_header("Content-Encoding", "gzip")
    handler.finish(packed.body)
