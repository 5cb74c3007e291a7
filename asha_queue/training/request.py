"""How Celery's main process takes the end of a training process: in one line, not a traceback."""

import logging
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.worker.request import Request

log = logging.getLogger("asha_queue")


class SegmentFailed(Exception):
    """A segment's failure, as events and Flower show it."""


class Recycle(SystemExit):
    """Raised by the task when its outcome is stored, to have the training process replaced."""


class SegmentRequest(Request):  # type: ignore[misc]  # Celery ships no types
    """A delivered message; its task may end by `Recycle`, or with its process."""

    def on_failure(
        self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False
    ) -> Any:
        error = exc_info.exception
        error = getattr(error, "exc", error)  # unwrapped from ExceptionWithTraceback
        if isinstance(error, Recycle):
            exc_info, return_ok = _information(SegmentFailed(*error.args)), True
        elif isinstance(error, WorkerLostError):
            log.warning("the training process died (%s); its keeper gives the segment back", error)
            return_ok = True
        return super().on_failure(exc_info, send_failed_event, return_ok)


def _information(error: Exception) -> ExceptionInfo:
    try:
        raise error
    except Exception:
        return ExceptionInfo()
