"""The Celery task, and what a worker does when it starts, forks and ends.

The worker's main process imports no training code: it starts the keeper and forks the training
process, which loads programs, and which is forked again after a failure.
"""

import json
import logging
import multiprocessing.process
import os
import secrets
import sys
import warnings
from itertools import takewhile
from pathlib import Path
from typing import Any

from celery import Celery, Task, signals
from celery.concurrency.prefork import TaskPool
from celery.exceptions import CPendingDeprecationWarning

from asha_queue import where
from asha_queue.errors import MessageError
from asha_queue.formats import version
from asha_queue.queue import TASK, Events
from asha_queue.store import connect
from asha_queue.training import memory
from asha_queue.training.line import Line
from asha_queue.training.live import LiveReports
from asha_queue.training.messages import read_message
from asha_queue.training.parts import QuickReplacement, Recycle
from asha_queue.training.processes import ABOUT, LAUNCHER, MARK, adopt_orphans
from asha_queue.training.pulse import Pulse
from asha_queue.training.rest import Rest
from asha_queue.training.runner import run_segment
from asha_queue.training.site import Site
from asha_queue.training.supervisor import Supervisor

#: Values of CUDA_VISIBLE_DEVICES that show no device; without it a worker is pinned to none.
NO_DEVICE = ("", "-1", "NoDevFiles")

log = logging.getLogger("asha_queue")

_broker = ""
_supervisor: Supervisor | None = None
_site: Site | None = None


def install(app: Celery, broker: str) -> None:
    """Adds the task to `app`, and has its workers start keepers and prepare their processes."""
    global _broker
    _broker = broker
    request = "asha_queue.training.parts:SegmentRequest"
    app.task(train_segment, bind=True, name=TASK, Request=request)
    app.conf.worker_consumer = "asha_queue.training.parts:SegmentConsumer"
    app.steps["worker"].add(QuickReplacement)
    signals.worker_init.connect(_on_worker)
    signals.worker_process_init.connect(_on_process)
    signals.worker_process_shutdown.connect(_on_process_end)
    signals.worker_shutting_down.connect(_on_drain)
    signals.worker_shutdown.connect(_on_end)
    # it advises an option that would cancel what is being trained when the broker is lost
    warnings.simplefilter("ignore", CPendingDeprecationWarning)


def train_segment(task: Task, *_: Any, **said: Any) -> str:
    """Trains the segment that a message names, if it can be claimed; returns a line for Flower.

    Whoever may write to the broker may have written anything: it is read, and refused, here. A
    later version may say more than it reads (`formats.py`)."""
    assert _site
    try:
        message = read_message(said, task.request.id)
    except MessageError as error:
        log.warning("task %s is not run: %s", task.request.id, error)
        return f"not run: {error}"
    ending = run_segment(_site, message)
    memory.free()
    if ending.rest:
        _site.rest.take(ending.rest, task.request.id, ending.text)
    if ending.failed or ending.replace:
        raise Recycle(f"trial {message.trial} {ending.text}", ending.failed)
    return f"trial {message.trial} {ending.text}"


def device() -> str:
    """ "cuda" in a worker that is pinned to GPUs, else "cpu"."""
    return "cpu" if os.environ.get("CUDA_VISIBLE_DEVICES", "") in NO_DEVICE else "cuda"


def devices() -> int:
    """How many GPUs this worker is pinned to; 1 on the CPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    # CUDA reads no further than -1
    return len(list(takewhile(lambda one: one.strip() != "-1", visible))) or 1


def _on_worker(sender: Any, **_: Any) -> None:
    """In the main process, before anything is forked."""
    global _supervisor
    pool = sender.pool_cls
    prefork = pool == "prefork" or (isinstance(pool, type) and issubclass(pool, TaskPool))
    if not prefork or sender.concurrency != 1 or sender.options.get("autoscale"):
        sys.exit(
            "asha-queue: a worker trains one segment at a time, in the prefork pool with "
            "concurrency 1; start several workers with `asha-queue worker --workers N`"
        )
    info = {
        "host": sender.hostname.rpartition("@")[2],
        "pid": os.getpid(),
        "device": os.environ["CUDA_VISIBLE_DEVICES"] if device() == "cuda" else "cpu",
        "version": version(),
        "queues": sorted(sender.app.amqp.queues.consume_from),
        "programs": [str(root) for root in _roots()],
        **json.loads(os.environ.get(ABOUT, "{}")),
    }
    try:
        _supervisor = Supervisor(_broker, sender.hostname, info, LAUNCHER not in os.environ)
    except OSError as error:
        sys.exit(f"asha-queue: the worker's keeper cannot be started: {error}")
    sender.on_death = _supervisor.ended
    # what multiprocessing puts into a folder of its own goes when the keeper goes, killed or not
    configuration = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    configuration["tempdir"] = str(Path(_supervisor.path).parent)


def _on_drain(**_: Any) -> None:
    """In a signal handler of the main process."""
    if _supervisor:
        _supervisor.drain()


def _on_process(sender: str, **_: Any) -> None:
    """In a new training process."""
    global _site
    assert _supervisor
    os.setpgid(0, 0)  # so that the keeper can end it with all that it starts
    adopt_orphans()
    mark = f"{_supervisor.token}:{secrets.token_hex(4)}"
    os.environ[MARK] = mark
    for variable in where.VARIABLES:  # programs print their environment, and commands inherit it
        os.environ.pop(variable, None)
    _allow_children()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    store = connect(_broker)
    pulse = Pulse(_supervisor.path)  # before the line, by which the keeper comes to know of it
    line, live = Line(_supervisor.path, mark), LiveReports(store, Events(_broker, sender))
    _site = Site(
        store=store,
        worker=sender,
        roots=_roots(),
        device=device(),
        devices=devices(),
        line=line,
        live=live,
        pulse=pulse,
        rest=Rest(line, live),
    )


def _on_process_end(pid: int, exitcode: int, **_: Any) -> None:
    """In a training process that ends in good order: Celery would let it sleep for a second."""
    _leave(exitcode)


def _on_end(sender: Any, **_: Any) -> None:
    """In the main process when all is done: Celery would go on tidying up for a second or two."""
    _leave(sender.exitcode or 0)


def _leave(code: int) -> None:
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


def _allow_children() -> None:
    """Lets training code start processes, as DataLoader(num_workers=2) does: those of a pool are
    daemons to `multiprocessing`, which may not have children."""
    configuration = multiprocessing.process.current_process()._config  # type: ignore[attr-defined]
    configuration["daemon"] = False
    key = bytes(configuration.get("authkey") or secrets.token_bytes(32))
    configuration["authkey"] = multiprocessing.process.AuthenticationString(key)  # type: ignore[attr-defined]


def _roots() -> list[Path]:
    folders = os.environ.get("ASHA_QUEUE_PROGRAMS") or os.getcwd()
    return [Path(folder).absolute() for folder in folders.split(os.pathsep)]
