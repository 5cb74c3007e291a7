"""What faults act on, and what they have hit."""

import base64
import contextlib
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import redis

from asha_queue.errors import StoreError
from tests.chaos.cluster import Cluster, Member, Worker
from tests.chaos.witness import Attempt, Witness


@dataclass
class Hit:
    """A fault that was done; times are seconds since the epoch."""

    kind: str
    at: float
    #: When it was over, if it lasted: recovery counts from then.
    over: float | None = None
    #: Workers that lost what they trained: it must be started again, or they something else.
    struck: list[str] = field(default_factory=list)
    #: Workers that must start or complete something.
    workers: list[str] = field(default_factory=list)
    #: Segments that must start.
    queued: list[Attempt] = field(default_factory=list)
    #: Experiments that need a decision.
    led: list[str] = field(default_factory=list)
    note: str = ""


@dataclass
class Scene:
    """The cluster and its witness."""

    cluster: Cluster
    witness: Witness
    #: Seconds that a black hole lasts.
    hole: float = 12.0
    #: Whether the storage is a disk of its own, that may be filled.
    disk: bool = False
    hits: list[Hit] = field(default_factory=list)

    def hit(self, kind: str, **facts: Any) -> Hit:
        """Records a fault done now."""
        hit = Hit(kind, time.time(), **facts)
        self.hits.append(hit)
        return hit

    @property
    def alive(self) -> list[str]:
        """Names of the workers that run."""
        return [worker.name for worker in self.cluster.workers()]

    def worker(self, rng: random.Random, busy: bool) -> Worker | None:
        """A worker with a keeper, and if `busy` one that trains."""
        found = [worker for worker in self.cluster.workers() if worker.keeper]
        if busy:
            trains = self.witness.running
            found = [worker for worker in found if worker.training and worker.name in trains]
        return rng.choice(found) if found else None

    def workers_of(self, launcher: Member) -> list[str]:
        """Names of the workers of a launcher, alive or not."""
        return [name for name in self.cluster.names if name.endswith(f"@{launcher.name}")]

    def leads(self) -> dict[int, list[str]]:
        """Process → the open experiments that it leads."""
        leads: dict[int, list[str]] = {}
        with contextlib.suppress(StoreError):
            for uid in self.witness.open:
                if leader := self.witness.store.describe(uid).leader:
                    leads.setdefault(int(leader.split(":")[1]), []).append(uid)
        return leads

    @contextlib.contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """A connection for commands; a server that does not answer just now is left alone."""
        client = redis.Redis.from_url(self.cluster.url, socket_timeout=5)
        try:
            yield client
        except (redis.ConnectionError, redis.TimeoutError):
            pass
        finally:
            client.close()


def kill(pid: int) -> bool:
    """SIGKILL; whether there was such a process."""
    return send(pid, signal.SIGKILL)


def send(pid: int, number: signal.Signals) -> bool:
    """Sends a signal; whether there was such a process."""
    if pid <= 0:  # to the system, 0 means our own group
        return False
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def named_by(message: bytes | str) -> Attempt:
    """What a message of the queue is for."""
    _, kwargs, _ = json.loads(base64.b64decode(json.loads(message)["body"]))
    return Attempt(*(kwargs[name] for name in ("uid", "trial", "rung", "attempt")))
