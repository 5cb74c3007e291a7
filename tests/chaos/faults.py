"""The faults: what each does to the cluster, how it is undone, and what must recover from it.

Each kind is a generator: it does its harm, yields the seconds until it wants to go on, and undoes
in `finally` what would stay otherwise, so that closing it (Ctrl-C) heals it. It says what it has
hit in a `Hit`; whether and when that recovered is read off the journals afterwards (`recovery.py`).
"""

import contextlib
import random
import signal
import time
from collections.abc import Callable, Generator
from typing import Any

from asha_queue.errors import StoreError
from asha_queue.queue import QUEUE, Publisher, lists
from asha_queue.settings import LEADER_LEASE, LEASE
from asha_queue.store.contract import QueuedSegment
from tests.chaos import clocks, disks
from tests.chaos.cluster import Worker
from tests.chaos.scene import Scene, kill, named_by, send
from tests.chaos.witness import Attempt
from tests.conftest import answers

#: Seconds between two looks of a fault at what it waits for.
LOOK_EVERY = 0.02
#: Seconds for which a process stays frozen so that its lease has surely run out.
PAST_LEASE = LEASE + 3.0
#: Seconds between the first breath of a frozen training process and that of its keeper.
ZOMBIE = 1.0
#: Seconds for which a boundary stays armed.
ARMED = 10.0
#: Seconds for which the disk is full, messages are doubled, and a training process is frozen.
FULL = 4.0
DOUBLED = 10.0
HICCUP = 4.0
#: Seconds for messages to come that can be taken off the queue.
TAKEN = 8.0

Steps = Generator[float, None, None]


def training(scene: Scene, rng: random.Random) -> Steps:
    """SIGKILL of a training process."""
    worker = yield from _wait_for(lambda: scene.worker(rng, busy=True))
    if worker and kill(worker.training):
        scene.hit("training", struck=[worker.name])


def worker(scene: Scene, rng: random.Random) -> Steps:
    """SIGKILL of a worker's main process, at times of the next one too, in its first 50 ms."""
    worker = yield from _wait_for(lambda: scene.worker(rng, busy=False))
    if worker is None or not kill(worker.main):
        return
    scene.hit("worker", struck=[worker.name])
    if rng.random() < 0.5:
        return
    name, before = worker.name, worker.main

    def newborn() -> Worker | None:
        found = [w for w in scene.cluster.workers() if w.name == name and w.main != before]
        return found[0] if found else None

    born = yield from _wait_for(newborn)
    yield rng.uniform(0.0, 0.05)
    if born and kill(born.main):
        scene.hit("worker", struck=[name], note="newborn")


def keeper(scene: Scene, rng: random.Random) -> Steps:
    """SIGKILL of a keeper: the worker goes on."""
    worker = yield from _wait_for(lambda: scene.worker(rng, busy=False))
    if worker and kill(worker.keeper):
        scene.hit("keeper", workers=[worker.name])


def launcher(scene: Scene, rng: random.Random) -> Steps:
    """SIGKILL of a launcher: its workers die with it."""
    member = rng.choice(scene.cluster.launchers)
    yield from _wait_for(lambda: member.pid)
    if kill(member.pid):
        scene.hit("launcher", struck=scene.workers_of(member))


def node(scene: Scene, rng: random.Random) -> Steps:
    """Everything of a node is gone at once, and stays away: only the lease tells."""
    member = rng.choice(scene.cluster.launchers)
    held = [name for name in scene.workers_of(member) if name in scene.witness.running]
    pids = [
        p for w in scene.cluster.workers() if w.name in scene.workers_of(member) for p in w.pids
    ]
    member.wanted = False
    try:
        for pid in [member.pid, *pids]:
            kill(pid)
        scene.hit("node", struck=held)
        yield PAST_LEASE + 5.0
    finally:
        member.wanted = True


def coordinator(scene: Scene, rng: random.Random) -> Steps:
    """SIGKILL of a coordinator, mostly of one that leads."""
    leads = scene.leads()
    pids = [member.pid for member in scene.cluster.coordinators if member.pid]
    leading = [pid for pid in pids if pid in leads]
    if pids:
        pid = rng.choice(leading if leading and rng.random() < 0.8 else pids)
        if kill(pid):
            scene.hit("coordinator", led=leads.get(pid, []))
    yield 0.0


def server(scene: Scene, rng: random.Random) -> Steps:
    """SIGKILL of the server, which is started again."""
    workers = scene.alive
    if not kill(scene.cluster.server.pid):
        return
    hit = scene.hit("server", workers=workers)
    yield from _wait_for(lambda: scene.cluster.server.pid)
    yield from _wait_for(lambda: answers(scene.cluster.url))
    hit.over = time.time()


def connections(scene: Scene, rng: random.Random) -> Steps:
    """CLIENT KILL of every connection of the server."""
    with scene.client() as client:
        for kind in ("normal", "pubsub"):
            client.client_kill_filter(_type=kind, skipme=True)
        scene.hit("connections", workers=scene.alive)
    yield 0.0


def hole(scene: Scene, rng: random.Random) -> Steps:
    """The network of a node is a black hole for a while, at times that of a coordinator, too."""
    names = ["beta", "coordinator-2"][: rng.randint(1, 2)]
    affected = [worker for worker in scene.alive if worker.endswith("@beta")]
    for name in names:
        scene.cluster.proxies[name].stall()
    hit = scene.hit("hole", workers=affected, note=" ".join(names))
    try:
        yield scene.hole
    finally:
        for name in names:
            scene.cluster.proxies[name].go_on()
        hit.over = time.time()


def freeze(scene: Scene, rng: random.Random) -> Steps:
    """A training process stands still for a while: its keeper holds the lease."""
    worker = yield from _wait_for(lambda: scene.worker(rng, busy=True))
    if worker and send(worker.training, signal.SIGSTOP):
        hit = scene.hit("freeze", workers=[worker.name])
        try:
            yield HICCUP
        finally:
            send(worker.training, signal.SIGCONT)
            hit.over = time.time()


def zombie(scene: Scene, rng: random.Random) -> Steps:
    """A whole worker is frozen past its lease. Its training process comes back first: what it
    writes before its keeper ends it must be refused."""
    worker = yield from _wait_for(lambda: scene.worker(rng, busy=True))
    if worker is None:
        return
    stopped = [pid for pid in worker.pids if send(pid, signal.SIGSTOP)]
    scene.hit("zombie", struck=[worker.name])
    try:
        yield PAST_LEASE
        send(worker.training, signal.SIGCONT)
        yield ZOMBIE
    finally:
        for pid in stopped:
            send(pid, signal.SIGCONT)


def deposed(scene: Scene, rng: random.Random) -> Steps:
    """The leading coordinator is frozen until another leads, then goes on beside it."""
    leads = yield from _wait_for(lambda: scene.leads())
    pid = rng.choice(sorted(leads)) if leads else 0
    if pid and send(pid, signal.SIGSTOP):
        scene.hit("deposed", led=leads[pid])
        try:
            yield LEADER_LEASE + 3.0
        finally:
            send(pid, signal.SIGCONT)


def delete(scene: Scene, rng: random.Random) -> Steps:
    """Some messages are taken off the queue, as by a worker that dies with them."""
    wanted, gone = rng.randint(1, 3), list[Attempt]()
    deadline = time.monotonic() + TAKEN
    while len(gone) < wanted and time.monotonic() < deadline:
        with scene.client() as client:
            if taken := client.brpop(lists(QUEUE), timeout=LOOK_EVERY):
                gone.append(named_by(taken[1]))
        yield LOOK_EVERY
    if gone:
        scene.hit("delete", queued=gone)


def double(scene: Scene, rng: random.Random) -> Steps:
    """For a while each segment's message is delivered two to five times."""
    publisher = Publisher(scene.cluster.url)
    hit = scene.hit("double")
    until = time.monotonic() + DOUBLED
    sent = 0
    while time.monotonic() < until:
        for attempt, entry in scene.witness.news:
            segment = QueuedSegment(
                attempt.trial, 0, attempt.rung, entry["target"], attempt.attempt, entry["config"]
            )
            with contextlib.suppress(StoreError):
                copies = rng.randint(1, 4)
                publisher.publish(attempt.uid, [segment] * copies)
                sent += copies
        hit.note = f"{sent} copies"
        yield 0.0


def boundary(scene: Scene, rng: random.Random) -> Steps:
    """A process dies at a random boundary of the protocol."""
    yield from at_boundary(scene, rng, rng.choice(BOUNDARIES))


def at_boundary(scene: Scene, rng: random.Random, name: str) -> Steps:
    """Whatever process comes to this boundary first dies there."""
    cluster = scene.cluster
    known, leads = len(cluster.fired(name)), scene.leads()
    cluster.arm(name)
    try:
        if name.startswith("release"):  # which only happens when a training process has died
            yield from training(scene, rng)
        fired = yield from _wait_for(lambda: cluster.fired(name)[known:], ARMED)
    finally:
        cluster.disarm(name)
    if fired:
        at, pid = fired[0]
        struck = [cluster.owners[pid]] if pid in cluster.owners else []
        scene.hit("boundary", struck=struck, led=leads.get(pid, []), note=name).at = at


def clock(scene: Scene, rng: random.Random) -> Steps:
    """A launcher, or a coordinator, is started anew with its clock an hour off."""
    member = rng.choice([*scene.cluster.launchers, *scene.cluster.coordinators])
    hours = rng.choice((-1, 1))
    member.environment |= clocks.environment(hours * 3600)
    yield from _wait_for(lambda: member.pid)
    if kill(member.pid):
        workers = scene.workers_of(member) if member in scene.cluster.launchers else []
        scene.hit("clock", struck=workers, note=f"{member.name} {hours:+d} h")


def disk(scene: Scene, rng: random.Random) -> Steps:
    """The storage is full for a while, if it is a disk of its own."""
    if not scene.disk:
        return
    ballast = scene.cluster.storage / "ballast"
    hit = scene.hit("disk", workers=scene.alive)
    try:
        with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
        yield FULL
    finally:
        ballast.unlink()
        hit.over = time.time()


def done(kind: str, scene: Scene, rng: random.Random) -> Steps:
    """A fault of this kind, a boundary by its name included."""
    return at_boundary(scene, rng, kind) if kind in BOUNDARIES else KINDS[kind](scene, rng)


Kind = Callable[[Scene, random.Random], Steps]
KINDS: dict[str, Kind] = {
    kind.__name__: kind
    for kind in (
        *(training, worker, keeper, launcher, node, coordinator, server, connections, hole),
        *(freeze, zombie, deposed, delete, double, boundary, clock, disk),
    )
}
#: Seconds that the long ones take: one is done at a time, and the first one in short runs, too.
LONG = {"zombie": PAST_LEASE + ZOMBIE, "node": PAST_LEASE + 5.0}
#: Where `boundary` kills: a script of the store, a message's publication, a checkpoint's writing
#: (`save:after`: complete, and not renamed yet).
BOUNDARIES = [
    f"{step}:{side}"
    for step in (
        *("schedule", "publish", "published", "finish", "lead", "reap"),
        *("claim", "start", "save", "checkpoint", "complete", "renew", "release"),
    )
    for side in ("before", "after")
]


def impossible() -> set[str]:
    """The kinds that cannot be done on this machine."""
    possible = {"clock": clocks.library() is not None, "disk": disks.can_be_made()}
    return {kind for kind, can in possible.items() if not can}


def _wait_for(look: Callable[[], Any], seconds: float = 5.0) -> Generator[float, None, Any]:
    """What `look` gives as soon as it gives something, or its last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := look()) and time.monotonic() < deadline:
        yield LOOK_EVERY
    return found
