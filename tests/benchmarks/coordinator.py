"""What a coordinator alone does in a second: it schedules and publishes, workers complete at once.

How to read it: coordinator and simulated workers take turns on a real server that syncs each write,
and only the coordinator's turns count, its exports and its ticks included. Each turn finds as many
results as there are workers. The first figure counts its own CPU time, which is what saturates; the
wall's clock has what it waits for the server, too. What the same server takes without any
tuner comes last: Celery's `apply_async`, and messages that are ready made, in pipelines. With two
workers there are one or two results a turn: that is what one costs which comes by itself.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import redis

from asha_queue.coordinator.drive import Drive
from asha_queue.queue import QUEUE, TASK, Publisher, lists, make_app
from asha_queue.store import connect
from tests.benchmarks.alone import PIPELINE, alone, journal_of
from tests.benchmarks.table import Figure
from tests.processes.servers import Valkey

#: Trials of the experiment whose coordinator's memory is measured.
TRIALS = 100_000
WORKERS = (2, 100, 1_000)
#: Segments that are counted.
SEGMENTS = 12_000


def bare(url: str) -> tuple[float, float]:
    """Messages a second of bare Celery, and of pipelines of ready-made ones."""
    app = make_app(url)
    app.send_task(TASK, queue=QUEUE)
    began = time.perf_counter()
    for _ in range(1_000):
        app.send_task(TASK, kwargs={"uid": "u", "trial": 1, "rung": 0, "attempt": 1}, queue=QUEUE)
    celery = 1_000 / (time.perf_counter() - began)
    with redis.Redis.from_url(url) as client:
        [text] = client.lrange(lists(QUEUE)[0], 0, 0)
        began = time.perf_counter()
        for _ in range(20):
            pipe = client.pipeline(transaction=False)
            for _ in range(PIPELINE):
                pipe.lpush("raw", text)
            pipe.execute()
        raw = 20 * PIPELINE / (time.perf_counter() - began)
    return celery, raw


def decided(workers: int, segments: int) -> Iterator[Figure]:
    with alone(workers) as made:
        made.rounds(segments // 4)
        done, spent = made.rounds(segments)
        what = f"a coordinator alone, {workers:,} workers"
        wall = f"{done / spent.wall:,.0f}/s with the waits for the server"
        beside = f"{wall}, {spent.server / done * 1e6:.0f} µs CPU of Valkey each"
        if workers > 2:
            yield Figure(what, done / spent.own, "segments/s", 5_000, True, beside)
        else:  # every result by itself
            yield Figure(what, spent.own / done * 1e3, "ms CPU each", beside=beside)
        if workers == WORKERS[-1]:
            celery, raw = bare(made.url)
            beside = f"ready-made messages in pipelines {raw:,.0f}/s"
            yield Figure("apply_async of bare Celery", celery, "tasks/s", beside=beside)


def memory() -> Iterator[Figure]:
    """A coordinator in a process of its own, as `run` has it, that folds a long journal."""
    with TemporaryDirectory(prefix="bench-") as folder:
        valkey = Valkey(Path(folder) / "valkey")
        try:
            store = connect(valkey.url)
            uid = store.restore(journal_of(TRIALS))
            store.close()
            command = [sys.executable, "-m", __name__, valkey.url, uid, folder]
            told = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        finally:
            valkey.kill()
    beside = f"taken over in {told['seconds']:.1f} s, {told['imported']:.0f} MiB before"
    yield Figure(f"coordinator with {TRIALS:,} trials", told["mib"], "MiB", 400, beside=beside)


def fold(url: str, uid: str, folder: str) -> None:
    """Takes an experiment over, and says what it took."""
    process, store = psutil.Process(), connect(url)
    imported, began = process.memory_info().rss / 2**20, time.perf_counter()
    drive = Drive(store, Publisher(url), uid, Path(folder) / "runs" / "bench", url)
    while drive.turn():
        pass
    drive.result()
    seconds, until = time.perf_counter() - began, time.perf_counter() + 3.0
    while time.perf_counter() < until:  # files are written, a snapshot is kept
        drive.step()
    mib = process.memory_info().rss / 2**20
    drive.close()
    store.close()
    print(json.dumps({"mib": mib, "seconds": seconds, "imported": imported}))


def figures() -> Iterator[Figure]:
    for workers in WORKERS:
        yield from decided(workers, SEGMENTS if workers > 2 else SEGMENTS // 6)
    yield from memory()


if __name__ == "__main__":
    fold(*sys.argv[1:])
