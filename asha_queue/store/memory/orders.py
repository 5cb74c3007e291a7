"""Orders to a whole experiment, in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

from asha_queue.errors import ProtocolError
from asha_queue.search.limits import modes_of, raised
from asha_queue.store.contract import Changed
from asha_queue.store.memory.fleet import Fleet
from asha_queue.store.memory.state import Experiment, clean


class Orders(Fleet):
    """The methods of `Store` that carry the request of an order."""

    def pause(self, uid: str, request: str, by: str, reason: str, now: bool) -> Changed:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if request in experiment.orders:
            return "ok"
        if experiment.state == "finished" or experiment.state == "cancelled":
            return experiment.state
        if experiment.state == "paused" and (experiment.draining or not now):
            return "unchanged"
        experiment.append(self.clock(), "paused", {"by": by, "reason": reason, "now": now})
        experiment.state, experiment.draining = "paused", now
        return _obeyed(experiment, request)

    def resume(self, uid: str, request: str, by: str, reason: str) -> Changed:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if request in experiment.orders:
            return "ok"
        if experiment.state == "finished" or experiment.state == "cancelled":
            return experiment.state
        if experiment.state == "open":
            return "unchanged"
        now = self.clock()
        experiment.append(now, "resumed", {"by": by, "reason": reason})
        experiment.state = "open"
        experiment.all_due(now)
        return _obeyed(experiment, request)

    def cancel(self, uid: str, request: str, by: str, reason: str) -> Changed:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if request in experiment.orders:
            return "ok"
        if experiment.state == "finished":
            return "finished"
        if experiment.state == "cancelled":
            return "unchanged"
        experiment.append(self.clock(), "cancelled", {"by": by, "reason": reason})
        experiment.state = "cancelled"
        for record in experiment.held("QUEUED"):
            record.state = "CANCELLED"
        for record in experiment.held("RUNNING"):
            record.close("CANCELLED", "cancelled")
        return _obeyed(experiment, request)

    def extend(
        self, uid: str, request: str, by: str, reason: str, changed: Mapping[str, Any]
    ) -> Changed:
        experiment = self.memory.experiments.get(uid)
        if experiment is None:
            return "unknown"
        if request in experiment.orders:
            return "ok"
        if experiment.state == "cancelled":
            return "cancelled"
        present = experiment.specification | experiment.extended
        modes = modes_of(present)
        signs = {name: raised(name, present.get(name), v, modes) for name, v in changed.items()}
        for name, sign in signs.items():
            if present.get(name) is None:
                raise ProtocolError(f"there is no {name} that could be raised")
            if sign < 0:
                raise ProtocolError(
                    f"{name} is {present[name]} and cannot shrink to {changed[name]}"
                )
        more = {name: changed[name] for name, sign in signs.items() if sign > 0}
        if not more:
            return "unchanged"
        entry = {"by": by, "reason": reason, "changed": dict(changed)}
        now = self.clock()
        experiment.append(now, "extended", entry)
        experiment.extended |= clean(more)
        if experiment.ending:
            experiment.ending = False
            experiment.all_due(now)
        _open(experiment, now)
        return _obeyed(experiment, request)

    def retry(self, uid: str, request: str, by: str, trials: Sequence[int] | None) -> list[int]:
        experiment, now = self._find(uid), self.clock()
        if before := experiment.retries.get(request):
            return list(before)
        if experiment.state == "cancelled":
            return []
        failed = [r for r in experiment.records.values() if r.state == "FINAL"]
        again = [r for r in failed if trials is None or r.trial in trials]
        for record in again:
            retried = {"trial": record.trial, "rung": record.rung, "by": by}
            experiment.append(now, "retried", retried)
            record.failures = record.losses = record.unwitnessed = 0
            record.avoid = ""
            experiment.again(now, record)
        if again:
            _open(experiment, now)
            experiment.retries[request] = [record.trial for record in again]
        return [record.trial for record in again]


def _open(experiment: Experiment, now: float) -> None:
    """What was finished goes on, with all that it had queued; what was paused stays so."""
    if experiment.state == "finished":
        experiment.state = "open"
        experiment.all_due(now)


def _obeyed(experiment: Experiment, request: str) -> Changed:
    experiment.orders.add(request)
    return "ok"
