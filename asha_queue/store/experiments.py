"""Experiments, their journals and their decisions, on the server."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from asha_queue import formats
from asha_queue.search.limits import EXTENDABLE
from asha_queue.search.rooms import QUEUE, queues_of
from asha_queue.settings import FORMAT
from asha_queue.store import journal, keys
from asha_queue.store.connection import Part, Word, awaiting, words
from asha_queue.store.contract import (
    PIECE,
    Claimant,
    Decided,
    Description,
    Json,
    Lead,
    QueuedSegment,
    Read,
    ScheduledSegment,
    Snapshot,
)

#: Weight of what the first version submitted, which had none.
WEIGHT: Final = 1.0


def policy(specification: Json) -> dict[str, str | int]:
    """The fields of the specification that scripts read, as the hash has them."""
    return {
        "retries": int(specification.get("retries", 1)),
        "weight": repr(float(specification.get("weight", WEIGHT))),
        "queue": queues_of(specification)[0],
    }


class Experiments(Part):
    """The methods of `Store` that take an experiment as a whole."""

    def submit(self, uid: str, name: str, specification: Json) -> str:
        answer: str = self._connection.run(
            "submit",
            [keys.experiment(uid), keys.NAMES],
            uid,
            name,
            journal.encode(specification),
            *policy(specification).values(),
            journal.members({"uid": uid, "experiment": specification}),
        )
        return answer

    def uid(self, name: str) -> str | None:
        return self._connection.field(keys.NAMES, name)

    def names(self) -> dict[str, str]:
        return self._connection.hash(keys.NAMES)

    def describe(self, uid: str) -> Description:
        facts = self._connection.find(uid, "describe", [keys.experiment(uid)])
        v, name, specification, state, last, submitted_at, leader, term, stale, *extended = facts
        formats.require(int(v), f"experiment {name}")
        return Description(
            uid=uid,
            name=name,
            specification=journal.decode(specification),
            state=state,
            last=last,
            submitted_at=float(submitted_at),
            leader=leader or "",
            term=int(term),
            stale=int(stale),
            extended={
                name: journal.decode(value)
                for name, value in zip(EXTENDABLE, extended, strict=True)
                if value is not None
            },
        )

    def delete(self, uid: str) -> None:
        self._connection.run("delete", [keys.experiment(uid), keys.NAMES, keys.DELETED], uid)

    def finish(
        self, uid: str, last: str, request: str, by: str, reason: str, drain: bool = False
    ) -> Decided:
        members = journal.members({"by": by, "reason": reason})
        answer: Decided = self._connection.run(
            "finish", [keys.experiment(uid)], last, request, members, "1" if drain else ""
        )
        return answer

    def schedule(
        self, uid: str, last: str, request: str, segments: Sequence[ScheduledSegment]
    ) -> Decided:
        where = [keys.experiment(uid)]
        answer: Decided = self._connection.run("schedule", where, last, request, *_told(segments))
        return answer

    def schedule_and_read(
        self, uid: str, last: str, request: str, segments: Sequence[ScheduledSegment], seen: str
    ) -> tuple[Decided, Read]:
        told = [last, request, *_told(segments)]
        answer, rows = self._connection.pipeline(
            [words("schedule", [keys.experiment(uid)], told), _reading(uid, seen, PIECE)]
        )
        return answer, _read(self._connection.found(uid, rows))

    def published(self, uid: str, segments: Sequence[tuple[int, int, int]]) -> None:
        args = [number for segment in segments for number in segment]
        self._connection.run("published", [keys.experiment(uid)], *args)

    def due(self, uid: str, limit: int = 1000) -> list[QueuedSegment]:
        rows = self._connection.find(uid, "due", [keys.experiment(uid)], limit)
        return [
            QueuedSegment(
                trial=int(trial),
                bracket=int(bracket),
                rung=int(rung),
                target=int(target),
                attempt=int(attempt),
                config=journal.decode(config),
            )
            for trial, bracket, rung, target, attempt, config in rows
        ]

    def read(self, uid: str, seen: str, count: int = PIECE) -> Read:
        if seen and seen != "0-0":
            # What the script tells, in one command that need not go through Lua: what is not as
            # expected (the entry `seen` is not there) it has to say.
            told = (keys.journal(uid), seen, "+", "COUNT", str(count + 1))
            found = self._connection.command("XRANGE", *told)
            if found and found[0][0] == seen:
                return Read(entries=[journal.entry(i, held) for i, held in found[1:]], gone=False)
        where = [keys.experiment(uid), keys.journal(uid)]
        return _read(self._connection.find(uid, "read", where, seen or "0-0", count))

    def await_entries(self, uid: str, seen: str, seconds: float) -> Read:
        awaited = awaiting({keys.journal(uid): seen or "0-0"}, seconds)
        _, rows = self._connection.pipeline([awaited, _reading(uid, seen, PIECE)], blocks=True)
        return _read(self._connection.found(uid, rows))

    def keep_snapshot(self, uid: str, snapshot: Snapshot) -> None:
        where = [keys.experiment(uid)]
        state = journal.encode(snapshot.state)
        self._connection.run("keep_snapshot", where, snapshot.seen, snapshot.last, state)

    def snapshot(self, uid: str) -> Snapshot | None:
        kept = self._connection.hash(keys.snapshot(uid))
        if not kept or int(kept["v"]) != FORMAT:
            return None
        return Snapshot(kept["seen"], kept["last"], journal.decode(kept["state"]))

    def wait(self, seen: Mapping[str, str], seconds: float) -> None:
        streams = {keys.journal(uid): last or "0-0" for uid, last in seen.items()}
        self._connection.block(streams, seconds)

    def report(self, uid: str, points: list[Json]) -> None:
        texts = [journal.encode(point) for point in points]
        self._connection.run("report", [keys.experiment(uid), keys.live(uid)], *texts)

    def live(self, uid: str, seen: str, count: int = 1000) -> tuple[list[Json], str]:
        where = [keys.experiment(uid), keys.live(uid)]
        rows = self._connection.find(uid, "read", where, seen or "0-0", count)
        if rows == "gone":  # trimmed, or rolled back: from the oldest that is left
            rows = self._connection.find(uid, "read", where, "0-0", count)
        points = [journal.decode(_fields(pairs)["data"]) for _, pairs in rows]
        return points, rows[-1][0] if rows else seen

    def lead(self, uid: str, who: str, wants: int, claims: Json | None = None) -> Lead:
        self._connection.provide()
        where, mine = [keys.experiment(uid)], self._connection.identity()
        told = "" if claims is None else journal.encode(claims)

        def ask(gone: str) -> list[str]:
            answer: list[str] = self._connection.find(
                uid, "lead", where, who, wants, mine, gone, told
            )
            return answer

        term, leader, silent, before, at = ask("")
        if silent and not self._connection.lives(silent):
            term, leader, _, before, at = ask(leader)
        return Lead(int(term), leader, leader == who, _claims(before), float(at))

    def resign(self, uid: str, who: str) -> None:
        self._connection.run("resign", [keys.experiment(uid)], who)

    def claimants(self) -> list[Claimant]:
        rows = self._connection.run("claimants", [keys.NAMES], keys.experiment(""))
        found = [
            Claimant(
                uid=uid,
                wants=int(wants),
                submitted_at=float(since),
                weight=float(weight or WEIGHT),
                queue=queue or QUEUE,
                claims=_claims(claims),
            )
            for uid, wants, since, weight, queue, claims in rows
        ]
        return sorted(found, key=lambda claimant: (claimant.submitted_at, claimant.uid))


def _told(segments: Sequence[ScheduledSegment]) -> list[str | int]:
    """Segments as schedule.lua takes them."""
    told: list[str | int] = []
    for s in segments:
        told += [s.trial, s.bracket, s.rung, s.target, journal.encode(s.config)]
    return told


def _reading(uid: str, seen: str, count: int) -> list[Word]:
    return words("read", [keys.experiment(uid), keys.journal(uid)], [seen or "0-0", count])


def _read(rows: Any) -> Read:
    """What read.lua answers."""
    if rows == "gone":
        return Read(entries=[], gone=True)
    return Read(entries=[journal.entry(i, _fields(pairs)) for i, pairs in rows], gone=False)


def _claims(text: str) -> Json:
    claims: Json = journal.decode(text) if text else {}
    return claims


def _fields(pairs: list[str]) -> dict[str, str]:
    return dict(zip(pairs[::2], pairs[1::2], strict=True))
