"""The fleet as the coordinators of a process see it: live workers, and what experiments claim.

Rules

* One look serves all coordinators of a process: 50 of them on 1,000 workers read the workers twice
  a second, not 50 times.
* What a coordinator of this process claims is known at once, what others claim as of the last look:
  two experiments that are taken up together do not both take the whole fleet, and a slot that one
  loses the other has queued a segment for before it is free.
* An experiment whose leader is of an earlier version claims what it wants on its one queue.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from asha_queue.coordinator.slots import Division, Want, divide
from asha_queue.store.contract import Claimant, Store, Worker

#: Seconds for which a look holds …
LOOK_EVERY = 0.5
#: … and while there is no worker.
LOOK_FOR_WORKERS = 0.1
#: Of a large fleet it holds for so many times as long as it took, at most for so many seconds.
RARELY = 20
LONGEST_HELD = 3.0


class Claims(NamedTuple):
    """What an experiment claims of each queue; the order is that of submission."""

    submitted_at: float
    uid: str
    wants: Mapping[str, Want]


class Fleet:
    """Workers and claims, for coordinators that live in one thread; `clock` is theirs."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self.clock = clock
        #: Live workers, those that are set aside too.
        self.workers: list[Worker] = []
        self._able = Counter[str]()
        self._serving: dict[str, list[Worker]] = {}
        self._claims: dict[str, Claims] = {}
        #: Those of this process.
        self._own: dict[str, Claims] = {}
        #: By queue, as long as they hold.
        self._divisions: dict[str, Division] = {}
        self._next_look = 0.0

    def look(self) -> None:
        """Looks again, if the last look is too old."""
        if self.clock() < self._next_look:
            return
        began = time.perf_counter()
        self.workers = self._store.workers()
        self._able.clear()
        self._serving.clear()
        for worker in self.workers:
            for queue in worker.info.get("queues", ()):
                self._serving.setdefault(queue, []).append(worker)
                self._able[queue] += not worker.aside
        self._claims = {one.uid: claims_of(one) for one in self._store.claimants()}
        self._divisions.clear()
        pause = LOOK_EVERY if self.workers else LOOK_FOR_WORKERS
        took = time.perf_counter() - began
        self._next_look = self.clock() + max(pause, min(RARELY * took, LONGEST_HELD))

    def serving(self, queues: Sequence[str]) -> list[Worker]:
        """The workers that serve any of these queues."""
        if len(queues) == 1:
            return self._serving.get(queues[0], [])
        wanted = set(queues)
        return [w for w in self.workers if not wanted.isdisjoint(w.info.get("queues", ()))]

    def claim(self, uid: str, submitted_at: float, wants: Mapping[str, Want]) -> None:
        """What an experiment of this process claims from now on."""
        claims = Claims(submitted_at, uid, dict(wants))
        if self._own.get(uid) != claims:
            self._own[uid] = claims
            for queue in wants:
                self._divisions.pop(queue, None)

    def leave(self, uid: str) -> None:
        """An experiment of this process claims nothing any more."""
        if self._own.pop(uid, None) or self._claims.pop(uid, None):
            self._divisions.clear()

    def queued(self, queue: str, besides: str) -> bool:
        """Whether another experiment of this process has a segment waiting for a worker."""
        return any(
            want.open > want.holds
            for uid, claims in self._own.items()
            if uid != besides and (want := claims.wants.get(queue))
        )

    def division(self, queue: str) -> Division:
        """How the slots of a queue are divided now."""
        if queue not in self._divisions:
            claims = wants((self._claims | self._own).values(), queue)
            self._divisions[queue] = divide(self._able[queue], claims)
        return self._divisions[queue]


def wants(claims: Iterable[Claims], queue: str) -> list[Want]:
    """What is claimed of a queue, in the order of submission."""
    return [one.wants[queue] for one in sorted(claims) if queue in one.wants]


def claims_of(claimant: Claimant) -> Claims:
    """What an experiment claims, as its leader has left it in the store."""
    told = claimant.claims or {claimant.queue: {"wants": claimant.wants}}
    wants = {q: Want(claimant.uid, weight=claimant.weight, **one) for q, one in told.items()}
    return Claims(claimant.submitted_at, claimant.uid, wants)
