"""The fleet as the coordinators of a process see it: live workers, and what experiments claim.

Rules

* One look serves all coordinators of a process: 50 of them on 1,000 workers read the workers twice
  a second, not 50 times.
* What a coordinator of this process claims is known at once, what others claim as of the last look:
  two experiments that are taken up together do not both take the whole fleet.
* An experiment whose leader is of an earlier version claims what it wants on its one queue.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from asha_queue.coordinator.slots import Want
from asha_queue.store.contract import Claimant, Json, Store, Worker

#: Seconds for which a look holds …
LOOK_EVERY = 0.5
#: … and while there is no worker.
LOOK_FOR_WORKERS = 0.1


class Fleet:
    """Workers and claims, for coordinators that live in one thread; `clock` is theirs."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self.clock = clock
        #: Live workers, those that are set aside too.
        self.workers: list[Worker] = []
        self._able = Counter[str]()
        self._claimants: dict[str, Claimant] = {}
        #: Those of this process.
        self._own: dict[str, Claimant] = {}
        self._next_look = 0.0

    def look(self) -> None:
        """Looks again, if the last look is too old."""
        if self.clock() < self._next_look:
            return
        self.workers = self._store.workers()
        self._able = Counter(
            queue for w in self.workers if not w.aside for queue in w.info.get("queues", ())
        )
        self._claimants = {one.uid: one for one in self._store.claimants()}
        self._next_look = self.clock() + (LOOK_EVERY if self.workers else LOOK_FOR_WORKERS)

    def serving(self, queues: Collection[str]) -> list[Worker]:
        """The workers that serve any of these queues."""
        wanted = set(queues)
        return [w for w in self.workers if not wanted.isdisjoint(w.info.get("queues", ()))]

    def able(self, queue: str) -> int:
        """How many workers of a queue take segments."""
        return self._able[queue]

    def claim(self, claimant: Claimant) -> None:
        """What an experiment of this process claims from now on."""
        self._own[claimant.uid] = claimant

    def leave(self, uid: str) -> None:
        """An experiment of this process claims nothing any more."""
        self._own.pop(uid, None)
        self._claimants.pop(uid, None)

    def wants(self, queue: str) -> list[Want]:
        """What is claimed of a queue, in the order of submission."""
        claimants = (self._claimants | self._own).values()
        return wants([*claimants], queue)


def wants(claimants: Collection[Claimant], queue: str) -> list[Want]:
    """What these claim of a queue, in the order of their submission."""
    ordered = sorted(claimants, key=lambda one: (one.submitted_at, one.uid))
    return [
        Want(one.uid, weight=one.weight, **claims[queue])
        for one in ordered
        if queue in (claims := claims_of(one))
    ]


def claims_of(claimant: Claimant) -> Mapping[str, Json]:
    """What an experiment claims, by queue."""
    return claimant.claims or {claimant.queue: {"wants": claimant.wants}}
