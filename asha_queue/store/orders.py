"""Orders to a whole experiment, on the server."""

from collections.abc import Mapping, Sequence
from typing import Any

from asha_queue.search.limits import EXTENDABLE
from asha_queue.store import journal, keys
from asha_queue.store.connection import Part
from asha_queue.store.contract import Changed


class Orders(Part):
    """The methods of `Store` that carry the request of an order."""

    def pause(self, uid: str, request: str, by: str, reason: str, now: bool) -> Changed:
        members = journal.members({"by": by, "reason": reason, "now": now})
        return self._ordered("pause", uid, request, members, "1" if now else "")

    def resume(self, uid: str, request: str, by: str, reason: str) -> Changed:
        return self._ordered("resume", uid, request, journal.members({"by": by, "reason": reason}))

    def cancel(self, uid: str, request: str, by: str, reason: str) -> Changed:
        return self._ordered("cancel", uid, request, journal.members({"by": by, "reason": reason}))

    def extend(
        self, uid: str, request: str, by: str, reason: str, changed: Mapping[str, Any]
    ) -> Changed:
        members = journal.members({"by": by, "reason": reason, "changed": dict(changed)})
        values = [journal.encode(changed[n]) if n in changed else "" for n in EXTENDABLE]
        return self._ordered("extend", uid, request, members, *values)

    def retry(self, uid: str, request: str, by: str, trials: Sequence[int] | None) -> list[int]:
        members = journal.members({"by": by})
        which = ["all"] if trials is None else ["these", *sorted(trials)]
        where = [keys.experiment(uid)]
        again: str = self._connection.find(uid, "retry", where, request, members, *which)
        return [int(trial) for trial in again.split()]

    def _ordered(self, script: str, uid: str, *args: str | int) -> Changed:
        answer: Changed = self._connection.run(script, [keys.experiment(uid)], *args)
        return answer
