"""What a report and a checkpoint cost the program that trains.

How to read it: a real worker on a real server trains a program that times its own calls. "One after
another" are 20,000 reports with nothing between them; "while training" each follows half a
millisecond of work in Python, so that the thread that sends them from behind competes for the
interpreter's lock. Beside them stands what one round trip to the server would cost instead.

A checkpoint is compared with the bare writing and syncing of the same bytes, one by one in turn:
the figure is the median of the differences. Beside it stands what is in it: the digest of the
bytes, four syncs of next to nothing (the manifest, the folder, the one above it, the server's log).
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.table import Figure
from tests.processes.lab import Lab
from tests.processes.servers import Valkey

#: Sizes of checkpoints, in bytes: an empty folder, and one file.
SIZES = (0, 10_000_000)
PROGRAM = f"""
import hashlib, json, os, statistics, time
from pathlib import Path
from urllib.parse import urlsplit
import redis

def timed(call, *arguments, **named):
    began = time.perf_counter()
    call(*arguments, **named)
    return time.perf_counter() - began

def work(seconds):
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass

def reports(trial, count, pause):
    took = []
    for step in range(trial.start + 1, trial.start + 1 + count):
        work(pause)
        took.append(timed(trial.report, step, accuracy=step / 100_000))
    trial.start += count
    took.sort()
    return {{
        "median": statistics.median(took), "mean": statistics.mean(took),
        "p99": took[len(took) * 99 // 100], "longest": took[-1],
    }}

def bare(folder, data):
    if not data:
        return
    folder.mkdir()
    with (folder / "weights").open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())

def save(trial, data):
    with trial.save() as folder:
        if data:
            (folder / "weights").write_bytes(data)

def touch(path):
    with path.open("wb") as file:
        file.write(b"manifest")
        file.flush()
        os.fsync(file.fileno())

def saves(trial, folder, size, count=25):
    data = os.urandom(size)
    beyond, alone, digest, sync = [], [], [], []
    for number in range(count):
        alone.append(timed(bare, folder / f"bare-{{size}}-{{number}}", data))
        beyond.append(timed(save, trial, data) - alone[-1])
        digest.append(timed(hashlib.sha256, data))
        sync.append(timed(touch, folder / f"touched-{{size}}-{{number}}"))
    parts = {{"beyond": beyond, "bare": alone, "digest": digest, "sync": sync}}
    return {{name: statistics.median(took) for name, took in parts.items()}}

def train(trial):
    folder = Path(trial.config["folder"])
    client = redis.Redis.from_url(trial.config["url"])
    client.ping()
    told = {{
        "close": reports(trial, 20_000, 0),
        "training": reports(trial, 8_000, 0.0005),
        "round trip": statistics.median(timed(client.ping) for _ in range(2_000)),
        "saves": [saves(trial, folder, size) for size in {SIZES}],
    }}
    trial.report(trial.target, accuracy=1)
    (folder / "told.new").write_text(json.dumps(told))
    (folder / "told.new").rename(folder / "told")
"""


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as name:
        told = _told(Path(name))
    trip = f"round trip {told['round trip'] * 1e6:.0f}"
    close, training = told["close"], told["training"]
    yield Figure(
        "trial.report, one after another: median", close["median"] * 1e6, "µs", 20, beside=trip
    )
    yield Figure("… mean", close["mean"] * 1e6, "µs", 20)
    yield Figure(
        "trial.report while training: median",
        training["median"] * 1e6,
        "µs",
        20,
        beside=f"p99 {training['p99'] * 1e6:.0f}, longest {training['longest'] * 1e6:.0f}",
    )
    yield Figure("… mean", training["mean"] * 1e6, "µs", 20)
    for size, saved in zip(SIZES, told["saves"], strict=True):
        what = f"a file of {size / 1e6:.0f} MB" if size else "an empty folder"
        yield Figure(
            f"trial.save of {what}, beyond writing and syncing it",
            saved["beyond"] * 1e3,
            "ms",
            beside=f"bare {saved['bare'] * 1e3:.1f}, digest {saved['digest'] * 1e3:.1f}, "
            f"four syncs {saved['sync'] * 4e3:.1f}",
        )


def _told(folder: Path) -> dict[str, Any]:
    """What the program has measured."""
    server = Valkey(folder / "server")
    try:
        with Lab(server.url, folder) as lab:
            lab.worker()
            uid = lab.submit(PROGRAM, [{"url": server.url}], target=100_000, metric="accuracy")
            lab.wait_for(uid, "completed", seconds=120)
            told: dict[str, Any] = json.loads(lab.read("told"))
            return told
    finally:
        server.kill()
