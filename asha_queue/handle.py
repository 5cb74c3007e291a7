"""`Handle`: an experiment in a store, from anywhere: look at it, wait for it, steer it."""

import getpass
import re
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from asha_queue import where
from asha_queue.coordinator.exports import JOURNAL_FILE
from asha_queue.coordinator.fold import FullFold
from asha_queue.coordinator.loss import remedy, told
from asha_queue.errors import (
    AshaQueueError,
    ExperimentEnded,
    LostExperiment,
    OrderError,
    ProtocolError,
    SpecificationError,
    UnknownExperiment,
    UnknownWorker,
)
from asha_queue.result import Best, Result
from asha_queue.search.limits import EXTENDABLE, modes_of, raised
from asha_queue.settings import NAME
from asha_queue.specification.budgets import extension
from asha_queue.storage import opened
from asha_queue.storage.patience import QUICK
from asha_queue.store import connect
from asha_queue.store.contract import Changed, Description, Store
from asha_queue.views import LivePoints, overview


class Handle:
    """One experiment, by its uid: what a name points to may be deleted and made anew.

    `by` gives the orders, for the journal: by default this user on this host. Orders read no
    journal, however long it is.
    """

    def __init__(self, store: Store, uid: str, by: str | None = None) -> None:
        self._store = store
        self._by = by or me()
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
        with self._told():
            self._fold.catch_up()
        return self._fold.result

    def describe(self) -> Description:
        """What the store says of it as a whole."""
        with self._told():
            return self._store.describe(self.uid)

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
        self._expect("pause", self._store.pause(self.uid, _request(), self._by, reason, now))

    def resume(self, *, reason: str = "") -> None:
        """Goes on after a pause."""
        self._expect("resume", self._store.resume(self.uid, _request(), self._by, reason))

    def cancel(self, *, reason: str = "") -> None:
        """Ends the experiment for good; what runs is ended within seconds."""
        self._expect("cancel", self._store.cancel(self.uid, _request(), self._by, reason))

    def extend(
        self,
        *,
        num_samples: int | None = None,
        max_t: int | None = None,
        time_budget: float | str | None = None,
        resource_budget: int | None = None,
        stop_at: float | Mapping[str, float] | None = None,
        reason: str = "",
    ) -> None:
        """Raises these to new values, also of a finished experiment. A higher `max_t` is a new
        rung: the best of the old top are promoted into it. A higher budget goes on with what was
        handed back when the old one was used; of `stop_at` the metrics that are not named stay.
        """
        given = (num_samples, max_t, time_budget, resource_budget, stop_at)
        changed = self._raised(dict(zip(EXTENDABLE, given, strict=True)))
        try:
            answer = self._store.extend(self.uid, _request(), self._by, reason, changed)
        except ProtocolError as error:  # another has extended it further meanwhile
            raise OrderError(f"experiment {self.name}: {error}") from None
        self._expect("extend", answer)

    def _raised(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The values that are given, all of them found to be at least the present ones."""
        fields = self._fold.specification.model_dump() | self.describe().extended
        changed = {name: value for name, value in given.items() if value is not None}
        if not changed:
            raise OrderError(f"nothing to extend: give one or several of {', '.join(given)}")
        try:
            changed = extension(changed, fields)
        except SpecificationError as error:
            raise OrderError(str(error)) from None
        for name, value in changed.items():
            if fields[name] is None:
                raise OrderError(
                    f"{name}={value}: experiment {self.name} has none that could be raised"
                )
            if raised(name, fields[name], value, modes_of(fields)) < 0:
                raise OrderError(
                    f"{name}={value}: experiment {self.name} has {fields[name]}, "
                    f"and can only be extended to more"
                )
        return changed

    def retry(self, trials: Sequence[int] | None = None) -> list[int]:
        """Tries failed trials again (default: all of them); returns those that had failed."""
        if self.describe().state == "cancelled":
            self._expect("retry", "cancelled")
        which = None if trials is None else [*trials]
        with self._told():
            return self._store.retry(self.uid, _request(), self._by, which)

    def _expect(self, verb: str, answer: Changed) -> None:
        if answer == "unknown":
            self.describe()  # raises, saying more
            raise UnknownExperiment(f"experiment {self.name} was deleted")
        if answer in ("finished", "cancelled"):
            raise ExperimentEnded(
                f"cannot {verb} experiment {self.name}: it is {answer}"
                + ("; extend it to go on" if answer == "finished" else "")
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Says of an experiment that the store has lost where its journal is."""
        try:
            yield
        except LostExperiment as error:
            root = opened(where.storage(None, self._fold.specification.storage).url, QUICK)
            raise told(error, self.name, root.below(self.name)) from None


def drain(store: Store, targets: Sequence[str], by: str) -> list[str]:
    """Has workers, each named itself or by its host, save, hand back and end; returns them.

    Raises UnknownWorker for a target that is neither, and drains none then.
    """
    alive = [worker.name for worker in store.workers()]
    named: dict[str, None] = {}
    for target in targets:
        found = [name for name in alive if target in (name, name.partition("@")[2])]
        if not found:
            raise UnknownWorker(
                f"no worker and no host is called {target!r}; alive are: "
                + (", ".join(alive) or "none")
            )
        named |= dict.fromkeys(found)
    store.drain([*named], by)
    return [*named]


def uid_of(store: Store, name: str) -> str:
    """The uid of the experiment called `name`; UnknownExperiment names those there are."""
    uid = store.uid(name)
    if uid is None and re.fullmatch(NAME, name):  # else it may lead out of the storage
        root = opened(where.storage().url, QUICK)
        path = root.at(f"{name}/{JOURNAL_FILE}")
        if root.exists(f"{name}/{JOURNAL_FILE}"):
            raise LostExperiment(
                f"no experiment on this server is called {name!r}: it lost its data, or it is "
                f"another server. {remedy(path)}"
            )
    if uid is None:
        known = ", ".join(sorted(store.names())) or "none"
        raise UnknownExperiment(f"no experiment is called {name!r:.80}; there are: {known}")
    return uid


def _request() -> str:
    return uuid.uuid4().hex


def me() -> str:
    """Who gives an order, for the journal: user@host."""
    return f"{getpass.getuser()}@{socket.gethostname()}"
