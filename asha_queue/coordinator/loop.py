"""The coordinator of one experiment: fold the journal, decide, schedule, publish.

Rules

* The journal is the truth. Nothing is remembered that its fold does not give; a coordinator that
  dies is replaced by one that reads the journal.
* A decision holds only while the fold it was taken on is current: `schedule` carries the id of the
  last entry that matters and is refused if another came since. Then: read, fold, decide again.
* First schedule, then publish, then mark as published. Dying in between costs a second or a
  doubled message, and a doubled message is refused when it is claimed.
* A leader publishes what it reads to be scheduled, whoever scheduled it. What is left unpublished,
  as by a leader that died, is found once a tick.
* Outstanding segments are kept at slots + lead, for each queue by itself: workers find the next one
  waiting, and a promotion overtakes queued new trials by its priority. `slots.py` says whose slots
  they are, `rooms.py` what is decided where only some queues have room.
* The queue of a segment follows from its target and the specification, whoever publishes it.
* The time of a budget is the server's, as the lead tells it once a tick: no clock of this machine.
* An experiment whose budget is used (`search/budget.py`) is finished with its segments open: while
  some run, `finish` is asked again until they are handed back. Whoever leads next does the same.
* No decision waits for a model: the configurations that the next ones may ask for are made ahead.
"""

import math
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace

from asha_queue import samplers
from asha_queue.coordinator.fleet import LOOK_FOR_WORKERS, Fleet
from asha_queue.coordinator.fold import Fold
from asha_queue.coordinator.leadership import Leadership
from asha_queue.coordinator.repair import Publisher, ensure_wanted, publish, publish_due
from asha_queue.coordinator.slots import KEEP, Account, Division, Want, lead
from asha_queue.coordinator.usage import Usage
from asha_queue.search.rooms import Rooms
from asha_queue.settings import TICK
from asha_queue.store.contract import Json, QueuedSegment, Read, ScheduledSegment, Store, Worker

#: Seconds between two looks of a coordinator that stands by.
STAND_BY = 0.5
#: Seconds between two ticks above which nothing is owed for them: it slept, or did not lead.
LONGEST = 5.0
#: States of an experiment in which nothing is decided any more, unless it is extended.
ENDED = ("finished", "cancelled")
NOTHING = Read(entries=[], gone=False)
#: What an entry says of the segment that it schedules.
SEGMENT = tuple(field.name for field in fields(QueuedSegment))


class Coordinator:
    """Drives one experiment while it leads it, and follows it while another one does."""

    def __init__(
        self, store: Store, publisher: Publisher, uid: str, fleet: Fleet | None = None
    ) -> None:
        self._store = store
        self._publisher = publisher
        self.uid = uid
        self.fold = Fold(store, uid)
        samplers.prepare(self.fold.specification)  # while it does not lead yet
        self.leadership = Leadership(store, uid)
        self._fleet = fleet or Fleet(store)
        self._clock = self._fleet.clock
        self._queues = self.fold.specification.every_queue
        self._known: dict[int, str] = {}  # the queue of each level
        #: Live workers that serve the experiment's queues, those that are set aside too.
        self.workers: list[Worker] = []
        #: The server's time at the last tick.
        self._now = 0.0
        # The following are by queue.
        self._slots = dict.fromkeys(self._queues, 0)
        self._lead = dict.fromkeys(self._queues, 0)
        self._share = dict.fromkeys(self._queues, 0.0)
        self._accounts = {queue: Account() for queue in self._queues}
        weight = self.fold.specification.weight
        self._claims = {queue: Want(uid, 0, weight) for queue in self._queues}
        self._usage = Usage(self._of, self._clock)
        #: What was read already of what comes next.
        self._read: Read | None = None
        #: Hears each entry after it was folded.
        self.hears: Callable[[Json], None] = lambda entry: None
        self.fold.hears = self._hear
        #: What was scheduled, and not published yet, since this leads, by trial.
        self._scheduled: dict[int, QueuedSegment] = {}
        self._alone = True
        #: Called, as the leader, when all trials have ended, before the experiment finishes.
        self.before_finish: Callable[[], None] = lambda: None
        self._settled = self._next_tick = 0.0

    @property
    def ended(self) -> bool:
        return self.fold.search.state in ENDED

    @property
    def patience(self) -> float:
        """Seconds until the next turn is due if nothing happens before."""
        return max(0.0, self._next_tick - self._clock())

    @property
    def unserved(self) -> list[str]:
        """Its queues that no live worker serves."""
        return [queue for queue in self._queues if not self._fleet.serving([queue])]

    def step(self) -> None:
        """A turn, then waits for the next event if there was nothing to do.

        Raises StoreUnavailable when the server does not answer: call again.
        """
        if not self.turn():
            self.wait()

    def wait(self) -> None:
        """Waits for the next entry, at most until the next turn is due."""
        if not self.ended:
            self._read = self._store.await_entries(self.uid, self.fold.seen, self.patience)

    def turn(self) -> bool:
        """One round: folds what is new, ticks if it is time, decides. False if nothing happened."""
        read, self._read = self._read, None
        news = self._catch_up(read)
        if self._clock() >= self._next_tick:
            self._tick()
        if self.leadership.leading and not self.ended:
            self._divide()
            news = self._decide() or news
            self.fold.suggestions.look_ahead(self.fold.search.started, self._allowed())
        return news

    def resign(self) -> None:
        """Gives up the lead, and what it claims."""
        self.leadership.resign()
        self._fleet.leave(self.uid)

    def _catch_up(self, read: Read | None) -> bool:
        """Folds what is new, of which some may be `read`, and publishes what it says is scheduled;
        False if there is none."""
        news = self.fold.catch_up(read)
        if self._scheduled:
            segments, self._scheduled = [*self._scheduled.values()], {}
            if self.fold.search.state == "open":  # else a message could only be refused
                publish(self._store, self._publisher, self.uid, self._of, segments)
        return news

    def _hear(self, entry: Json) -> None:
        self._usage.apply(entry)
        if entry["type"] == "submitted":  # read anew: most of it was published long ago
            self._scheduled.clear()
        elif entry["type"] == "scheduled" and self.leadership.leading:
            self._scheduled[entry["trial"]] = QueuedSegment(*map(entry.__getitem__, SEGMENT))
        self.hears(entry)

    def _tick(self) -> None:
        fleet = self._fleet
        fleet.look()
        self.workers = fleet.serving(self._queues)
        led = self.leadership.leading
        self._renew()
        if self.leadership.leading and not led:
            self._usage.see(self._store.running(self.uid))
            self._renew()  # now that it knows what it is owed
        if self.leadership.leading and not self.ended:
            self._store.reap(self.uid)
            publish_due(self._store, self._publisher, self.uid, self._of)
            self.fold.keep()
            ensure_wanted(self._store, self.uid, {q: fleet.serving([q]) for q in self._queues})
        else:
            fleet.leave(self.uid)
        pause = TICK if self.leadership.leading else STAND_BY
        pause = pause if self.workers else LOOK_FOR_WORKERS
        self._next_tick = self._clock() + pause

    def _renew(self) -> None:
        """Takes or keeps the lead, and claims slots as the leader."""
        led = self.leadership.leading
        if led:
            self._settle()
        told = {queue: claim.to_json() for queue, claim in self._claims.items()} if led else None
        wants = sum(claim.wants for claim in self._claims.values()) if led else 0
        answer = self.leadership.renew(wants, told)
        before, self._now = answer.claims, answer.now
        if self.leadership.leading and not led:
            for queue in before.keys() & self._accounts:  # where another has left off
                self._accounts[queue] = Account(before[queue]["owed"])

    def _settle(self) -> None:
        """Finds out what the experiment wants of each queue now, and what it is owed."""
        self._count()
        search = self.fold.search
        wants = Counter[str]()
        if search.state == "open" and not search.budget.over(self._now):
            wants = self._open()
            room = {q: len(self._fleet.serving([q])) for q in self._queues}
            total, new, first = self._within(sum(room.values())), 0, self._queues[0]
            if search.plenty >= room[first]:  # not one by one: a thousand take a while
                new, room[first] = room[first], 0
            decisions = search.decide(Rooms(total, room, self._of))
            wants.update(self._of(decision.target) for decision in decisions)
            wants[first] += min(new, total - len(decisions))
        now = self._clock()
        seconds, self._settled = now - self._settled, now
        for queue, account in self._accounts.items():
            share, trained = self._share[queue], self._usage.take(queue)
            if trained is None or seconds > LONGEST:  # just begun, or asleep
                trained = share * seconds
            claim = replace(self._claims[queue], wants=wants[queue])
            self._claims[queue] = account.settle(share, seconds, trained, claim)

    def _divide(self) -> None:
        """Which slots of each queue are ours now."""
        self._count()
        self._fleet.claim(self.uid, self.fold.submitted_at, self._claims)
        self._alone = True
        for queue in self._queues:
            division = self._fleet.division(queue)
            self._share[queue] = division.shares[self.uid]
            # until the next tick it may come to want more, and what nobody wants is free
            slots = division.slots[self.uid] + division.free
            if self._keeps(queue, division):
                slots = max(slots, min(self._slots[queue], math.ceil(self._share[queue])))
            self._slots[queue] = slots
            alone = division.hungry <= (division.shares[self.uid] > 0)
            self._lead[queue] = lead(slots, alone, self._usage.seconds.get(queue))
            self._alone = self._alone and alone

    def _keeps(self, queue: str, division: Division) -> bool:
        """Whether a slot that went to another is not taken over yet."""
        claim = self._claims[queue]
        owed = claim.weight * division.most_owed - claim.owed
        return owed < KEEP and not self._fleet.queued(queue, self.uid)

    def _count(self) -> None:
        """Counts what is queued and in training for the experiment."""
        search, training = self.fold.search, self._usage.training
        for queue, claim in self._claims.items():
            held = {t: n for t, n in search.open_by_level.items() if self._of(t) == queue}
            waiting = [search.levels.index(t) for t, n in held.items() if n > training[t]]
            self._claims[queue] = replace(
                claim,
                holds=sum(n for target, n in training.items() if self._of(target) == queue),
                open=sum(held.values()),
                first=max(waiting, default=None),
            )

    def _of(self, target: int) -> str:
        if target not in self._known:
            self._known[target] = self.fold.specification.queue_of(target)
        return self._known[target]

    def _open(self) -> Counter[str]:
        """Open segments by queue."""
        found = Counter[str]()
        for target, segments in self.fold.search.open_by_level.items():
            found[self._of(target)] += segments
        return found

    def _within(self, segments: int) -> int:
        """How many of these may be open beside those that are."""
        limit = self.fold.specification.max_concurrent
        if limit is None:
            return segments
        return max(0, min(segments, limit - self.fold.search.outstanding))

    def _allowed(self) -> int:
        """Segments that may be outstanding."""
        allowed = sum(self._slots.values()) + sum(self._lead.values())
        limit = self.fold.specification.max_concurrent
        return allowed if limit is None else min(allowed, limit)

    def _room(self) -> Rooms:
        """What may be scheduled now."""
        held = self._open()
        room = {q: max(0, self._slots[q] + self._lead[q] - held[q]) for q in self._queues}
        return Rooms(self._within(sum(room.values())), room, self._of)

    def _decide(self) -> bool:
        """Schedules what free slots call for, or finishes; True if the journal has grown."""
        search = self.fold.search
        request = uuid.uuid4().hex
        if reason := search.ending(self._now):
            self.before_finish()
            decided, who = (self.uid, self.fold.last, request), self.leadership.who
            return self._store.finish(*decided, who, reason, drain=search.outstanding > 0) == "ok"
        decisions = search.decide(self._room())
        if not decisions:
            return False
        new = sum(decision.rung == 0 for decision in decisions)
        # a single worker's run is repeatable, and no other experiment waits for its sampler
        fresh = self._allowed() == 1 and self._alone
        configs = iter(self.fold.suggestions.suggest(search.started, new, fresh))
        if self._clock() >= self._next_tick:
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
        # unless it is "ok" something happened meanwhile: fold it, then decide again
        _, read = self._store.schedule_and_read(
            *(self.uid, self.fold.last, request, segments, self.fold.seen)
        )
        self._catch_up(read)
        self._read = NOTHING
        return True
