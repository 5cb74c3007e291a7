"""Answers in JSON: the base of the API's handlers.

Rules

* Open to whoever may see Flower's pages: to those who are logged in, if there is a login.
  FLOWER_UNAUTHENTICATED_API opens nothing here, and is not needed to read.
* Everything that asks the store, and all writing of JSON, is done in threads.
* Whatever goes wrong is {"error": sentence}.
* JSON has no NaN and no infinities: they are texts, as in the journal.
"""

import asyncio
import http.client
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, Final

import msgspec
from flower.views import BaseHandler
from tornado.web import HTTPError

from asha_queue.dashboard.answer import Asked, Packed, pack, send
from asha_queue.dashboard.experiments import Experiments
from asha_queue.errors import (
    AshaQueueError,
    ChoiceError,
    ExperimentEnded,
    NotAllowed,
    OrderError,
    StoreUnavailable,
    UnknownExperiment,
    UnknownWorker,
)
from asha_queue.store.journal import encode

JSON: Final = "application/json; charset=UTF-8"

#: The HTTP status of each error; the first that fits.
_STATUS: Final = (
    (UnknownExperiment, 404),
    (UnknownWorker, 404),
    (ExperimentEnded, 409),
    (OrderError, 400),
    (ChoiceError, 400),
    (NotAllowed, 403),
    (StoreUnavailable, 503),
    (AshaQueueError, 500),
)


class Refused(HTTPError):
    """An HTTP error with the sentence that the client is told."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(status)
        self.sentence = sentence


class ApiHandler(BaseHandler):  # type: ignore[misc]  # Flower has no types
    """Base of what answers with JSON."""

    def initialize(self, experiments: Experiments, executor: Executor) -> None:
        self.experiments = experiments
        self._executor = executor

    def prepare(self) -> None:
        if not self.current_user:
            raise Refused(401, "log in first: this Flower has a login")

    async def answer(self, look: Callable[[], Any], kind: str = JSON) -> None:
        """Sends what `look` returns (bytes are of that kind already), or why it cannot be had."""
        loop = asyncio.get_running_loop()
        status, packed = await loop.run_in_executor(
            self._executor, _packed, look, kind, Asked.by(self)
        )
        self.set_status(status)
        send(self, packed)

    def write_error(self, status_code: int, **about: Any) -> None:
        error = about.get("exc_info", (None, None))[1]
        sentence = getattr(error, "sentence", None) or getattr(error, "log_message", None)
        if status_code == 401 and self.application.options.basic_auth:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
            sentence = sentence or "log in first: no such user and password"
        elif status_code == 500:
            sentence = "this is a bug: Flower's log says more"
        elif status_code == 405:
            sentence = f"{self.request.method} is not for this address"
        sentence = sentence or http.client.responses.get(status_code, "it failed")
        self.set_header("Content-Type", JSON)
        self.finish(msgspec.json.encode({"error": sentence}))


def _packed(look: Callable[[], Any], kind: str, asked: Asked) -> tuple[int, Packed]:
    try:
        found = look()
    except AshaQueueError as error:
        status = next(code for one, code in _STATUS if isinstance(error, one))
        return status, pack(msgspec.json.encode({"error": str(error)}), JSON)
    body = found if isinstance(found, bytes) else encode(found).encode()
    return 200, pack(body, kind, asked)
