"""Read by every Python process of a chaos cluster, as this folder is on its PYTHONPATH.

Rules

* The code under test knows nothing of this: its own functions are wrapped when the process starts.
* A *boundary* is an instant just before or after one step of the protocol, as `claim:after`. Where
  a file of this name lies in `armed/`, the first process that comes by moves it to `fired/` and
  kills itself with SIGKILL. The move is one rename, so that one file kills one process.
* What a decision or a stale write was answered is noted in `calls.jsonl`: who asked, when, and the
  answer. A process that is killed between the answer and the note has noted nothing.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

#: Variable that names the folder with `armed/`, `fired/` and `calls.jsonl`.
FOLDER = "ASHA_QUEUE_TEST_HOOKS"
#: Scripts whose every answer is noted.
DECISIONS = ("schedule", "finish")
#: Scripts that compare a token: what they refuse is noted.
FENCED = ("start", "checkpoint", "complete", "suspend", "fail")


def reach(folder: str, boundary: str) -> None:
    """Ends this process if the boundary is armed."""
    try:
        os.rename(f"{folder}/armed/{boundary}", f"{folder}/fired/{boundary}.{os.getpid()}")
    except OSError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def note(folder: str, **facts: Any) -> None:
    line = json.dumps({"pid": os.getpid(), **facts}) + "\n"
    with open(f"{folder}/calls.jsonl", "a") as calls:
        calls.write(line)


def install(hooks: str) -> None:
    """Wraps the store's scripts, the publisher and the writing of checkpoints."""
    from asha_queue.checkpoints import manifest
    from asha_queue.store.connection import Connection, called

    original, together, led = Connection.run, Connection.pipeline, dict[str, Any]()

    def heard(name: str, uid: str, answer: Any, begun: float) -> None:
        reach(hooks, f"{name}:after")
        if name in DECISIONS or (name in FENCED and answer == "stale"):
            note(hooks, script=name, uid=uid, answer=answer, begun=begun, at=time.monotonic())
        # by the term too: one that was frozen leads again, and never saw who led in between
        elif name == "lead" and led.get(uid) != answer[:2]:
            led[uid] = answer[:2]
            note(hooks, script=name, uid=uid, answer=answer[1], begun=begun, at=time.monotonic())

    def run(self: Connection, name: str, where: Sequence[str], *args: str | int) -> Any:
        reach(hooks, f"{name}:before")
        begun = time.monotonic()
        answer = original(self, name, where, *args)
        heard(name, where[0].rpartition(":")[2], answer, begun)
        return answer

    def pipeline(self: Connection, calls: Sequence[Sequence[Any]], blocks: bool = False) -> Any:
        scripts = [(called(call), call) for call in calls if called(call)]
        for name, _ in scripts:
            reach(hooks, f"{name}:before")
        begun = time.monotonic()
        answers = together(self, calls, blocks)
        by_call = dict(zip(map(id, calls), answers, strict=True))
        for name, call in scripts:
            heard(name, str(call[5]).rpartition(":")[2], by_call[id(call)], begun)
        return answers

    Connection.pipeline = pipeline  # type: ignore[method-assign]
    Connection.run = run  # type: ignore[method-assign]

    written = manifest.write

    def write(folder: Path, facts: dict[str, Any]) -> tuple[str, int]:
        reach(hooks, "save:before")
        record = written(folder, facts)
        reach(hooks, "save:after")  # the manifest is there, under a name that does not count yet
        return record

    manifest.write = write

    if "asha_queue.training.keeper" in sys.orig_argv:
        return  # it publishes nothing, and is meant to do without Celery
    from asha_queue.queue import Publisher

    published = Publisher.publish

    def publish(self: Publisher, *args: Any, **kwargs: Any) -> bool:
        reach(hooks, "publish:before")
        marked = published(self, *args, **kwargs)
        reach(hooks, "publish:after")
        return marked

    Publisher.publish = publish  # type: ignore[method-assign]


if FOLDER in os.environ:
    install(os.environ[FOLDER])
