"""The workers that live, in memory; and what all parts of the twin share."""

from collections.abc import Callable

from asha_queue import settings
from asha_queue.errors import UnknownExperiment
from asha_queue.store.contract import Json, Worker
from asha_queue.store.memory.state import Experiment, Memory, clean


class Fleet:
    """The methods of `Store` that take a worker."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.memory = Memory()

    def _find(self, uid: str) -> Experiment:
        if uid not in self.memory.experiments:
            raise UnknownExperiment(f"no experiment has the uid {uid}: it was deleted")
        return self.memory.experiments[uid]

    def beat(self, worker: str, info: Json) -> None:
        self.memory.workers = {alive.name: alive for alive in self.workers()}
        self.memory.workers[worker] = Worker(worker, clean(info), self.clock())

    def leave(self, worker: str) -> None:
        self.memory.workers.pop(worker, None)

    def workers(self) -> list[Worker]:
        oldest = self.clock() - settings.WORKER_TIMEOUT
        alive = [worker for worker in self.memory.workers.values() if worker.seen_at >= oldest]
        return sorted(alive, key=lambda worker: worker.name)
