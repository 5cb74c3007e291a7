"""Parts of Celery's worker where its own are slower or louder than they need to be."""

import logging
import time
from functools import partial
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery import bootsteps
from celery.worker.consumer import Consumer
from celery.worker.request import Request

#: Seconds between two looks for dead training processes.
REPLACE_EVERY = 0.25
#: Seconds until the broker is called again, at first and more each time, and at most.
RECONNECT = 0.2
RECONNECT_MAX = 2.0

log = logging.getLogger("asha_queue")


#: Seconds for which events about tasks are gathered, and then sent as one.
GATHER = 0.1


class SegmentConsumer(Consumer):  # type: ignore[misc]  # Celery ships no types
    """Comes back soon after an outage of the broker (Celery lets half a minute pass after a long
    one), and asks no other workers who they are, which takes a second each time.

    Events are sent behind the tasks. Celery would send the three of each task one by one, between
    two tasks, and the next one would wait for that.
    """

    _sent_by = 0.0

    def __init__(self, *args: Any, worker_options: dict[str, Any], **kwargs: Any) -> None:
        options = worker_options | {"without_gossip": True, "without_mingle": True}
        super().__init__(*args, worker_options=options, **kwargs)

    def ensure_connected(self, conn: Any) -> Any:
        conn.ensure_connection = partial(
            conn.ensure_connection,
            interval_start=RECONNECT,
            interval_step=RECONNECT,
            interval_max=RECONNECT_MAX,
        )
        return super().ensure_connected(conn)

    def on_send_event_buffered(self) -> None:
        now = time.monotonic()
        if now >= self._sent_by:  # not asked for, or forgotten when the connection was made anew
            self._sent_by = now + GATHER
            self.hub.call_later(GATHER, self._flush_events)


class QuickReplacement(bootsteps.StartStopStep):  # type: ignore[misc]
    """Replaces a dead training process soon. Celery wakes up when it dies, but often an instant too
    early to find it dead, and then looks again only every 5 s.

    Says how one died in the middle of a task to `worker.on_death`, a function of its pid and exit
    status (below 0: a signal), which nobody else is told.
    """

    requires = ("celery.worker.components:Pool",)

    def start(self, worker: Any) -> None:
        pool = worker.pool._pool
        lost = pool.on_job_process_lost

        def on_job_process_lost(job: Any, pid: int, status: int) -> None:
            worker.on_death(pid, status)
            lost(job, pid, status)

        pool.on_job_process_lost = on_job_process_lost

    def register_with_event_loop(self, worker: Any, hub: Any) -> None:
        hub.call_repeatedly(REPLACE_EVERY, worker.pool.maintain_pool)


class SegmentFailed(Exception):
    """A segment's failure, as events and Flower show it."""


class Recycle(SystemExit):
    """Raised by the task when its outcome is stored, to have the training process replaced; with a
    line for people, and whether the segment has failed."""


class SegmentRequest(Request):  # type: ignore[misc]
    """A delivered message; its task may end by `Recycle`, or with its process, and neither of them
    is a reason for a traceback in the worker's log. Events give the reason itself: Celery wraps it
    in an exception that shows nothing.
    """

    def acknowledge(self) -> None:
        self.acknowledged = True  # the queue wants to hear nothing (`queue.make_app`)

    def on_failure(
        self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        error = exc_info.exception
        error = getattr(error, "exc", error)  # unwrapped from ExceptionWithTraceback
        if isinstance(error, Recycle) and not error.args[1]:
            seconds = max(0.0, time.time() - (self.time_start or time.time()))
            return self.on_success((False, repr(error.args[0]), seconds))
        if isinstance(error, Recycle):
            exc_info, return_ok = _information(SegmentFailed(error.args[0])), True
        elif isinstance(error, WorkerLostError):
            log.warning("the training process died (%s); its keeper says what follows", error)
            exc_info, return_ok = _information(error), True
        return super().on_failure(exc_info, send_failed_event, return_ok)


def _information(error: Exception) -> ExceptionInfo:
    """An error that has happened elsewhere, without the place where it is told."""
    try:
        raise error
    except Exception:
        information = ExceptionInfo()
    information.exception, information.traceback = error, ""
    return information
