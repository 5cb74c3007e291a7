"""The workers and coordinators that live, in memory; and what all parts of the twin share."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from asha_queue import settings
from asha_queue.errors import LostExperiment, UnknownExperiment
from asha_queue.store.contract import Attendant, Json, Worker
from asha_queue.store.introductions import introduced
from asha_queue.store.memory.state import Experiment, Memory, Troubles, clean


class Fleet:
    """The methods of `Store` that take a worker or a coordinator."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.memory = Memory()

    def _find(self, uid: str) -> Experiment:
        if uid in self.memory.experiments:
            return self.memory.experiments[uid]
        if uid in self.memory.deleted:
            raise UnknownExperiment(f"no experiment has the uid {uid}: it was deleted")
        raise LostExperiment(f"no experiment has the uid {uid}, and nobody deleted it")

    def beat(self, worker: str, info: Json) -> bool:
        for silent in self.memory.workers.keys() - {alive.name for alive in self.workers()}:
            self.leave(silent)
        self.memory.workers[worker] = Worker(worker, introduced(clean(info)), self.clock())
        return worker in self.memory.drains

    def leave(self, worker: str) -> None:
        self.memory.workers.pop(worker, None)
        self.memory.troubles.pop(worker, None)

    def workers(self) -> list[Worker]:
        alive = [worker for worker in self.memory.workers.values() if self._heard(worker.seen_at)]
        told = [replace(worker, aside=self._aside(worker.name).reason) for worker in alive]
        return sorted(told, key=lambda worker: worker.name)

    def set_aside(self, worker: str, reason: str) -> None:
        if not self._aside(worker).till:
            self._troubles(worker).rest(self.clock(), reason)

    def drain(self, workers: Sequence[str], by: str) -> None:
        self.memory.drains |= dict.fromkeys(workers, by)

    def undrain(self, worker: str) -> None:
        self.memory.drains.pop(worker, None)

    def drained(self) -> dict[str, str]:
        return dict(self.memory.drains)

    def attend(self, who: str, info: Json) -> None:
        self.memory.coordinators = {alive.who: alive for alive in self.attendants()}
        self.memory.coordinators[who] = Attendant(who, introduced(clean(info)), self.clock())

    def absent(self, who: str) -> None:
        self.memory.coordinators.pop(who, None)

    def attendants(self) -> list[Attendant]:
        alive = [one for one in self.memory.coordinators.values() if self._heard(one.seen_at)]
        return sorted(alive, key=lambda one: one.who)

    def _troubles(self, worker: str) -> Troubles:
        return self.memory.troubles.setdefault(worker, Troubles())

    def _aside(self, worker: str) -> Troubles:
        """Its troubles if they set it aside now, else none."""
        troubles = self.memory.troubles.get(worker)
        return troubles if troubles and troubles.till > self.clock() else Troubles()

    def _heard(self, seen_at: float) -> bool:
        return seen_at >= self.clock() - settings.WORKER_TIMEOUT
