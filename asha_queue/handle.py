"""`Handle`: an experiment in a store, from anywhere: look at it, wait for it, steer it."""

import getpass
import socket
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asha_queue import where
from asha_queue.coordinator.exports import JOURNAL_FILE
from asha_queue.coordinator.fold import FullFold
from asha_queue.coordinator.loss import remedy, told
from asha_queue.errors import AshaQueueError, LostExperiment, UnknownExperiment
from asha_queue.result import Best, Result
from asha_queue.store import connect
from asha_queue.store.contract import Changed, Store
from asha_queue.views import LivePoints, overview


class Handle:
    """One experiment, by its uid: what a name points to may be deleted and made anew."""

    def __init__(self, store: Store, uid: str) -> None:
        self._store = store
        self._fold = FullFold(store, uid)
        self._live = LivePoints(store, uid)
        self.uid = uid
        self.name = self._fold.specification.name

    @classmethod
    def of(cls, name: str, broker: str | None = None) -> "Handle":
        """The experiment called `name` on a broker: the one given, ASHA_QUEUE_BROKER or
        CELERY_BROKER_URL, or the running embedded server of this directory."""
        place = where.broker(broker)
        if place is None:
            raise AshaQueueError("no broker: give broker=URL, or set ASHA_QUEUE_BROKER")
        store = connect(place.url)
        return cls(store, uid_of(store, name))

    def result(self) -> Result:
        """The trials so far."""
        try:
            self._fold.catch_up()
        except LostExperiment as error:
            root = Path(where.storage(None, self._fold.specification.storage).url)
            raise told(error, self.name, root / self.name) from None
        return self._fold.result

    def best(self) -> Best | None:
        """The best trial so far."""
        return self.result().best

    def status(self) -> dict[str, Any]:
        """The experiment at a glance, as `asha-queue status NAME --json` prints it."""
        return overview(self.result(), self._store.workers(), self._live.refresh())

    def wait(self, seconds: float | None = None) -> Result:
        """Waits until the experiment has ended, and returns its result.

        Raises TimeoutError after `seconds`; the experiment goes on.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        while (result := self.result()).state not in ("finished", "cancelled"):
            left = 1.0 if deadline is None else min(1.0, deadline - time.monotonic())
            if left <= 0:
                raise TimeoutError(f"experiment {self.name} has not ended within {seconds:g} s")
            self._store.wait({self.uid: self._fold.seen}, left)
        return result

    def pause(self, *, now: bool = False, reason: str = "") -> None:
        """Starts no segment any more; those that run go on to their end, or with `now` save and
        are handed back."""
        self._expect("pause", self._store.pause(self.uid, _request(), me(), reason, now))

    def resume(self, *, reason: str = "") -> None:
        """Goes on after a pause."""
        self._expect("resume", self._store.resume(self.uid, _request(), me(), reason))

    def cancel(self, *, reason: str = "") -> None:
        """Ends the experiment for good; what runs is ended within seconds."""
        self._expect("cancel", self._store.cancel(self.uid, _request(), me(), reason))

    def extend(
        self, *, num_samples: int | None = None, max_t: int | None = None, reason: str = ""
    ) -> None:
        """Raises `num_samples` or `max_t` to these values, also of a finished experiment. A higher
        `max_t` is a new rung: the best of the old top are promoted into it."""
        changed = {
            name: value
            for name, value in (("num_samples", num_samples), ("max_t", max_t))
            if value is not None
        }
        self.result()
        present = self._fold.specification.to_json() | self._store.describe(self.uid).extended
        for name, value in changed.items():
            if value < present[name]:
                raise AshaQueueError(
                    f"{name}={value}: experiment {self.name} has {present[name]}, "
                    f"and can only be extended to more"
                )
        if not changed:
            raise AshaQueueError("nothing to extend: give num_samples, max_t or both")
        self._expect("extend", self._store.extend(self.uid, _request(), me(), reason, changed))

    def retry(self, trials: Sequence[int] | None = None) -> list[int]:
        """Tries failed trials again (default: all of them); returns those that had failed."""
        if self.result().state == "cancelled":
            self._expect("retry", "cancelled")
        return self._store.retry(self.uid, _request(), me(), None if trials is None else [*trials])

    def _expect(self, verb: str, answer: Changed) -> None:
        if answer == "unknown":
            self.result()  # raises, saying more
            raise UnknownExperiment(f"experiment {self.name} was deleted")
        if answer in ("finished", "cancelled"):
            raise AshaQueueError(
                f"cannot {verb} experiment {self.name}: it is {answer}"
                + ("; extend it to go on" if answer == "finished" else "")
            )


def uid_of(store: Store, name: str) -> str:
    """The uid of the experiment called `name`; UnknownExperiment names those there are."""
    uid = store.uid(name)
    if uid is None:
        path = Path(where.storage().url) / name / JOURNAL_FILE
        if path.exists():
            raise LostExperiment(
                f"no experiment on this server is called {name!r}: it lost its data, or it is "
                f"another server. {remedy(path)}"
            )
        known = ", ".join(sorted(store.names())) or "none"
        raise UnknownExperiment(f"no experiment is called {name!r}; there are: {known}")
    return uid


def _request() -> str:
    return uuid.uuid4().hex


def me() -> str:
    """Who gives an order, for the journal: user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
