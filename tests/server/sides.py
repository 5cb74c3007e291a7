"""The two stores side by side, with a clock that tests move.

Time passes for the server's scripts only as the server's TIME says. So `ServerSide.advance(s)`
moves everything that was written down s seconds into the past instead: the same as if s seconds
had passed, and the scripts need no way to meddle with their clock. The memory twin has its clock
handed in.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import redis

from asha_queue.settings import FORMAT
from asha_queue.store import connect, keys
from asha_queue.store.contract import Store
from asha_queue.store.memory import MemoryStore
from asha_queue.store.memory.state import Memory

#: The fields of a record that both stores have and that do not depend on clocks or tokens.
NUMBERS = (
    *("bracket", "rung", "target", "attempt", "publications"),
    *("failures", "losses", "unwitnessed", "lost_at", "evicted"),
)
WORDS = ("state", "claim", "worker", "ended_claim", "ended_how", "avoid")


class Side(Protocol):
    """A store, and what tests may do to it behind its back."""

    store: Store

    def advance(self, seconds: float) -> None:
        """Lets time pass."""

    def expire(self, uid: str, trial: int) -> None:
        """Lets the lease of a running trial end now."""

    def age_format(self, uid: str) -> None:
        """Makes the experiment look written by a newer version."""

    def append(self, uid: str, v: int, kind: str) -> None:
        """Appends an entry to the journal as another version might, of that format and type."""

    def records(self, uid: str) -> dict[int, dict[str, Any]]:
        """The records of all trials, as far as the two stores must agree."""

    def wipe(self) -> None:
        """Removes everything, as a server that restarted empty."""

    def save(self) -> Any:
        """A copy of everything."""

    def roll_back(self, saved: Any) -> None:
        """Puts a copy back; later entries get ids that no entry ever had."""


class ServerSide:
    def __init__(self, url: str) -> None:
        self.store: Store = connect(url)
        self._client = redis.Redis.from_url(url, decode_responses=True)
        self._bytes = redis.Redis.from_url(url)
        self._passed = 0.0

    def close(self) -> None:
        self.store.close()
        self._client.close()
        self._bytes.close()

    def advance(self, seconds: float) -> None:
        self._passed += seconds
        self._shift(round(seconds * 1e6))

    def _shift(self, microseconds: int) -> None:
        client = self._client
        for uid in self.store.names().values():
            experiment = keys.experiment(uid)
            for field in ("tick", "leader_until"):
                if client.hexists(experiment, field):
                    client.hincrby(experiment, field, -microseconds)
            self._shift_scores(experiment + ":queued", microseconds)
            self._shift_scores(experiment + ":removals", microseconds)
            for key in self._records(uid):
                if client.hexists(key, "avoid_until"):
                    client.hincrby(key, "avoid_until", -microseconds)
        for alive in (keys.SEEN, keys.COORDINATORS_SEEN, keys.ASIDE):
            self._shift_scores(alive, microseconds)

    def _shift_scores(self, key: str, microseconds: int) -> None:
        for member in self._client.zrange(key, 0, -1):
            self._client.zincrby(key, -microseconds, str(member))

    def _records(self, uid: str) -> Iterator[str]:
        trials = int(self._client.hget(keys.experiment(uid), "trials") or 0)
        return (f"{keys.experiment(uid)}:trial:{trial}" for trial in range(trials))

    def expire(self, uid: str, trial: int) -> None:
        self._client.zadd(keys.experiment(uid) + ":running", {str(trial): 0}, xx=True)

    def age_format(self, uid: str) -> None:
        self._client.hset(keys.experiment(uid), "v", FORMAT + 1)

    def append(self, uid: str, v: int, kind: str) -> None:
        fields: dict[Any, Any] = {"v": v, "type": kind, "at": "1.0", "data": "{}"}
        self._client.xadd(keys.journal(uid), fields)

    def forget(self, uid: str, *fields: str) -> None:
        """Makes the experiment look written by an older version, which did not have these."""
        self._client.hdel(keys.experiment(uid), *fields)

    def records(self, uid: str) -> dict[int, dict[str, Any]]:
        found = {}
        for trial, key in enumerate(self._records(uid)):
            held = self._client.hgetall(key)
            record: dict[str, Any] = {name: int(held.get(name) or 0) for name in NUMBERS}
            found[trial] = record | {name: held.get(name, "") for name in WORDS}
        for state in ("QUEUED", "RUNNING"):
            members = self._client.zrange(f"{keys.experiment(uid)}:{state.lower()}", 0, -1)
            expected = {str(trial) for trial, record in found.items() if record["state"] == state}
            assert set(members) == expected, f"the set of {state} trials is that of the records"
        return found

    def all_keys(self) -> list[str]:
        return sorted(self._client.scan_iter("*"))

    def wipe(self) -> None:
        self._client.flushdb()

    def save(self) -> Any:
        found = {key: self._bytes.dump(key) for key in self._bytes.scan_iter("asha:*")}
        return self._passed, found

    def roll_back(self, saved: Any) -> None:
        passed, found = saved
        before = self.time()
        for key in self._bytes.scan_iter("asha:*"):
            self._bytes.delete(key)
        for key, value in found.items():
            self._bytes.restore(key, 0, value)
        self._shift(round((self._passed - passed) * 1e6))
        while self.time() < before + 0.001:
            pass  # within the same millisecond an id could come again

    def time(self) -> float:
        """The server's clock."""
        seconds, microseconds = self._client.time()
        return float(seconds) + float(microseconds) / 1e6


class MemorySide:
    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        ticks = itertools.count(1_000_000_000_000, 50)  # no two calls see the same microsecond
        self._clock = clock or (lambda: next(ticks) / 1e6)
        self._passed = 0.0
        self.memory = MemoryStore(lambda: self._clock() + self._passed)
        self.store: Store = self.memory

    def advance(self, seconds: float) -> None:
        self._passed += seconds

    def expire(self, uid: str, trial: int) -> None:
        self.memory.memory.experiments[uid].records[trial].deadline = 0

    def age_format(self, uid: str) -> None:
        self.memory.memory.experiments[uid].v = FORMAT + 1

    def append(self, uid: str, v: int, kind: str) -> None:
        experiment = self.memory.memory.experiments[uid]
        experiment.append(self.memory.clock(), kind, {})
        experiment.journal[-1]["v"] = v

    def records(self, uid: str) -> dict[int, dict[str, Any]]:
        experiment = self.memory.memory.experiments[uid]
        return {
            trial: {name: getattr(record, name) for name in (*NUMBERS, *WORDS)}
            for trial, record in experiment.records.items()
        }

    def wipe(self) -> None:
        self.memory.memory = Memory()

    def save(self) -> Any:
        return copy.deepcopy(self.memory.memory)

    def roll_back(self, saved: Any) -> None:
        self.memory.memory = copy.deepcopy(saved)
        self.advance(0.002)  # no id comes again
