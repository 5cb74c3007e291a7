"""What a coordinator that starts anew folds: journals from a real server, and a snapshot of one.

How to read it: events are entries of the journal. The first row is the coordinator's own fold of an
experiment from its first entry on; the rows after it are its parts, each alone: the server
answering XRANGE to a bare client, entries made of its answer, and the folds of entries in memory.
The last row is a new fold of a million events of which a snapshot was kept: what is read is the
state, not the events.
"""

import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from asha_queue.coordinator.fold import Fold
from asha_queue.result import Result
from asha_queue.search.asha import Asha
from asha_queue.search.space import loguniform, uniform
from asha_queue.settings import FORMAT
from asha_queue.specification import Specification
from asha_queue.store import connect, keys
from asha_queue.store.contract import PIECE
from asha_queue.store.journal import entry, members
from tests.benchmarks.table import Figure
from tests.processes.servers import Valkey

#: Entries that are folded from the server, and those of which a snapshot is kept.
FOLDED = 100_000
KEPT = 1_000_000
#: Entries that are sent to the server at once.
BATCH = 2_000

Entry = dict[str, Any]


def experiment(name: str, trials: int) -> Specification:
    return Specification(
        name=name,
        train="replay.py:train",
        space={"lr": loguniform(1e-4, 1.0), "x": uniform(0, 1)},
        metric="loss",
        mode="min",
        max_t=64,
        num_samples=trials,
        seed=0,
        sampler="random",
    )


def events(specification: Specification, number: int) -> Iterator[Entry]:
    """So many entries after `submitted`: what is decided is trained at once, with a random loss
    that ranks as it did below."""
    search, rng = Asha(specification.plan), random.Random(0)
    search.apply({"type": "submitted"})
    losses: dict[int, float] = {}
    for token in range(1, number // 3 + 1):
        [one] = search.decide(1)
        of = {"trial": one.trial, "rung": one.rung, "attempt": 1}
        config = {"lr": rng.random(), "x": rng.random()} if one.rung == 0 else {}
        losses.setdefault(one.trial, rng.random())
        metrics = {"loss": losses[one.trial] + 1 / one.target}
        attempt = {**of, "token": token, "worker": "cpu0@node"}
        place = {"path": f"{one.trial}/{token}", "resource": one.target, "metrics": metrics}
        ended = {"metrics": metrics, "reached": one.target, "seconds": 1.0, "curve": []}
        ended["checkpoint"] = {**place, "bytes": 0, "digest": ""}
        aim = {"bracket": one.bracket, "target": one.target, "config": config}
        for fields in (
            {"type": "scheduled", **of, **aim},
            {"type": "started", **attempt, "start": 0},
            {"type": "completed", **attempt, **ended},
        ):
            yield fields
            search.apply(fields)


def journalled(url: str, name: str, number: int) -> tuple[str, Specification]:
    """An experiment with so many entries in its stream, as the scripts would have appended them."""
    specification = experiment(name, number)
    uid = name.ljust(16, "0")
    connect(url).submit(uid, name, specification.to_json())
    client = redis.Redis.from_url(url)
    pipe, stream = client.pipeline(transaction=False), keys.journal(uid)
    for place, fields in enumerate(events(specification, number)):
        data = members({key: value for key, value in fields.items() if key != "type"})
        at = f"{time.time():.6f}"
        held = {"v": FORMAT, "type": fields["type"], "at": at, "data": f"{{{data}}}"}
        pipe.xadd(stream, held)  # type: ignore[arg-type]  # redis-py's type admits no dict of str
        if place % BATCH == BATCH - 1:
            pipe.execute()
    pipe.execute()
    client.close()
    return uid, specification


def rows(url: str, uid: str) -> list[Any]:
    """The stream read by a bare client, a piece at a time."""
    client = redis.Redis.from_url(url, decode_responses=True)
    found: list[Any] = []
    last = "-"
    while True:
        piece = client.execute_command(  # type: ignore[no-untyped-call]
            "XRANGE", keys.journal(uid), last, "+", "COUNT", PIECE
        )
        if not piece:
            client.close()
            return found
        found += piece
        last = f"({piece[-1][0]}"


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        server = Valkey(Path(folder) / "valkey")
        try:
            yield from folded(server.url)
            yield from resumed(server.url)
        finally:
            server.kill()


def folded(url: str) -> Iterator[Figure]:
    uid, specification = journalled(url, "folded", FOLDED)
    began = time.perf_counter()
    Fold(connect(url), uid).catch_up()
    took = time.perf_counter() - began
    yield _rate("replay from the server", took, 100_000)
    began = time.perf_counter()
    found = rows(url, uid)
    yield _rate("of that: XRANGE by a bare client", time.perf_counter() - began)
    began = time.perf_counter()
    entries = [entry(i, fields) for i, fields in found]
    yield _rate("of that: entries decoded", time.perf_counter() - began)
    search = Asha(specification.plan)
    began = time.perf_counter()
    for one in entries:
        search.apply(one)
    yield _rate("of that: search alone, in memory", time.perf_counter() - began)
    result = Result(specification)
    began = time.perf_counter()
    for one in entries:
        result.apply(one)
    yield _rate("result alone, in memory: what status and pages fold", time.perf_counter() - began)


def _rate(what: str, seconds: float, goal: float | None = None) -> Figure:
    return Figure(what, FOLDED / seconds, "events/s", goal, at_least=True)


def resumed(url: str) -> Iterator[Figure]:
    uid, _ = journalled(url, "kept", KEPT)
    fold = Fold(connect(url), uid)
    fold.catch_up()
    fold.keep()
    began = time.perf_counter()
    new = Fold(connect(url), uid)
    new.catch_up()
    took = time.perf_counter() - began
    assert new.search.started == fold.search.started > 0, "it goes on where the other was"
    beside = f"{new.search.started:,} trials started"
    yield Figure(f"restart from a snapshot of {KEPT:,} events", took, "s", 1, beside=beside)
