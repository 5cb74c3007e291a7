"""Do experiments get the share of the fleet that their weights say? Many leaders, made-up workers.

Everything that decides is the real thing: the coordinators' loop, `slots.py`, the search and the
store's twin in memory. Only time is virtual: training takes the seconds that an experiment's
segments take, and a broker hands out messages by priority, then by age, as the real one does. The
coordinators live in `processes`, each with its own look at the fleet.

Measured is the time that workers trained for an experiment, against its fair share of them over the
time in which it wanted slots, found without the code that is tested (`ideal`).

    python tests/benchmarks/fairness.py
"""

import heapq
import itertools
import math
import random
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asha_queue.coordinator.fleet import Fleet
from asha_queue.coordinator.loop import Coordinator
from asha_queue.search.space import uniform
from asha_queue.specification import Specification
from asha_queue.store.contract import Outcome, QueuedSegment, Worker
from asha_queue.store.memory import MemoryStore

#: Trials of an experiment that never runs out of them.
ENDLESS = 10**6
FOR_EVER = 10**9


def _zero() -> dict[str, float]:
    return defaultdict(float)


@dataclass
class Play:
    """One experiment in the play: its segments take `unit` seconds per step, times 1 + |z| with
    z ~ N(0, straggler)."""

    name: str
    unit: float
    weight: float = 1.0
    straggler: float = 0.2
    limit: int | None = None
    queues: Mapping[int, str] = field(default_factory=dict)
    trials: int = ENDLESS
    #: When it joins and when it is paused for good, in seconds.
    joins: float = 0.0
    leaves: float = math.inf
    uid: str = ""
    #: By queue: seconds trained, seconds of its ideal share, and the longest wait while it wanted.
    trained: dict[str, float] = field(default_factory=_zero)
    ideal: dict[str, float] = field(default_factory=_zero)
    waited: dict[str, float] = field(default_factory=_zero)

    @property
    def specification(self) -> Specification:
        return Specification(
            name=self.name,
            train="train.py:train",
            space={"x": uniform(0.0, 1.0)},
            metric="loss",
            mode="min",
            max_t=4,
            reduction_factor=4,
            num_samples=self.trials,
            seed=1,
            sampler="random",
            hedge=False,
            weight=self.weight,
            max_concurrent=self.limit,
            queues=self.queues,
        )

    def error(self, queue: str) -> float:
        """How far its time is from its ideal share, as part of that."""
        return self.trained[queue] / self.ideal[queue] - 1 if self.ideal[queue] else 0.0


def ideal(
    workers: int, caps: Mapping[str, float], weights: Mapping[str, float]
) -> dict[str, float]:
    """Max-min fair shares by bisection: everyone gets level * weight, but no more than its cap."""
    if sum(caps.values()) <= workers:
        return dict(caps)
    low, high = 0.0, workers / min(weights[uid] for uid in caps)
    for _ in range(100):
        level = (low + high) / 2
        total = sum(min(cap, level * weights[uid]) for uid, cap in caps.items())
        low, high = (level, high) if total < workers else (low, level)
    return {uid: min(cap, low * weights[uid]) for uid, cap in caps.items()}


class Broker:
    """Messages by priority, then by age; of each queue."""

    def __init__(self) -> None:
        self.messages: dict[str, list[tuple[int, int, str, QueuedSegment]]] = defaultdict(list)
        self._count = itertools.count()

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> None:
        for segment in segments:
            urgency = -(segment.rung + segment.bracket)
            heapq.heappush(self.messages[queue], (urgency, next(self._count), uid, segment))


class World:
    """Experiments, workers by queue, and the virtual clock."""

    def __init__(
        self, plays: Sequence[Play], workers: Mapping[str, int], processes: int = 2, seed: int = 0
    ) -> None:
        self.now = 1.0
        self.store = MemoryStore(lambda: self.now)
        self.plays = {play.name: play for play in plays}
        self.workers = dict(workers)
        self.broker = Broker()
        self._fleets = [Fleet(self.store, lambda: self.now) for _ in range(processes)]
        self._rng = random.Random(seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._idle: dict[str, list[str]] = {}
        for queue, number in workers.items():
            names = [f"{queue}-{i}@simulated" for i in range(number)]
            self._idle[queue] = names
            for name in names:  # heard for ever
                info = {"queues": [queue]}
                self.store.memory.workers[name] = Worker(name, info, math.inf)
        self.coordinators: dict[str, Coordinator] = {}
        self._of: dict[str, Play] = {}
        self._measured = self.now
        self._running: Counter[tuple[str, str]] = Counter()
        self._without: dict[tuple[str, str], float] = {}
        self._known: dict[tuple[Any, ...], dict[str, float]] = {}
        #: When each segment in training will end, by experiment and trial.
        self.ends: dict[tuple[str, int], float] = {}
        #: Since when the play measures: what is before that is not counted.
        self.measures_from = 0.0
        #: Seconds of this machine that the coordinators took, and their turns.
        self.cpu, self.turns = 0.0, 0
        for play in plays:
            self.at(play.joins, lambda play=play: self.join(play))  # type: ignore[misc]
            if play.leaves < math.inf:
                self.at(play.leaves, lambda play=play: self.pause(play))  # type: ignore[misc]

    def at(self, when: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(when, self.now), next(self._count), what))

    def run(self, until: float) -> None:
        """Plays until this second."""
        while self._agenda and self._agenda[0][0] <= until:
            when, _, what = heapq.heappop(self._agenda)
            self._measure(when)
            what()
        self._measure(until)

    def join(self, play: Play) -> None:
        made = play.specification
        play.uid = self.store.submit(f"u{len(self._of):04}", made.name, made.to_json())
        self._of[play.uid] = play
        fleet = self._fleets[len(self._of) % len(self._fleets)]
        self.coordinators[play.uid] = Coordinator(self.store, self.broker, play.uid, fleet)
        self._tick(play.uid)

    def pause(self, play: Play) -> None:
        assert self.store.pause(play.uid, uuid.uuid4().hex, "me", "", now=False) == "ok"
        self._turn(play.uid)

    def resume(self, play: Play) -> None:
        assert self.store.resume(play.uid, uuid.uuid4().hex, "me", "") == "ok"
        self._turn(play.uid)

    def running(self, play: Play, queue: str = "asha") -> int:
        return self._running[play.uid, queue]

    # -- what happens ----------------------------------------------------------------------------

    def _tick(self, uid: str) -> None:
        self._turn(uid)
        if not self.coordinators[uid].ended:
            self.at(self.now + self.coordinators[uid].patience, lambda: self._tick(uid))

    def _turn(self, uid: str) -> None:
        """What a service does after an event: turns until nothing happens any more."""
        due = {uid}
        while due:
            began = time.process_time()
            for one in sorted(due):  # the same in every run
                while self.coordinators[one].turn():
                    self.turns += 1
            self.cpu += time.process_time() - began
            due = {began for queue in self.workers for began in self._hand_out(queue)}
            due |= {one for one, of in self.coordinators.items() if self._changed(one, of)}

    def _changed(self, uid: str, coordinator: Coordinator) -> bool:
        """Whether it has other slots now: a service turns all its coordinators after each event."""
        if not coordinator.leadership.leading or uid not in coordinator._fleet._own:
            return False
        return any(
            coordinator._fleet.division(queue).slots[uid] > coordinator._slots[queue]
            for queue in coordinator._queues
        )

    def _hand_out(self, queue: str) -> Iterator[str]:
        """Starts what waits as far as there are idle workers; whose it was."""
        idle, messages = self._idle[queue], self.broker.messages[queue]
        while idle and messages:
            _, _, uid, segment = heapq.heappop(messages)
            own = (segment.trial, segment.rung, segment.attempt)
            taken = self.store.claim(uid, *own, uuid.uuid4().hex, idle[-1])
            if taken.outcome != "run":
                continue  # refused: it was paused meanwhile
            worker = idle.pop()
            assert self.store.start(uid, segment.trial, taken.token, taken.start) == "ok"
            # its keeper renews the lease as long as it trains
            self.store.memory.experiments[uid].records[segment.trial].deadline = 10**18
            play = self._of[uid]
            seconds = play.unit * (taken.target - taken.start)
            seconds *= 1 + abs(self._rng.gauss(0.0, play.straggler))
            self._running[uid, queue] += 1
            self.ends[uid, segment.trial] = self.now + seconds
            end = (uid, queue, worker, segment.trial, taken.token, taken.target, seconds)
            self.at(self.now + seconds, lambda end=end: self._end(*end))  # type: ignore[misc]
            yield uid

    def _end(
        self, uid: str, queue: str, worker: str, trial: int, token: int, target: int, took: float
    ) -> None:
        metrics = {"loss": self._rng.random()}
        saved = {"path": f"{trial}-{target}", "resource": target, "metrics": metrics}
        outcome = Outcome(metrics, target, saved | {"bytes": 1, "digest": ""}, took, [])
        assert self.store.complete(uid, trial, token, outcome) == "ok"
        self._running[uid, queue] -= 1
        del self.ends[uid, trial]
        self._idle[queue].append(worker)
        self._turn(uid)

    # -- what is measured ------------------------------------------------------------------------

    def _measure(self, until: float) -> None:
        """Adds the time from the last event to this one."""
        since = max(self._measured, self.measures_from)
        for queue, workers in self.workers.items() if until > since else ():
            caps, weights = {}, {}
            for uid, coordinator in self.coordinators.items():
                if (want := self._wants(coordinator, queue)) > 0:
                    caps[uid], weights[uid] = float(want), self._of[uid].weight
            shares = self._ideal(workers, caps, weights)
            for uid in self.coordinators:
                play, running = self._of[uid], self._running[uid, queue]
                if uid in shares:
                    play.trained[queue] += running * (until - since)
                    play.ideal[queue] += shares[uid] * (until - since)
                self._wait(play, queue, since, until, uid in shares and not running)
        self._measured = self.now = max(until, self.now)

    def _ideal(
        self, workers: int, caps: dict[str, float], weights: dict[str, float]
    ) -> dict[str, float]:
        key = (workers, *caps.items())
        if key not in self._known:
            self._known[key] = ideal(workers, caps, weights) if caps else {}
        return self._known[key]

    def _wait(self, play: Play, queue: str, since: float, until: float, waits: bool) -> None:
        began = self._without.setdefault((play.uid, queue), since)
        if waits:
            play.waited[queue] = max(play.waited[queue], until - began)
        else:
            self._without[play.uid, queue] = until

    def _wants(self, coordinator: Coordinator, queue: str) -> int:
        """What an experiment wants now: all that it can get, if it is endless and not paused."""
        play = self._of[coordinator.uid]
        search = coordinator.fold.search
        if search.state != "open":
            return 0
        if queue == coordinator.fold.specification.queue_of(1) and search.started < play.trials:
            return play.limit or FOR_EVER
        return coordinator._claims[queue].wants if queue in coordinator._claims else 0


def fifty(seed: int = 0, **fields: Any) -> list[Play]:
    """Fifty experiments with weights from 1 to 4 and segments whose lengths are as 1 to 100."""
    rng = random.Random(seed)
    units = [10 ** (2 * i / 49) for i in range(50)]
    rng.shuffle(units)
    shortest = fields.pop("shortest", 0.1)
    return [
        Play(f"e{i:02}", unit * shortest, rng.choice([1.0, 1.0, 2.0, 4.0]), **fields)
        for i, unit in enumerate(units)
    ]


def mixed() -> list[Play]:
    """Experiments that join, leave, are limited, straggle, and share a class of GPUs."""
    return [
        Play("plain", 0.5),
        Play("heavy", 2.0, weight=3.0, straggler=2.0),
        Play("limited", 1.0, limit=3, straggler=1.0),
        Play("late", 4.0, joins=60.0),
        Play("short", 0.1, leaves=200.0),
        Play("both", 0.7, queues={1: "asha", 4: "gpu"}),
        Play("gpu-too", 2.0, weight=2.0, queues={1: "asha", 4: "gpu"}),
    ]


def row(what: str, world: World, queue: str, until: float) -> str:
    """A line of the table: errors of the shares, waits, use of the workers, and what it costs."""
    plays = [play for play in world.plays.values() if play.ideal[queue]]
    errors = sorted(play.error(queue) for play in plays)
    waits = max(play.waited[queue] for play in plays)
    seconds = until - world.measures_from
    used = sum(play.trained[queue] for play in plays) / (world.workers[queue] * seconds)
    return (
        f"{what:34} {errors[0]:+7.1%} {errors[-1]:+7.1%} {waits:10.1f} {used:7.1%} "
        f"{1000 * world.cpu / until / len(plays):12.2f}"
    )


def main() -> None:
    print(f"{'':34} {'least':>7} {'most':>7} {'longest':>10} {'':7} {'coordinator':>12}")
    print(f"{'':34} {'share':>7} {'share':>7} {'wait (s)':>10} {'used':>7} {'(ms/s each)':>12}")
    scenes: list[tuple[str, list[Play], dict[str, int], float, float]] = [
        ("50 on 1,000 workers, 1:100", fifty(shortest=0.1), {"asha": 1000}, 60.0, 30.0),
        ("50 on 10 workers, 1:100", fifty(shortest=0.01), {"asha": 10}, 400.0, 30.0),
        ("7 that come and go, on 21 + 2", mixed(), {"asha": 21, "gpu": 2}, 320.0, 20.0),
    ]
    for what, plays, workers, until, since in scenes:
        world = World(plays, workers)
        world.measures_from = since
        world.run(until)
        for queue in workers:
            print(row(f"{what} ({queue})", world, queue, until), flush=True)


if __name__ == "__main__":
    main()
