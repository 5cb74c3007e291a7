"""The keeper of a worker: a small process that outlives whatever happens to the training.

Rules

* It says that the worker lives, and renews the lease of the claimed segment. Nothing that the
  training process does, or that Celery's event loop fails to do, can keep it from that.
* It hears of a claim before the claim is made. When the training process dies it first ends what
  that has started, then gives the claim back, so that the segment is queued again at once.
* A program whose import ends the process, or does not end, is one that this node cannot run: the
  segment is refused, as after an import that raises.
* A segment that was given to another worker meanwhile ("stale") is ended here, by force. One that
  was cancelled gets CANCEL_GRACE to end by itself.
* A segment that trains, or is silent, for longer than its experiment allows has failed: its process
  prints its stack and is ended, and the failure is journalled here. Time in which the server does
  not answer is no such time (`pulse.py`).
* Answers to renewals and beats bring orders: a segment that is wanted back, a worker that is to
  end. The worker is then told as by anybody else, with SIGTERM.
* It reads and writes no file of the experiment's storage, which may hang; a thread of its own keeps
  the log short.
* It lives as long as the worker's main process. A server that does not answer never ends it: it
  goes on asking, on a new connection after each error.
* It imports no training code, and Celery only to say that a task died with its worker. If it is
  killed, the main process starts it again and the training process repeats what it holds.
"""

import contextlib
import json
import logging
import math
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from asha_queue.settings import CANCEL_GRACE, LEASE, RENEW_EVERY
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.training.calls import TRY_AGAIN, Calls
from asha_queue.training.children import Child, Held, Loading
from asha_queue.training.deaths import MemoryKills
from asha_queue.training.hearing import Hearing
from asha_queue.training.line import Granted
from asha_queue.training.loglimit import LogLimit
from asha_queue.training.processes import MARK, Watch, in_group, marked, marked_alike, sweep
from asha_queue.training.pulse import Reading

#: Seconds that the server may take to answer.
TIMEOUT = 3.0
#: Seconds for which the last calls are tried when the worker is gone.
LAST_CALLS = 5.0
#: Seconds for killed processes to be gone.
SWEEP = 5.0
#: Seconds of these for what removes the shared memory of the others.
TRACKERS = 1.0
#: Seconds by which the main process may be seen to die after the training process it takes along.
TOGETHER = 0.05
#: Seconds for which a claim may still be on its way to the store when its sender is dead.
ON_ITS_WAY = 0.1
#: Seconds for the main process to say how a training process died.
WORD = 0.5
#: Seconds for an overdue program to print its stack.
DUMP_GRACE = 1.0
#: Seconds after which a claim that is not ours any more is asked about again: it may have ended
#: well, and word of it be on its way here.
SURE = 0.2
#: Seconds between two looks where the kernel does not tell when a process ends.
LOOK_EVERY = 0.2

log = logging.getLogger("keeper")


class Keeper:
    """Keeps one worker: its presence, its lease and its processes."""

    def __init__(
        self,
        store: Store,
        worker: str,
        path: str,
        main: int,
        info: dict[str, Any],
        draining: bool,
        undrain: bool,
    ) -> None:
        self._store = store
        self._worker = worker
        self._path = path
        self._main = Watch(main)
        self._info = info
        self._draining = draining
        self._told = False
        self._to_end = False
        self._left = False
        self._beat_at = 0.0
        self._children: list[Child] = []
        #: Tasks that ended with the main process, which can tell nobody.
        self._died: list[str] = []
        self._calls = Calls(store)
        self._logs = LogLimit()
        if undrain:
            self._calls.owe(partial(store.undrain, worker))
        self._hearing = Hearing(path)
        self._hearing.add(self._main.descriptor)
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "_draining", True))

    def run(self) -> None:
        """Returns when the worker's main process is gone and nothing is left of it."""
        while not self._main.gone():
            self._listen_and_wait()
            for child in list(self._children):
                self._hear(child)
                if child.watch and child.watch.gone():
                    self._bury(child)
                elif of := child.held or child.loading:
                    self._limit(child, of)
            if self._draining and not self._told:
                self._told = True
                for child in self._children:
                    child.send({"drain": True})
            self._call_store()
        self._end()

    # -- lines -----------------------------------------------------------------------------------

    def _listen_and_wait(self) -> None:
        now = time.monotonic()
        due = [self._beat_at] if not self._draining else []
        for child in self._children:
            if child.died_at is not None:
                due.append(now if child.status is not None else child.died_at + WORD)
            elif child.held and child.held.granted:
                due += [child.held.kill_at or child.held.renew_at, child.due()]
            elif child.loading:
                due.append(child.loading.kill_at or child.due())
        if self._calls.owed or (self._draining and not self._left):
            due.append(now)
        pause = max(0.0, max(min(due, default=now + RENEW_EVERY), self._calls.silent_until) - now)
        if self._main.descriptor is None:
            pause = min(pause, LOOK_EVERY)
        self._children += map(Child, self._hearing.wait(pause))

    def _hear(self, child: Child) -> None:
        connection = child.connection
        for message in child.receive():
            if "hello" in message:
                self._welcome(child, message["hello"], message["mark"])
            elif "loading" in message:
                child.loading = Loading(**message["loading"])
            elif "claiming" in message:
                child.loading = None
                child.held = Held(**message["claiming"])
            elif "claimed" in message and child.held:
                child.held.granted = Granted(**message["claimed"])
                self._logs.begin(Path(child.held.granted.log))
                child.held.renew_at = time.monotonic() + RENEW_EVERY
            elif "saved" in message and child.held:
                child.held.saved = message["saved"]
            elif "done" in message:
                if child.held and child.held.granted:
                    self._logs.end(Path(child.held.granted.log))
                child.held = child.loading = None
                if child.memory_kills:
                    child.memory_kills.forget()
            elif "ended" in message:
                for ended in self._children:
                    if ended.watch and ended.watch.pid == message["ended"]:
                        ended.status = message["status"]
        if connection and not child.connection:
            self._hearing.close(connection)
            if child.watch is None:
                self._children.remove(child)

    def _welcome(self, child: Child, pid: int, mark: str) -> None:
        for earlier in [c for c in self._children if c.watch and c.watch.pid == pid]:
            self._forget(earlier)  # the same process on a new line
        child.watch = Watch(pid)
        child.mark = mark
        with contextlib.suppress(OSError, ValueError):  # it has died already
            child.pulse = Reading(self._path, pid)
        child.memory_kills = MemoryKills(pid)
        self._hearing.add(child.watch.descriptor)
        # of one that died together with its keeper
        sweep(marked_alike(MARK, mark), seconds=SWEEP, trackers=TRACKERS)
        if self._draining:
            child.send({"drain": True})

    def _forget(self, child: Child) -> None:
        self._children.remove(child)
        if child.connection:
            self._hearing.close(child.connection)
            child.close()
        if child.watch:
            if child.died_at is None:
                self._hearing.drop(child.watch.descriptor)
            child.watch.close()
            child.watch = None

    # -- deaths ----------------------------------------------------------------------------------

    def _limit(self, child: Child, of: Held | Loading) -> None:
        """Ends what was cancelled and goes on, and what is overdue."""
        now = time.monotonic()
        if of.kill_at is None:
            if error := child.overdue(now):
                log.warning("trial %d is ended: %s", of.trial, error)
                of.error, of.kill_at = error, now + DUMP_GRACE
                child.abort()
        elif now >= of.kill_at:
            of.kill_at = math.inf
            if not of.error:
                log.warning("trial %d was cancelled and goes on: killed", of.trial)
                child.held = None  # the store has closed it
            self._kill(child)

    def _bury(self, child: Child) -> None:
        """Ends what a dead training process left running, then gives back what it held."""
        assert child.watch
        if child.died_at is None:
            self._hear(child)  # what it said last is still in the socket
            self._hearing.drop(child.watch.descriptor)
            child.died_at = time.monotonic()
            child.together = self._main.gone(TOGETHER)
            self._sweep(child)
        if of := child.held or child.loading:
            wordless = child.status is None and not of.error
            if wordless and not self._main.gone() and time.monotonic() < child.died_at + WORD:
                return
            if isinstance(of, Held):
                self._owe_end(child, of)
            elif not child.together and not self._draining:
                self._owe_refusal(child, of)
        if child.pulse:
            child.pulse.remove()
        self._forget(child)

    def _owe_end(self, child: Child, held: Held) -> None:
        """Has the store told how the segment of a dead process ended."""
        if held.granted:
            self._logs.end(Path(held.granted.log))
        if held.error and held.granted:
            reached = child.pulse.reached if child.pulse else 0
            outcome = (held.granted.token, held.error, reached, held.saved)
            self._calls.owe(partial(self._store.fail, held.uid, held.trial, *outcome))
            return
        asked = child.together or self._draining
        reason = (
            f"the worker was ended on {self._worker}"
            if asked
            else f"the training process died on {self._worker}{child.cause()}"
        )
        self._owe_release(held, reason, counts=not asked)
        if child.together:
            self._died.append(held.task)

    def _owe_refusal(self, child: Child, of: Loading) -> None:
        """Has the store told that a program cannot even be imported here."""
        reason = of.error or f"the program ended its process while it was imported{child.cause()}"
        log.warning("trial %d is refused: %s", of.trial, reason)
        segment = (of.uid, of.trial, of.rung, of.attempt)
        self._calls.owe(partial(self._store.refuse, *segment, self._worker, reason))

    def _kill(self, child: Child) -> None:
        """Ends a training process by force; what it has started is swept then."""
        assert child.watch
        with contextlib.suppress(OSError):
            os.kill(child.watch.pid, signal.SIGKILL)

    def _sweep(self, child: Child) -> None:
        assert child.watch
        conditions = in_group(child.watch.pid), marked(MARK, child.mark)
        if not sweep(*conditions, seconds=SWEEP, trackers=TRACKERS):
            log.warning("some processes of %s cannot be killed", self._worker)

    def _owe_release(self, held: Held, reason: str, counts: bool) -> None:
        log.warning("trial %d is given back: %s", held.trial, reason)

        def release() -> None:
            # a store that was restored knows the token, and not the claim
            name = held.granted.token if held.granted else held.claim
            answer = self._store.release(held.uid, held.trial, name, reason, counts)
            if answer == "stale" and not held.granted:
                time.sleep(ON_ITS_WAY)
                self._store.release(held.uid, held.trial, held.claim, reason, counts)

        self._calls.owe(release)

    def _end(self) -> None:
        """The main process is gone: so must be everything that it has started."""
        for child in [child for child in self._children if child.watch]:
            self._bury(child)  # at once: nobody is there to wait for
        with contextlib.suppress(OSError):
            shutil.rmtree(os.path.dirname(self._path))
        if not self._draining:  # a message may have died with it, too
            release = partial(self._store.release_worker, self._worker, "the worker died")
            self._calls.owe(release)
        if not self._left:
            self._calls.owe(partial(self._store.leave, self._worker))
        deadline = time.monotonic() + LAST_CALLS
        while self._calls.owed and time.monotonic() < deadline:
            self._calls.pay()
            time.sleep(0.01 if self._calls.silent_until < time.monotonic() else TRY_AGAIN)
        if self._died and not self._calls.owed:
            _tell(self._worker, self._died)

    # -- the store -------------------------------------------------------------------------------

    def _call_store(self) -> None:
        if time.monotonic() < self._calls.silent_until:
            return
        self._calls.pay()
        if self._calls.owed:
            return
        if self._draining and not self._left:
            self._left = self._calls.ask(partial(self._store.leave, self._worker))
        if not self._draining and time.monotonic() >= self._beat_at and self._calls.ask(self._beat):
            self._beat_at = time.monotonic() + RENEW_EVERY
        for child in self._children:
            held = child.held
            if held and held.granted and not held.kill_at and time.monotonic() >= held.renew_at:
                self._renew(child, held, held.granted.token)

    def _beat(self) -> None:
        drained = self._store.beat(self._worker, self._info)
        if drained and not self._to_end:
            self._to_end = True
            log.info("%s is drained", self._worker)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._main.pid, signal.SIGTERM)

    def _renew(self, child: Child, held: Held, token: int) -> None:
        answers: list[str] = []
        renew = partial(self._store.renew, held.uid, held.trial, token)
        if not self._calls.ask(lambda: answers.append(renew())):
            return
        now = time.monotonic()
        [answer] = answers
        held.renew_at = now + (SURE if answer == "stale" else RENEW_EVERY)
        held.stale_since = (held.stale_since or now) if answer == "stale" else None
        held.unknown_since = (held.unknown_since or now) if answer == "unknown" else None
        if answer in ("drain", "cancel"):
            child.send({"order": answer, "token": token})
        if answer == "cancel":
            held.kill_at = now + CANCEL_GRACE
        stale = held.stale_since is not None and now - held.stale_since >= SURE
        # a store that was restored from a backup may know it again in a moment
        unknown = held.unknown_since is not None and now - held.unknown_since >= LEASE
        if stale or unknown:
            why = "is not known any more" if unknown else "belongs to another worker now"
            log.warning("trial %d %s: its training is ended", held.trial, why)
            child.held = None
            self._kill(child)


def _tell(worker: str, tasks: list[str]) -> None:
    """Shows the tasks that died with their worker as failed: it cannot say so any more."""
    # half a second of imports and some memory, which only a keeper that ends so has to spend
    from asha_queue.queue import Events

    events = Events(os.environ["ASHA_QUEUE_BROKER"], worker)
    for task in tasks:
        events.failed(task, f"WorkerLost('{worker} was ended while it trained this segment')")


def main(configuration: str) -> None:
    """Runs a keeper: `configuration` is a JSON object with the arguments of `Keeper`, the broker is
    in ASHA_QUEUE_BROKER (a command line would show its password)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the end of the worker is its end
    logging.basicConfig(format="%(asctime)s keeper: %(message)s", level=logging.INFO)
    store = connect(os.environ["ASHA_QUEUE_BROKER"], TIMEOUT)
    Keeper(store, **json.loads(configuration)).run()


if __name__ == "__main__":
    main(sys.argv[1])
