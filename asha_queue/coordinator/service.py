"""The coordinator service: drives every experiment of a store that nobody else leads.

Several may run. One leads each experiment; the others follow it, so that they can take it over as
soon as its leader's lease has run out. What is wrong with one experiment concerns it alone: it is
left alone for a while, and that is said in the log and to whoever asks who the coordinators are.

An experiment that has ended is returned to from time to time while a tracker lacks some of it.
"""

import logging
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from asha_queue.coordinator.drive import Drive
from asha_queue.coordinator.exports import falls_short
from asha_queue.coordinator.fleet import Fleet
from asha_queue.coordinator.loop import ENDED
from asha_queue.coordinator.loss import told
from asha_queue.coordinator.repair import Publisher
from asha_queue.errors import AshaQueueError, LostExperiment, StoreUnavailable, UnknownExperiment
from asha_queue.formats import version
from asha_queue.settings import FORMAT, TICK
from asha_queue.storage import AnyStorage, opened
from asha_queue.storage.patience import QUICK
from asha_queue.store.contract import Description, Store
from asha_queue.trackers.delivery import lacks

#: Seconds for which an experiment with an error of its own is left alone.
SET_ASIDE = 10.0
#: Seconds after which an ended experiment is returned to whose trackers lack some of it.
RETURN = 300.0

log = logging.getLogger("coordinator")


class Service:
    """Drives the experiments in `store`; `folder` says where the files of each one go. Trackers
    are told the `broker`, and load classes of the user's from the working directory."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        folder: Callable[[Description], AnyStorage],
        broker: str | None = None,
    ) -> None:
        self._store = store
        self._publisher = publisher
        self._folder = folder
        self._broker = broker
        self._fleet = Fleet(store)
        self._drives: dict[str, Drive] = {}
        self._aside: dict[str, float] = {}
        self._said: dict[str, str] = {}
        #: Experiments (by name) that are left alone, and why.
        self._left: dict[str, str] = {}
        #: What is wrong with the trackers of experiments (by name), as sentences.
        self._troubles: dict[str, list[str]] = {}
        #: When ended experiments are returned to whose trackers lack some of it.
        self._return_at: dict[str, float] = {}
        #: Ended experiments whose files are complete, and their last entry.
        self._whole: dict[str, str] = {}
        self._next_look = 0.0
        self.who = f"{socket.gethostname()}:{os.getpid()}"

    def step(self) -> None:
        """One turn for each experiment, then waits for the next event if nothing happened.

        Raises StoreUnavailable when the server does not answer: call again.
        """
        if time.monotonic() >= self._next_look:
            self._look()
            self._next_look = time.monotonic() + TICK
        turns = [self._turn(uid, drive) for uid, drive in list(self._drives.items())]
        if any(turns):
            return
        patience = max(0.0, self._next_look - time.monotonic())
        seen = {}
        for uid, drive in self._drives.items():
            seen[uid] = drive.coordinator.fold.seen
            patience = min(patience, drive.coordinator.patience)
        self._store.wait(seen, patience)

    def close(self) -> None:
        """Gives up every lead."""
        for drive in self._drives.values():
            drive.close()
        self._drives.clear()
        self._store.absent(self.who)

    def _look(self) -> None:
        """Takes up experiments that are open, or whose files lack their end, and says that this
        coordinator lives."""
        names = self._store.names()
        self._left = {name: reason for name, reason in self._left.items() if name in names}
        self._troubles = {name: said for name, said in self._troubles.items() if name in names}
        about = {"version": version(), "experiments": len(self._drives), "leaves": self._left}
        about |= {"trackers": {name: said for name, said in self._troubles.items() if said}}
        self._store.attend(self.who, {"format": FORMAT, **about})
        for name, uid in names.items():
            if uid in self._drives or self._aside.get(uid, 0.0) > time.monotonic():
                continue
            try:
                description = self._store.describe(uid)
                if self._whole.get(uid) == description.last:
                    continue
                folder = self._folder(description)
                ended = description.state in ENDED
                if ended and self._return_at.get(uid, 0.0) > time.monotonic():
                    continue
                if ended and not self._lacks(folder, description):
                    self._whole[uid] = description.last
                    self._troubles.pop(name, None)
                else:
                    self._drives[uid] = Drive(
                        *(self._store, self._publisher, uid, folder, self._broker),
                        roots=[Path.cwd()],
                        fleet=self._fleet,
                    )
                    log.info("%s: taken up, its files go to %s", name, folder)
            except UnknownExperiment:
                continue  # deleted meanwhile
            except StoreUnavailable:
                raise
            except (AshaQueueError, OSError) as error:
                self._set_aside(uid, name, error)

    def _turn(self, uid: str, drive: Drive) -> bool:
        name = drive.coordinator.fold.specification.name
        try:
            news = drive.turn()
            self._left.pop(name, None)
            self._troubles[name] = drive.troubles
            for sentence in drive.said():
                log.warning("%s: %s", name, sentence)
            if drive.coordinator.ended and drive.settled:
                log.info("%s: %s", name, drive.coordinator.fold.search.state)
                if drive.lacking:
                    self._return_at[uid] = time.monotonic() + RETURN
                self._drop(uid)
            return news
        except LostExperiment as error:
            log.error("%s", told(error, name, drive.folder))
            self._drop(uid)
        except UnknownExperiment:
            log.info("%s: deleted", name)
            self._drop(uid)
        except StoreUnavailable:
            raise
        except (AshaQueueError, OSError) as error:
            self._set_aside(uid, name, error)
        return True

    def _lacks(self, folder: AnyStorage, description: Description) -> bool:
        """Whether the files, or a tracker, of an ended experiment lack its end."""
        if falls_short(folder, description.last):
            return True
        trackers: list[str] = description.specification.get("trackers") or []
        tells = bool(trackers and self._broker)
        return tells and lacks(opened(folder, QUICK).local, description.uid, trackers)

    def _drop(self, uid: str) -> None:
        self._said.pop(uid, None)
        self._drives.pop(uid).close()

    def _set_aside(self, uid: str, name: str, error: Exception) -> None:
        """Leaves an experiment alone for a while, saying why, once."""
        if self._said.get(uid) != str(error):
            self._said[uid] = str(error)
            log.error("%s: %s", name, error)
        self._left[name] = str(error)
        self._aside[uid] = time.monotonic() + SET_ASIDE
        if uid in self._drives:
            self._drives.pop(uid).close()
