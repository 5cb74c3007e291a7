"""The coordinator of one experiment: fold the journal, decide, schedule, publish.

Rules

* The journal is the truth. Nothing is remembered that its fold does not give; a coordinator that
  dies is replaced by one that reads the journal.
* A decision holds only while the fold it was taken on is current: `schedule` carries the id of the
  last entry that matters and is refused if another came since. Then: read, fold, decide again.
* First schedule, then publish, then mark as published. Dying in between costs a second or a
  doubled message, and a doubled message is refused when it is claimed.
* Outstanding segments are kept at slots + lead: workers find the next one waiting, and a
  promotion overtakes queued new trials by its priority.
* No decision waits for a model: the configurations that the next ones may ask for are made ahead.
"""

import time
import uuid
from collections.abc import Callable

from asha_queue import samplers
from asha_queue.coordinator.fold import Fold
from asha_queue.coordinator.leadership import Leadership
from asha_queue.coordinator.repair import Publisher, ensure_wanted, publish_due
from asha_queue.coordinator.slots import Want, divide, lead
from asha_queue.settings import TICK
from asha_queue.store.contract import ScheduledSegment, Store, Worker

#: Seconds between two looks for workers while there is none.
LOOK_FOR_WORKERS = 0.1
#: Seconds between two looks of a coordinator that stands by.
STAND_BY = 0.5
#: States of an experiment in which nothing is decided any more, unless it is extended.
ENDED = ("finished", "cancelled")


class Coordinator:
    """Drives one experiment while it leads it, and follows it while another one does."""

    def __init__(self, store: Store, publisher: Publisher, uid: str) -> None:
        self._store = store
        self._publisher = publisher
        self.uid = uid
        self.fold = Fold(store, uid)
        samplers.prepare(self.fold.specification)  # while it does not lead yet
        self.leadership = Leadership(store, uid)
        #: Live workers that serve the experiment's queue, those that are set aside too.
        self.workers: list[Worker] = []
        self._slots = 0
        self._alone = True
        #: Called, as the leader, when all trials have ended, before the experiment finishes.
        self.before_finish: Callable[[], None] = lambda: None
        self._next_tick = 0.0

    @property
    def ended(self) -> bool:
        return self.fold.search.state in ENDED

    @property
    def patience(self) -> float:
        """Seconds until the next turn is due if nothing happens before."""
        return max(0.0, self._next_tick - time.monotonic())

    def step(self) -> None:
        """A turn, then waits for the next event if there was nothing to do.

        Raises StoreUnavailable when the server does not answer: call again.
        """
        if not self.turn():
            self.wait()

    def wait(self) -> None:
        """Waits for the next entry, at most until the next turn is due."""
        if not self.ended:
            self._store.wait({self.uid: self.fold.seen}, self.patience)

    def turn(self) -> bool:
        """One round: folds what is new, ticks if it is time, decides. False if nothing happened."""
        news = self.fold.catch_up()
        if time.monotonic() >= self._next_tick:
            self._tick()
        if self.leadership.leading and not self.ended:
            news = self._decide() or news
            self.fold.suggestions.look_ahead(self.fold.search.started, self._allowed())
        return news

    def _tick(self) -> None:
        specification = self.fold.specification
        everyone = self._store.workers()
        self.workers = [w for w in everyone if specification.queue in w.info.get("queues", ())]
        self.leadership.renew(self._wants())
        if self.leadership.leading and not self.ended:
            self._store.reap(self.uid)
            publish_due(self._store, self._publisher, self.uid, specification.queue)
            self.fold.keep()
            ensure_wanted(self._store, self.uid, self.workers)
        claims = [
            Want(claimant.uid, claimant.wants, claimant.weight)
            for claimant in self._store.claimants()
            if claimant.queue == specification.queue
        ]
        able = sum(not worker.aside for worker in self.workers)
        self._slots = divide(able, claims).get(self.uid, 0)
        self._alone = all(claim.wants == 0 for claim in claims if claim.uid != self.uid)
        pause = TICK if self.leadership.leading else STAND_BY
        pause = pause if self.workers else LOOK_FOR_WORKERS
        self._next_tick = time.monotonic() + pause

    def _wants(self) -> int:
        """Slots that the experiment could use now."""
        search, limit = self.fold.search, self.fold.specification.max_concurrent
        if search.state != "open":
            return 0
        wants = search.outstanding + len(search.decide(len(self.workers)))
        return wants if limit is None else min(wants, limit)

    def _allowed(self) -> int:
        """Segments that may be outstanding."""
        allowed = self._slots + lead(self._slots, self._alone)
        limit = self.fold.specification.max_concurrent
        return allowed if limit is None else min(allowed, limit)

    def _decide(self) -> bool:
        """Schedules what free slots call for, or finishes; True if the journal has grown."""
        search, specification = self.fold.search, self.fold.specification
        request = uuid.uuid4().hex
        if search.finished:
            self.before_finish()
            answer = self._store.finish(
                self.uid, self.fold.last, request, by=self.leadership.who, reason="all trials ended"
            )
            return answer == "ok"
        decisions = search.decide(max(0, self._allowed() - search.outstanding))
        if not decisions:
            return False
        new = sum(decision.rung == 0 for decision in decisions)
        # a single worker's run is repeatable, and no other experiment waits for its sampler
        fresh = self._allowed() == 1 and self._alone
        configs = iter(self.fold.suggestions.suggest(search.started, new, fresh))
        if time.monotonic() >= self._next_tick:
            return True  # that took a while: renew the lead before anything is decided
        segments = [
            ScheduledSegment(
                trial=decision.trial,
                bracket=decision.bracket,
                rung=decision.rung,
                target=decision.target,
                # One that is promoted keeps the configuration that it began with.
                config=next(configs) if decision.rung == 0 else {},
            )
            for decision in decisions
        ]
        if self._store.schedule(self.uid, self.fold.last, request, segments) != "ok":
            return True  # something happened meanwhile: fold it, then decide again
        publish_due(self._store, self._publisher, self.uid, specification.queue)
        return True
