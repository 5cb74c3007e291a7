"""The workers and coordinators that live, on the server."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from asha_queue.store import journal, keys
from asha_queue.store.connection import Part
from asha_queue.store.contract import Attendant, Json, Worker
from asha_queue.store.introductions import introduced

_WORKERS = [keys.WORKERS, keys.SEEN]
_TROUBLES = [keys.TROUBLES, keys.ASIDE]
#: Workers of which is remembered what they say.
MOST: Final = 2**14
_COORDINATORS = [keys.COORDINATORS, keys.COORDINATORS_SEEN]


class Fleet(Part):
    """The methods of `Store` that take a worker or a coordinator."""

    def beat(self, worker: str, info: Json) -> bool:
        where = [*_WORKERS, keys.DRAINS, *_TROUBLES]
        return bool(self._connection.run("beat", where, worker, journal.encode(info)))

    def leave(self, worker: str) -> None:
        self._connection.run("leave", [*_WORKERS, *_TROUBLES], worker)

    def workers(self) -> list[Worker]:
        return [Worker(*row) for row in self._alive([*_WORKERS, *_TROUBLES])]

    def set_aside(self, worker: str, reason: str) -> None:
        self._connection.run("set_aside", _TROUBLES, worker, reason)

    def drain(self, workers: Sequence[str], by: str) -> None:
        self._connection.run("drain", [keys.DRAINS], by, *workers)

    def undrain(self, worker: str) -> None:
        self._connection.run("undrain", [keys.DRAINS], worker)

    def drained(self) -> dict[str, str]:
        return self._connection.hash(keys.DRAINS)

    def attend(self, who: str, info: Json) -> None:
        self._connection.provide()
        self._connection.run("beat", _COORDINATORS, who, journal.encode(info))

    def absent(self, who: str) -> None:
        self._connection.run("leave", _COORDINATORS, who)

    def attendants(self) -> list[Attendant]:
        return [Attendant(*row[:3]) for row in self._alive(_COORDINATORS)]

    def _alive(self, where: list[str]) -> list[tuple[str, Any, float, str]]:
        """Name, what it says of itself, when it was last heard and why it is set aside, by name."""
        rows = self._connection.run("alive", where)
        return sorted(
            ((name, _said(info), int(seen) / 1e6, aside) for name, info, seen, aside in rows),
            key=lambda row: row[0],
        )


@lru_cache(maxsize=MOST)
def _said(info: str) -> Json:
    """What a worker says of itself, which is the same with each beat: read once."""
    try:
        return introduced(journal.decode(info))
    except (ValueError, RecursionError):
        return introduced(None)
