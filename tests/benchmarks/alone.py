"""A coordinator alone: a real server and a real drive, and workers that train nothing.

The workers are a few pipelines: they take what was published from the queue, claim it and complete
it by the scripts that real workers call. They are never part of what is measured: coordinator and
workers take turns.
"""

import base64
import json
import os
import random
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import redis

from asha_queue.coordinator.drive import Drive
from asha_queue.queue import QUEUE, Publisher, lists
from asha_queue.search.space import choice, loguniform, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store import connect, journal, keys
from asha_queue.store.connection import script_hash, script_text
from tests.processes.servers import Valkey

#: Seconds between two beats of a simulated worker: they live, however long a turn takes.
BEAT = 5.0
#: Units of resource that a trial gets in the mean, on the ladder below.
UNITS_EACH = 3.25
#: Calls of scripts in one pipeline.
PIPELINE = 500


def experiment(trials: int) -> Specification:
    return Specification(
        name="bench",
        train="bench.py:train",
        space={
            "lr": loguniform(1e-4, 1.0),
            "dropout": uniform(0, 0.5),
            "hidden": choice([16, 32, 64, 128]),
        },
        metric="loss",
        mode="min",
        max_t=64,
        num_samples=trials,
        seed=0,
        sampler="random",
    )


def journal_of(trials: int, saves: bool = False) -> list[dict[str, Any]]:
    """The entries of an experiment that has started so many trials and goes on; with their
    checkpoints, if it `saves` any."""
    value = {n: random.Random(n).random() for n in range(64)}
    made = simulate(
        experiment(10**6),
        lambda config, t: {"loss": config["dropout"] + value[t % 64] / t},
        lambda config, start, target: float(target - start),
        workers=1,
        until=trials * UNITS_EACH,
    )
    uid = made.journal[0]["uid"]
    for entry in made.journal:
        if saved := entry.get("checkpoint"):
            path = _path(uid, entry["trial"], entry["token"])
            entry["checkpoint"] = saved | {"path": path} if saves else None
    return made.journal


def _path(uid: str, trial: int, token: object) -> str:
    """The name of a checkpoint, as a worker gives it."""
    return f"bench/checkpoints/{uid}/{trial}/{token}-bench"


#: Seconds in which something is published, or something is wrong.
PATIENCE = 30.0


class Spent(NamedTuple):
    """Seconds by the wall's clock, and of CPU of this process and of the server; commands of the
    server, and bytes to and from it."""

    wall: float = 0.0
    own: float = 0.0
    server: float = 0.0
    commands: float = 0.0
    sent: float = 0.0
    received: float = 0.0

    def plus(self, other: "Spent", sign: int = 1) -> "Spent":
        return Spent(*(mine + sign * its for mine, its in zip(self, other, strict=True)))


class Running(NamedTuple):
    """A segment that a simulated worker has begun."""

    uid: str
    trial: int
    token: str
    target: int


class Workers:
    """Simulated workers on a server; `saves`: whether they record a checkpoint of each segment."""

    def __init__(self, url: str, count: int, saves: bool) -> None:
        self.count = count
        self._saves = saves
        self._client = redis.Redis.from_url(url)
        self._rng = random.Random(0)
        self._names = [f"cpu{n % 8}@node{n // 8}" for n in range(count)]
        self._next_beat = 0.0
        self._running: list[Running] = []
        for name in ("beat", "claim", "start", "renew", "complete"):
            self._client.script_load(script_text(name))

    def beat(self, now: bool = False) -> None:
        """Says that all workers live, if it is time, or `now`."""
        if not now and time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + BEAT
        where = [keys.WORKERS, keys.SEEN, keys.DRAINS, keys.TROUBLES, keys.ASIDE]
        told = {"queues": [QUEUE], "version": "0.2.0", "pid": 1, "device": "", "programs": ["/p"]}
        self._call("beat", where, [(name, json.dumps(told)) for name in self._names])

    def train(self, most: int) -> int:
        """Takes so many segments at most from the queue, and completes them; how many they were."""
        return self.end(self.take(most))

    def take(self, most: int) -> int:
        """Takes so many segments at most from the queue, and begins them; how many they were."""
        by_uid: dict[str, list[dict[str, Any]]] = {}
        for segment in self._taken(most):
            by_uid.setdefault(segment["uid"], []).append(segment)
        for uid, segments in by_uid.items():
            self._begin(uid, segments)
        return sum(map(len, by_uid.values()))

    def end(self, most: int) -> int:
        """Completes so many segments at most, those begun first; how many they were."""
        ended, self._running = self._running[:most], self._running[most:]
        ends: dict[str, list[Sequence[Any]]] = {}
        for one in ended:
            ends.setdefault(one.uid, []).append((one.trial, one.token, *self._outcome(one)))
        for uid, calls in ends.items():
            where = [keys.experiment(uid), keys.TROUBLES, keys.ASIDE]
            assert all(answer == b"ok" for answer in self._call("complete", where, calls))
        return len(ended)

    def renew(self) -> None:
        """Renews the lease of all that runs."""
        for uid in {one.uid for one in self._running}:
            mine = [(one.trial, one.token) for one in self._running if one.uid == uid]
            self._call("renew", [keys.experiment(uid), keys.DRAINS], mine)

    def _taken(self, most: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for key in lists(QUEUE):
            if len(found) < most:
                texts: Any = self._client.rpop(key, most - len(found)) or []
                bodies = (base64.b64decode(json.loads(text)["body"]) for text in texts)
                found += [json.loads(body)[1] for body in bodies]
        return found

    def _begin(self, uid: str, segments: Sequence[dict[str, Any]]) -> None:
        where = [keys.experiment(uid), keys.SEEN, keys.TROUBLES, keys.ASIDE]
        places = [(s["trial"], s["rung"], s["attempt"]) for s in segments]
        claims = [
            (*place, uuid.uuid4().hex, self._names[n % self.count], 1)
            for n, place in enumerate(places)
        ]
        ran = [
            (place, answer)
            for place, answer in zip(places, self._call("claim", where, claims), strict=True)
            if answer[0] == b"run"
        ]
        resumed = [
            (place[0], answer[1], json.loads(answer[7][-1])["resource"])
            for place, answer in ran
            if answer[8] != b"1"
        ]
        self._call("start", where[:1], resumed)
        self._running += [
            Running(uid, place[0], answer[1].decode(), int(answer[4])) for place, answer in ran
        ]

    def _outcome(self, ended: Running) -> list[str]:
        metrics, target = {"loss": self._rng.random()}, ended.target
        saved = {"path": _path(ended.uid, ended.trial, ended.token), "resource": target}
        saved |= {"metrics": metrics, "bytes": 1 << 20, "digest": ended.token}
        end = {"metrics": metrics, "reached": target, "checkpoint": saved if self._saves else None}
        end |= {"seconds": 0.01, "curve": [[target, metrics]]}
        if not self._saves:
            return [journal.members(end), str(target), "", "", "", ""]
        texts = [journal.encode(metrics), journal.encode(saved)]
        return [journal.members(end), str(target), str(saved["path"]), str(target), *texts]

    def _call(self, name: str, where: Sequence[str], calls: Sequence[Sequence[Any]]) -> list[Any]:
        """Calls a script once for each of these arguments, in pipelines."""
        answers: list[Any] = []
        for first in range(0, len(calls), PIPELINE):
            pipe = self._client.pipeline(transaction=False)
            for arguments in calls[first : first + PIPELINE]:
                words = (script_hash(name), 1, keys.call(name), len(where), *where, *arguments)
                pipe.execute_command("EVALSHA", *words)  # type: ignore[no-untyped-call]
            answers += pipe.execute()
        return answers

    def info(self, *sections: str) -> dict[str, Any]:
        """What the server tells of itself."""
        found: dict[str, Any] = self._client.info(*sections)
        return found

    def close(self) -> None:
        self._client.close()


class Alone:
    """A server, `workers` simulated ones, and the drive of an experiment of `trials` trials; of
    the `entries` of its journal, if there are some."""

    def __init__(
        self,
        folder: Path,
        workers: int,
        trials: int = 10**6,
        entries: Sequence[dict[str, Any]] = (),
        saves: bool = False,
    ) -> None:
        self._server = Valkey(folder / "valkey")
        self.url = self._server.url
        self.store = connect(self.url)
        self.workers = Workers(self.url, workers, saves)
        if entries:
            uid = self.store.restore(entries)
        else:
            made = experiment(trials)
            uid = self.store.submit(uuid.uuid4().hex[:16], made.name, made.to_json())
        self.workers.beat()
        home = folder / "runs" / "bench"
        if saves:  # where there are none, none is evicted
            (home / "checkpoints" / uid).mkdir(parents=True)
        self.drive = Drive(self.store, Publisher(self.url), uid, home, self.url)
        self.uid = uid

    def decide(self) -> Spent:
        """The coordinator's turns until it has nothing to do; what they took."""
        began = self._spent()
        while self.drive.turn():
            pass
        return self._spent().plus(began, -1)

    def rounds(self, segments: int) -> tuple[int, Spent]:
        """Decides and trains by turns until so many segments were published and trained; how many
        there were, and what the coordinator's turns took."""
        done, spent = 0, Spent()
        until = time.monotonic() + PATIENCE
        while done < segments:
            self.workers.beat()
            spent = spent.plus(self.decide())
            ended = self.workers.train(self.workers.count)
            if ended:
                until = time.monotonic() + PATIENCE
            # for a while after it was busy for long it knows of no worker
            assert time.monotonic() < until, "the coordinator publishes nothing"
            done += ended
        return done, spent

    def _spent(self) -> Spent:
        found = self.workers.info("cpu", "stats")
        cpu = found["used_cpu_user"] + found["used_cpu_sys"]
        sent, received = found["total_net_input_bytes"], found["total_net_output_bytes"]
        told = (cpu, found["total_commands_processed"], sent, received)
        return Spent(time.perf_counter(), time.process_time(), *told)

    def resident(self) -> float:
        """Memory of the server in bytes."""
        return float(self.workers.info("memory")["used_memory"])

    def close(self) -> None:
        self.drive.close()
        self.workers.close()
        self.store.close()
        self._server.kill()


@contextmanager
def alone(*arguments: Any, **options: Any) -> Iterator[Alone]:
    """An `Alone` in a folder of its own; nothing is left of it."""
    with TemporaryDirectory(prefix=f"bench-{os.getpid()}-") as folder:
        made = Alone(Path(folder), *arguments, **options)
        try:
            yield made
        finally:
            made.close()
