"""Experiments, their journals and their decisions, in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from asha_queue import formats, settings
from asha_queue.errors import ProtocolError
from asha_queue.search.rooms import queues_of
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
from asha_queue.store.memory.fleet import Fleet
from asha_queue.store.memory.state import (
    Experiment,
    Record,
    clean,
    microseconds,
    position,
    stream_id,
)


class Experiments(Fleet):
    """The methods of `Store` that take an experiment as a whole."""

    def submit(self, uid: str, name: str, specification: Json) -> str:
        if name in self.memory.names:
            return self.memory.names[name]
        if uid in self.memory.experiments:
            raise ProtocolError(f"uid {uid} belongs to another name than {name}")
        now = self.clock()
        experiment = Experiment(uid, name, clean(specification), microseconds(now))
        experiment.submitted_at = now
        experiment.append(now, "submitted", {"uid": uid, "experiment": specification})
        self.memory.names[name] = uid
        self.memory.experiments[uid] = experiment
        return uid

    def uid(self, name: str) -> str | None:
        return self.memory.names.get(name)

    def names(self) -> dict[str, str]:
        return dict(self.memory.names)

    def describe(self, uid: str) -> Description:
        found = self._find(uid)
        formats.require(found.v, f"experiment {found.name}")
        return Description(
            uid=uid,
            name=found.name,
            specification=clean(found.specification),
            state=found.state,
            last=found.last,
            submitted_at=found.submitted_at,
            leader=found.leader if found.leader_until > self.clock() else "",
            term=found.term,
            stale=found.stale,
            extended=dict(found.extended),
        )

    def delete(self, uid: str) -> None:
        if experiment := self.memory.experiments.pop(uid, None):
            del self.memory.names[experiment.name]
            self.memory.deleted.add(uid)

    def finish(
        self, uid: str, last: str, request: str, by: str, reason: str, drain: bool = False
    ) -> Decided:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if answer := experiment.undecidable(last, request):
            return answer
        running = experiment.held("RUNNING")
        segments = len(experiment.held("QUEUED") + running)
        if drain and running:
            experiment.ending = True
            return "running"
        if segments and not drain:
            raise ProtocolError(f"an experiment with {segments} open segments cannot finish")
        experiment.append(self.clock(), "finished", {"by": by, "reason": reason})
        experiment.state, experiment.request, experiment.ending = "finished", request, False
        return "ok"

    def read(self, uid: str, seen: str, count: int = PIECE) -> Read:
        entries = self._find(uid).journal
        newest = range(len(entries) - 1, -1, -1) if seen not in ("", "0-0") else ()
        place = next((i for i in newest if entries[i]["id"] == seen), -1)
        if place < 0 and seen not in ("", "0-0"):
            return Read([], gone=True)
        after = entries[place + 1 : place + 1 + count]
        for entry in after:
            formats.require(entry["v"], f"journal entry {entry['id']}")
        return Read(clean({"entries": after})["entries"], gone=False)

    def await_entries(self, uid: str, seen: str, seconds: float) -> Read:
        return self.read(uid, seen)  # at once, as the clock is the caller's

    def keep_snapshot(self, uid: str, snapshot: Snapshot) -> None:
        experiment = self.memory.experiments.get(uid)
        if experiment and any(entry["id"] == snapshot.seen for entry in experiment.journal):
            experiment.snapshot = replace(snapshot, state=clean(snapshot.state))

    def snapshot(self, uid: str) -> Snapshot | None:
        experiment = self.memory.experiments.get(uid)
        kept = experiment.snapshot if experiment else None
        return replace(kept, state=clean(kept.state)) if kept else None

    def wait(self, seen: Mapping[str, str], seconds: float) -> None:
        """Returns at once: the clock is the caller's."""

    def report(self, uid: str, points: list[Json]) -> None:
        if experiment := self.memory.experiments.get(uid):
            for point in points:
                previous = experiment.live[-1][0] if experiment.live else "0-0"
                experiment.live.append((stream_id(self.clock(), previous), clean(point)))
            del experiment.live[: -settings.LIVE_POINTS]

    def live(self, uid: str, seen: str, count: int = 1000) -> tuple[list[Json], str]:
        stream = self._find(uid).live
        if seen not in [i for i, _ in stream]:
            rows = stream[:count]
        else:
            rows = [(i, point) for i, point in stream if position(i) > position(seen)][:count]
        return [clean(point) for _, point in rows], rows[-1][0] if rows else seen

    def schedule(
        self, uid: str, last: str, request: str, segments: Sequence[ScheduledSegment]
    ) -> Decided:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if answer := experiment.undecidable(last, request):
            return answer
        trials, taken = len(experiment.records), set()
        for s in segments:
            record = experiment.records.get(s.trial)
            if s.trial in taken:
                raise ProtocolError(f"trial {s.trial} is scheduled twice in one call")
            taken.add(s.trial)
            if s.rung == 0:
                if s.trial != trials:
                    raise ProtocolError(f"trial {s.trial}: the next new trial is {trials}")
                trials += 1
            elif not _promotable(record, s):
                raise ProtocolError(f"trial {s.trial} cannot be promoted to rung {s.rung}")
        now = self.clock()
        for s in segments:
            record = experiment.records.setdefault(s.trial, Record(s.trial, clean(s.config)))
            record.bracket, record.rung, record.target = s.bracket, s.rung, s.target
            record.attempt = 1
            record.failures = record.losses = record.unwitnessed = 0
            record.avoid = ""
            experiment.open(now, record)
        experiment.request = request
        return "ok"

    def schedule_and_read(
        self, uid: str, last: str, request: str, segments: Sequence[ScheduledSegment], seen: str
    ) -> tuple[Decided, Read]:
        return self.schedule(uid, last, request, segments), self.read(uid, seen)

    def published(self, uid: str, segments: Sequence[tuple[int, int, int]]) -> None:
        now = self.clock()
        if experiment := self.memory.experiments.get(uid):
            for trial, rung, attempt in segments:
                record = experiment.records.get(trial)
                if (
                    record
                    and record.state == "QUEUED"
                    and record.due <= now
                    and (record.rung, record.attempt) == (rung, attempt)
                ):
                    delay = settings.PUBLISH_AGAIN * 2**record.publications
                    record.publications += 1
                    record.due = now + min(delay, settings.PUBLISH_AGAIN_MAX)

    def due(self, uid: str, limit: int = 1000) -> list[QueuedSegment]:
        experiment, now = self._find(uid), self.clock()
        if experiment.state != "open" or experiment.ending:
            return []
        found = [record for record in experiment.held("QUEUED") if record.due <= now]
        found.sort(key=lambda record: (record.due, str(record.trial)))
        return [
            QueuedSegment(r.trial, r.bracket, r.rung, r.target, r.attempt, clean(r.config))
            for r in found[:limit]
        ]

    def lead(self, uid: str, who: str, wants: int, claims: Json | None = None) -> Lead:
        experiment, now = self._find(uid), self.clock()
        before = clean(experiment.claims)
        if experiment.leader != who:
            if experiment.leader_until > now:
                return Lead(experiment.term, experiment.leader, False, before, now)
            experiment.term += 1
        experiment.leader, experiment.wants = who, wants
        experiment.leader_until = now + settings.LEADER_LEASE
        if claims is not None:
            experiment.claims, experiment.claims_of = clean(claims), who
        return Lead(experiment.term, who, True, before, now)

    def resign(self, uid: str, who: str) -> None:
        experiment = self.memory.experiments.get(uid)
        if experiment and experiment.leader == who:
            experiment.leader, experiment.leader_until = "", 0.0

    def claimants(self) -> list[Claimant]:
        found = [
            Claimant(
                uid=e.uid,
                wants=e.wants,
                submitted_at=e.submitted_at,
                weight=float(e.specification.get("weight", 1.0)),
                queue=queues_of(e.specification)[0],
                claims=clean(e.claims) if e.claims_of == e.leader else {},
            )
            for e in self.memory.experiments.values()
            if e.state == "open" and e.leader_until > self.clock()
        ]
        return sorted(found, key=lambda claimant: (claimant.submitted_at, claimant.uid))


def _promotable(record: Record | None, s: ScheduledSegment) -> bool:
    return (
        record is not None
        and record.state == "IDLE"
        and (record.bracket, record.rung + 1) == (s.bracket, s.rung)
        and s.target > record.target
    )
