"""What a server says of itself: its version, whether it keeps what it acknowledged, its memory.

Outside the `Store` protocol: nothing here reads or writes an experiment. A user of the server may
be denied some of these commands (`CONFIG`, `INFO`), and a hosted server may lack them: what cannot
be asked is None.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from asha_queue.errors import StoreError
from asha_queue.store.connection import Connection
from asha_queue.store.rights import ROLES
from asha_queue.where import user_of

#: Pings of which the median is taken.
PINGS: Final = 5


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Sizes are bytes, times seconds; `None`: the server does not tell this user."""

    kind: str
    version: str | None
    replica: bool
    #: That are connected now, and without which no write is taken.
    replicas: int | None
    min_replicas: int | None
    #: From a command to its answer.
    round_trip: float
    #: By which the server's clock is ahead of ours, give or take the round trip.
    ahead: float
    used_memory: int | None
    #: 0: no limit.
    memory_limit: int | None
    eviction_policy: str | None
    append_only: bool | None
    #: "always", "everysec" or "no".
    append_sync: str | None
    #: What the last write, rewrite or snapshot failed at, in the server's words.
    write_errors: tuple[str, ...]


def facts(url: str, timeout: float = 5.0) -> ServerFacts:
    """Asks the server at `url`; raises StoreUnavailable when it does not answer."""
    connection = Connection(url, timeout)
    try:
        trips = [_timed(connection)[0] for _ in range(PINGS)]
        _, ahead = _timed(connection)
        info = _allowed(connection, "INFO")
        settings: dict[str, Any] = {}
        if user_of(url) not in ROLES:  # which may not, and the server's log would say so each time
            settings |= _allowed(connection, "CONFIG", "GET", "append*")
            settings |= _allowed(connection, "CONFIG", "GET", "min-replicas-to-write")
    finally:
        connection.close()
    return ServerFacts(
        kind="Valkey" if info.get("server_name") == "valkey" else "Redis",
        version=info.get("valkey_version") or info.get("redis_version"),
        replica=info.get("role") in ("slave", "replica"),
        replicas=info.get("connected_slaves"),
        min_replicas=_number(settings.get("min-replicas-to-write")),
        round_trip=median(trips),
        ahead=ahead,
        used_memory=info.get("used_memory"),
        memory_limit=info.get("maxmemory"),
        eviction_policy=info.get("maxmemory_policy"),
        append_only=bool(info["aof_enabled"]) if "aof_enabled" in info else None,
        append_sync=settings.get("appendfsync"),
        write_errors=tuple(
            f"{name} {info[name]}" for name in _STATES if info.get(name, "ok") != "ok"
        ),
    )


def lengths(url: str, lists: Sequence[str], timeout: float = 5.0) -> int:
    """How many elements the lists have together."""
    connection = Connection(url, timeout)
    try:
        return sum(connection.command("LLEN", key) for key in lists)
    finally:
        connection.close()


#: Fields of INFO that are "ok" unless something failed.
_STATES = ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")


def _timed(connection: Connection) -> tuple[float, float]:
    """The round trip of one command, and by how much the server's clock is ahead."""
    before, began = time.time(), time.monotonic()
    seconds, micros = connection.command("TIME")
    trip = time.monotonic() - began
    return trip, seconds + micros / 1e6 - (before + trip / 2)


def _number(text: str | None) -> int | None:
    return None if text is None else int(text)


def _allowed(connection: Connection, *words: str) -> dict[str, Any]:
    """What a command answers, nothing when this user may not give it or it is unknown."""
    try:
        answer: dict[str, Any] = connection.command(*words)
    except StoreError:
        return {}
    return answer
