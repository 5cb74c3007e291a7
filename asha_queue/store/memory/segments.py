"""One segment from its claim to its end, in memory."""

from collections.abc import Sequence

from asha_queue import settings
from asha_queue.errors import ProtocolError
from asha_queue.store.contract import (
    Claim,
    Eviction,
    Failed,
    Json,
    Outcome,
    Renewed,
    RunningSegment,
    Written,
)
from asha_queue.store.memory.fleet import Fleet
from asha_queue.store.memory.state import Experiment, Record, clean, microseconds


class Segments(Fleet):
    """The methods of `Store` that take one segment."""

    def claim(
        self,
        uid: str,
        trial: int,
        rung: int,
        attempt: int,
        claim: str,
        worker: str,
        ready: bool = False,
    ) -> Claim:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return Claim("refused", "the experiment is unknown: it was deleted or lost")
        r = experiment.records.get(trial)
        if r is None:
            return Claim("refused", f"trial {trial} was never scheduled")
        if r.state == "RUNNING" and r.claim == claim:
            return _run(r)
        if r.ended_claim == claim and r.ended_how == "found":
            return Claim("completed")
        if reason := _unclaimable(experiment, r, rung, attempt):
            return Claim("refused", reason)
        if (aside := self._aside(worker)).till:
            r.refused(self.clock())
            return Claim("aside", aside.reason, aside_for=aside.till - self.clock())
        if self._avoids(r, worker):
            r.refused(self.clock())
            name = f"trial {r.trial} rung {r.rung} attempt {r.attempt}"
            return Claim("refused", f"{name} avoids {r.avoid}, where it failed")
        r.token = max(r.token + 1, microseconds(self.clock()))
        r.claim, r.worker, r.started = claim, worker, 0
        if r.newest and r.reached == r.target:
            r.close("IDLE", "found")
            found = {"metrics": r.newest["metrics"], "reached": r.target, "checkpoint": r.newest}
            curve = [[r.target, r.newest["metrics"]]]
            head = r.head(r.checkpoints[-1].token, worker)
            experiment.append(
                self.clock(), "completed", {**head, **found, "seconds": 0, "curve": curve}
            )
            return Claim("completed")
        r.state, r.deadline = "RUNNING", experiment.clock + microseconds(settings.LEASE)
        if ready and not r.checkpoints:
            self._begin(experiment, r, 0)
        return _run(r)

    def _avoids(self, r: Record, worker: str) -> bool:
        if not r.avoid or r.avoid_until <= self.clock():
            return False
        others = {other.name for other in self.workers()} - {r.avoid}
        if any(_host(other) != _host(r.avoid) for other in others):
            return _host(worker) == _host(r.avoid)
        return bool(others) and worker == r.avoid

    def start(
        self, uid: str, trial: int, token: int, start: int, dropped: Sequence[str] = ()
    ) -> Written:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        r = experiment.fenced(trial, token, {}, starting=True)
        if isinstance(r, str):
            return "stale"
        if r.started == token:
            return "ok"
        left = [saved for saved in r.checkpoints if saved.checkpoint["path"] not in dropped]
        resource = left[-1].checkpoint["resource"] if left else 0
        if start != resource or start >= r.target:
            raise ProtocolError(
                f"trial {trial} rung {r.rung} starts at {start}, its newest checkpoint is at "
                f"{resource} and its target {r.target}"
            )
        r.checkpoints = left
        if dropped:
            what = f"corrupt checkpoints dropped, training goes on from {start}: "
            warning = {"trial": trial, "rung": r.rung, "what": what + ", ".join(dropped)}
            experiment.append(self.clock(), "warning", warning)
        self._begin(experiment, r, start)
        return "ok"

    def _begin(self, experiment: Experiment, r: Record, start: int) -> None:
        if r.evicted > start:
            what = f"its checkpoint at {r.evicted} was evicted, it trains again from {start}"
            again = {"trial": r.trial, "rung": r.rung, "what": what}
            experiment.append(self.clock(), "warning", again)
        r.evicted = 0
        experiment.append(self.clock(), "started", {**r.head(r.token, r.worker), "start": start})
        r.started = r.token
        experiment.refusals.pop(r.worker, None)

    def renew(self, uid: str, trial: int, token: int) -> Renewed:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        r = experiment.records.get(trial)
        if r is None or r.state != "RUNNING" or r.token != token:
            cancelled = r is not None and (r.ended_token, r.ended_how) == (token, "cancelled")
            return "cancel" if cancelled else "stale"
        r.deadline = experiment.clock + microseconds(settings.LEASE)
        told = experiment.ending or (experiment.state == "paused" and experiment.draining)
        return "drain" if told or r.worker in self.memory.drains else "ok"

    def checkpoint(self, uid: str, trial: int, token: int, checkpoint: Json) -> Written:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        r = experiment.fenced(trial, token, {})
        if isinstance(r, str):
            return "stale"
        r.check(0, checkpoint)
        r.push(clean(checkpoint))
        troubles = self.memory.troubles.get(r.worker)
        if troubles and not troubles.failed:
            del self.memory.troubles[r.worker]
        return "ok"

    def complete(self, uid: str, trial: int, token: int, outcome: Outcome) -> Written:
        return self._end(uid, trial, token, outcome, "completed")

    def suspend(self, uid: str, trial: int, token: int, outcome: Outcome) -> Written:
        return self._end(uid, trial, token, outcome, "suspended")

    def _end(self, uid: str, trial: int, token: int, outcome: Outcome, how: str) -> Written:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        r = experiment.fenced(trial, token, {how: "ok"})
        if isinstance(r, str):
            return "ok" if r == "ok" else "stale"
        r.check(outcome.reached, outcome.checkpoint)
        if outcome.checkpoint:
            r.push(clean(outcome.checkpoint))
        fields = ("metrics", "reached", "checkpoint", "seconds", "curve")
        entry = r.head(token, r.worker) | {name: getattr(outcome, name) for name in fields}
        experiment.append(self.clock(), how, entry)
        r.close("IDLE" if how == "completed" else "QUEUED", how)
        if how == "suspended":
            experiment.again(self.clock(), r)
            return "ok"
        self.memory.troubles.pop(r.worker, None)
        if r.avoid not in ("", r.worker) and (to_blame := self.memory.troubles.get(r.avoid)):
            if to_blame.failed:
                to_blame.blamed = f"trial {trial} of {experiment.name}"
            to_blame.judge(self.clock())
        return "ok"

    def fail(
        self,
        uid: str,
        trial: int,
        token: int,
        error: str,
        reached: int,
        checkpoint: Json | None = None,
    ) -> Failed:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        r = experiment.fenced(trial, token, {"retry": "retry", "final": "final"})
        if isinstance(r, str):
            return "retry" if r == "retry" else "final" if r == "final" else "stale"
        r.check(reached, checkpoint)
        if checkpoint:
            r.push(clean(checkpoint))
        troubles = self._troubles(r.worker)
        if troubles.trial != (uid, trial):
            troubles.failed, troubles.trial = troubles.failed + 1, (uid, trial)
        troubles.judge(self.clock())
        r.failures += 1
        final = r.failures > experiment.specification.get("retries", 1)
        entry = {"error": error, "final": final, "reached": reached, "checkpoint": checkpoint}
        experiment.append(self.clock(), "failed", {**r.head(token, r.worker), **entry})
        r.close("FINAL" if final else "QUEUED", "final" if final else "retry")
        if final:
            return "final"
        r.avoid, r.avoid_until = r.worker, self.clock() + settings.AVOID
        experiment.again(self.clock(), r)
        return "retry"

    def release(self, uid: str, trial: int, claim: str | int, reason: str, counts: bool) -> Written:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        r = experiment.records.get(trial)
        if r is None:
            return "stale"
        if r.state == "RUNNING" and str(claim) in (r.claim, str(r.token)):
            experiment.lose(self.clock(), r, reason, "death" if counts else "asked")
            return "ok"
        if str(claim) in (r.ended_claim, str(r.ended_token)):
            return "ok" if r.ended_how == "lost" else "stale"
        if r.state == "QUEUED":
            r.due = min(r.due, self.clock())
        return "stale"

    def release_worker(self, worker: str, reason: str) -> list[tuple[str, int]]:
        released = []
        for uid, experiment in self.memory.experiments.items():
            now = self.clock()
            for r in _by_deadline(experiment):
                if r.worker == worker:
                    experiment.lose(now, r, reason, "death")
                    released.append((uid, r.trial))
            for r in experiment.held("QUEUED"):
                r.due = min(r.due, now)
        return released

    def refuse(
        self, uid: str, trial: int, rung: int, attempt: int, worker: str, reason: str
    ) -> None:
        if experiment := self.memory.experiments.get(uid):
            experiment.refusals[worker] = reason
            r = experiment.records.get(trial)
            if r is None or (r.rung, r.attempt) != (rung, attempt):
                return
            if r.state == "RUNNING" and r.worker == worker and r.started != r.token:
                r.state, r.claim = "QUEUED", ""
                r.refused(self.clock())
            elif r.state == "QUEUED":
                r.refused(self.clock())

    def refusals(self, uid: str) -> dict[str, str]:
        experiment = self.memory.experiments.get(uid)
        return dict(experiment.refusals) if experiment else {}

    def reap(self, uid: str) -> list[int]:
        experiment, now = self._find(uid), self.clock()
        passed = microseconds(now) - experiment.tick
        experiment.clock += max(0, min(passed, microseconds(settings.CLOCK_STEP)))
        experiment.tick = microseconds(now)
        expired = [r for r in _by_deadline(experiment) if r.deadline <= experiment.clock]
        for r in expired:
            experiment.lose(now, r, "its lease ran out", "nobody")
        return [r.trial for r in expired]

    def running(self, uid: str) -> list[RunningSegment]:
        found = [
            RunningSegment(r.trial, r.rung, r.attempt, r.token, r.worker, r.target)
            for r in self._find(uid).held("RUNNING")
        ]
        return sorted(found, key=lambda segment: segment.trial)

    def evict(self, uid: str, term: int, evictions: Sequence[Eviction]) -> Written:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if experiment.term != term or experiment.state in ("finished", "cancelled"):
            return "stale"
        now = self.clock()
        for one in evictions:
            r = experiment.records.get(one.trial)
            if r is None or r.state not in ("IDLE", "FINAL") or r.rung != one.rung:
                continue
            paths = [saved.checkpoint["path"] for saved in r.checkpoints]
            stay = {*one.keep, *paths[len(paths) - min(one.newest, len(paths)) :]}
            gone = [path for path in paths if path not in stay]
            if not gone:
                continue
            kept = [s.checkpoint["resource"] for s in r.checkpoints if s.checkpoint["path"] in stay]
            left = kept[-1] if kept else 0
            had = r.reached
            r.evict(gone, had, left)
            experiment.removals |= dict.fromkeys(gone, now)
            entry = {"trial": one.trial, "rung": one.rung, "checkpoints": gone}
            experiment.append(now, "evicted", {**entry, "reached": had, "left": left})
        return "ok"

    def removable(self, uid: str, age: float, limit: int) -> list[str]:
        removals, before = self._find(uid).removals, self.clock() - age
        due = sorted((since, path) for path, since in removals.items() if since <= before)
        return [path for _, path in due[:limit]]

    def removed(self, uid: str, paths: Sequence[str]) -> None:
        if experiment := self.memory.experiments.get(uid):
            for path in paths:
                experiment.removals.pop(path, None)


def _unclaimable(experiment: Experiment, r: Record, rung: int, attempt: int) -> str | None:
    name = f"trial {r.trial} rung {r.rung} attempt {r.attempt}"
    if experiment.state != "open":
        return f"the experiment is {experiment.state}"
    if experiment.ending:
        return "the experiment is ending"
    if (r.rung, r.attempt) != (rung, attempt):
        return f"the message is for rung {rung} attempt {attempt}, present is {name}"
    if r.state == "RUNNING":
        return f"{name} was claimed by {r.worker}"
    if r.state == "IDLE":
        return f"{name} is completed"
    return f"{name} has failed for good" if r.state == "FINAL" else None


def _host(worker: str) -> str:
    return worker.partition("@")[2] or worker


def _run(r: Record) -> Claim:
    return Claim(
        outcome="run",
        token=r.token,
        bracket=r.bracket,
        rung=r.rung,
        target=r.target,
        attempt=r.attempt,
        start=r.reached,
        config=clean(r.config),
        checkpoints=[clean(saved.checkpoint) for saved in r.checkpoints],
        begun=r.started == r.token,
    )


def _by_deadline(experiment: Experiment) -> list[Record]:
    return sorted(experiment.held("RUNNING"), key=lambda r: (r.deadline, str(r.trial)))
