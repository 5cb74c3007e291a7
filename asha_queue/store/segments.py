"""One segment from its claim to its end, on the server; the rules are in `scripts/common.lua`."""

from collections.abc import Sequence

from asha_queue.store import journal, keys
from asha_queue.store.connection import Part
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

#: At most so many expired leases are dealt with in one call: the rest waits for the next tick.
REAPED_AT_ONCE = 100


class Segments(Part):
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
        where = [keys.experiment(uid), keys.SEEN, keys.TROUBLES, keys.ASIDE]
        arguments = (trial, rung, attempt, claim, worker, int(ready))
        answer = self._connection.run("claim", where, *arguments)
        if answer[0] == "refused":
            return Claim("refused", reason=answer[1])
        if answer[0] == "aside":
            return Claim("aside", reason=answer[1], aside_for=int(answer[2]) / 1e6)
        if answer[0] == "completed":
            return Claim("completed")
        checkpoints = [journal.decode(journal.decode(text)["text"]) for text in answer[7]]
        return Claim(
            outcome="run",
            token=int(answer[1]),
            bracket=int(answer[2]),
            rung=int(answer[3]),
            target=int(answer[4]),
            attempt=int(answer[5]),
            start=checkpoints[-1]["resource"] if checkpoints else 0,
            config=journal.decode(answer[6]),
            checkpoints=checkpoints,
            begun=answer[8] == "1",
        )

    def start(
        self, uid: str, trial: int, token: int, start: int, dropped: Sequence[str] = ()
    ) -> Written:
        return self._written("start", uid, trial, token, start, *dropped)

    def renew(self, uid: str, trial: int, token: int) -> Renewed:
        where = [keys.experiment(uid), keys.DRAINS]
        answer: Renewed = self._connection.run("renew", where, trial, token)
        return answer

    def checkpoint(self, uid: str, trial: int, token: int, checkpoint: Json) -> Written:
        where = [keys.experiment(uid), keys.TROUBLES, keys.ASIDE]
        answer: Written = self._connection.run(
            "checkpoint", where, trial, token, *_checkpoint(checkpoint)
        )
        return answer

    def complete(self, uid: str, trial: int, token: int, outcome: Outcome) -> Written:
        where = [keys.experiment(uid), keys.TROUBLES, keys.ASIDE]
        arguments = (trial, token, *_outcome(outcome))
        answer: Written = self._connection.run_kept("complete", where, *arguments)
        return answer

    def suspend(self, uid: str, trial: int, token: int, outcome: Outcome) -> Written:
        where = [keys.experiment(uid)]
        answer: Written = self._connection.run_kept(
            "suspend", where, trial, token, *_outcome(outcome)
        )
        return answer

    def fail(
        self,
        uid: str,
        trial: int,
        token: int,
        error: str,
        reached: int,
        checkpoint: Json | None = None,
    ) -> Failed:
        members = journal.members({"error": error, "reached": reached, "checkpoint": checkpoint})
        answer: Failed = self._connection.run_kept(
            "fail",
            [keys.experiment(uid), keys.TROUBLES, keys.ASIDE],
            trial,
            token,
            members,
            reached,
            *_checkpoint(checkpoint),
        )
        return answer

    def release(self, uid: str, trial: int, claim: str | int, reason: str, counts: bool) -> Written:
        return self._written("release", uid, trial, claim, reason, "death" if counts else "asked")

    def release_worker(self, worker: str, reason: str) -> list[tuple[str, int]]:
        released = []
        for uid in self._connection.hash(keys.NAMES).values():
            trials = self._connection.run("release_worker", [keys.experiment(uid)], worker, reason)
            if trials != "unknown":  # deleted meanwhile
                released += [(uid, int(trial)) for trial in trials]
        return released

    def refuse(
        self, uid: str, trial: int, rung: int, attempt: int, worker: str, reason: str
    ) -> None:
        where = [keys.experiment(uid)]
        self._connection.run("refuse", where, trial, rung, attempt, worker, reason)

    def refusals(self, uid: str) -> dict[str, str]:
        return self._connection.hash(keys.refusals(uid))

    def reap(self, uid: str) -> list[int]:
        trials = self._connection.find(uid, "reap", [keys.experiment(uid)], REAPED_AT_ONCE)
        return [int(trial) for trial in trials]

    def running(self, uid: str) -> list[RunningSegment]:
        rows = self._connection.find(uid, "running", [keys.experiment(uid)])
        found = [
            RunningSegment(int(trial), int(rung), int(attempt), int(token), worker, int(target))
            for trial, rung, attempt, token, worker, target in rows
        ]
        return sorted(found, key=lambda segment: segment.trial)

    def evict(self, uid: str, term: int, evictions: Sequence[Eviction]) -> Written:
        words: list[str | int] = [term]
        for one in evictions:
            words += [one.trial, one.rung, one.newest, len(one.keep), *one.keep]
        return self._written("evict", uid, *words)

    def removable(self, uid: str, age: float, limit: int) -> list[str]:
        where = [keys.experiment(uid)]
        paths: list[str] = self._connection.find(uid, "removable", where, round(age * 1e6), limit)
        return paths

    def removed(self, uid: str, paths: Sequence[str]) -> None:
        self._connection.run("removed", [keys.experiment(uid)], *paths)

    def _written(self, script: str, uid: str, *args: str | int) -> Written:
        answer: Written = self._connection.run(script, [keys.experiment(uid)], *args)
        return answer


def _checkpoint(checkpoint: Json | None) -> list[str | int]:
    """Path, resource, metrics and text, as the scripts take them."""
    if checkpoint is None:
        return ["", "", "", ""]
    return [
        checkpoint["path"],
        checkpoint["resource"],
        journal.encode(checkpoint["metrics"]),
        journal.encode(checkpoint),
    ]


def _outcome(outcome: Outcome) -> list[str | int]:
    """Members of the entry, the step reached, and the checkpoint."""
    entry = {
        "metrics": outcome.metrics,
        "reached": outcome.reached,
        "checkpoint": outcome.checkpoint,
        "seconds": outcome.seconds,
        "curve": outcome.curve,
    }
    return [journal.members(entry), outcome.reached, *_checkpoint(outcome.checkpoint)]
