"""Running an experiment: here, to its end, or by a coordinator that is elsewhere."""

import contextlib
import math
import secrets
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from asha_queue import samplers, trackers, where
from asha_queue.coordinator.drive import Drive
from asha_queue.coordinator.exports import JOURNAL_FILE
from asha_queue.coordinator.loss import remedy, told
from asha_queue.errors import (
    LostExperiment,
    NotAllowed,
    SpecificationError,
    StoreUnavailable,
    UnknownExperiment,
)
from asha_queue.handle import Handle
from asha_queue.local.flower import Flower
from asha_queue.local.site import Local
from asha_queue.prior import informed
from asha_queue.queue import QUEUE, Publisher
from asha_queue.result import Result
from asha_queue.settings import TICK
from asha_queue.specification import Specification
from asha_queue.storage import AnyStorage, Storage, opened, required
from asha_queue.storage.patience import QUICK
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.terminal.view import View, view
from asha_queue.views import LivePoints, overview

#: Seconds between two pictures of the live view.
SHOW_EVERY = 0.25
#: Seconds that reading a long journal for a picture may keep decisions waiting.
SHOW_WITHIN = 0.1
#: Seconds without a worker after which the run says so.
HINT_AFTER = 10.0
#: Seconds between two looks at trackers that have not been told all of an ended experiment.
WAIT_TO_SETTLE = 0.1
#: Seconds between two attempts to reach a store that does not answer.
TRY_AGAIN = 0.3


class Interrupted(KeyboardInterrupt):
    """Raised in a run that was asked to end, by Ctrl-C or SIGTERM; nothing finished is lost."""


def run(
    specification: Specification,
    roots: list[Path],
    *,
    workers: int | None,
    broker: str | None,
    storage: str | None,
    fresh: bool,
    flower: bool,
    progress: View | None,
) -> Result:
    """Runs an experiment, its program found below `roots`, to its end; see `Experiment.run`."""
    place = where.storage(storage, specification.storage)
    shown = progress or view()
    cluster = where.broker(broker, embedded=False)
    if cluster and workers is not None:
        raise SpecificationError(
            f"workers = {workers} starts workers on this machine, but {cluster} is served by "
            f"workers of its own. Leave one of the two out."
        )
    if cluster:
        specification = _stored_at(specification, storage)
    folder = required(place.url, QUICK).below(specification.name)  # before anything is started
    with _signals(), contextlib.closing(shown):
        local: Local | None = None
        watched: Flower | None = None
        try:
            if cluster:
                server = cluster
            else:
                queues = [*specification.every_queue, QUEUE]  # guests may use the usual one
                local = Local(Path.cwd(), workers, roots, place.url, [*dict.fromkeys(queues)])
                server = where.Where(local.start(), "embedded server")
            if flower:
                watched = Flower(server.url)
                watched.start()
                shown.say(f"flower   {watched.url}")
            shown.say(f"broker   {server}")
            shown.say(f"storage  {place}")
            store = connect(server.url)
            uid, said = submit(store, specification, folder, fresh)
            shown.say(said)
            return _coordinate(store, server.url, uid, folder, roots, local, watched, shown)
        finally:
            if watched:
                watched.stop()
            if local:
                local.stop()


def leave(
    specification: Specification, *, broker: str | None, storage: str | None, fresh: bool
) -> Handle:
    """Leaves an experiment to a standing coordinator; see `Experiment.submit`."""
    place = where.broker(broker)
    if place is None:
        raise SpecificationError(
            "no broker given: submit leaves the experiment to a coordinator elsewhere. "
            "Give broker=URL or set ASHA_QUEUE_BROKER, or run it here with run()"
        )
    specification = _stored_at(specification, storage)
    root = required(where.storage(storage, specification.storage).url, QUICK)
    folder = root.below(specification.name)
    store = connect(place.url)
    uid, said = submit(store, specification, folder, fresh)
    for line in said.splitlines()[1:]:  # what it has learnt; the rest the handle tells
        print(line, file=sys.stderr)
    return Handle(store, uid)


def submit(
    store: Store, specification: Specification, folder: AnyStorage, fresh: bool = False
) -> tuple[str, str]:
    """Puts an experiment into the store, or finds it there.

    Returns its uid and a line that says which of both it was, with one more on what it has learnt
    from others. Raises SpecificationError when the
    name is taken by a different one, when `folder` holds a run that the store does not know, when
    what its sampler needs is not installed, or when there is nothing to learn from as it asks for.
    """
    samplers.require(specification)  # before anything is deleted
    trackers.require(specification.trackers)
    folder = opened(folder)
    name, learnt = specification.name, ""
    if fresh or store.uid(name) is None:  # one that goes on knows what it knew
        specification, learnt = informed(store, specification)
    if fresh:
        delete(store, name, folder)
    elif store.uid(name) is None and folder.exists(JOURNAL_FILE):
        raise SpecificationError(
            f"{folder} holds a run of {name!r} that this store does not know: it lost its data, or "
            f"it is another store. {remedy(folder.at(JOURNAL_FILE))}. Or use the store it ran on, "
            f"or start anew with --fresh, which deletes that folder."
        )
    mine = secrets.token_hex(8)
    uid = store.submit(mine, name, specification.seeded().to_json())
    if uid == mine:
        said = f"experiment {name} submitted: {specification.num_trials} trials"
        return uid, "\n".join(filter(None, (said, learnt)))
    description = store.describe(uid)
    original = Specification.from_json(description.specification)
    present = Specification.from_json(description.specification | description.extended)
    differences = present.differences(specification)
    if differences and original.differences(specification):
        raise SpecificationError(
            f"experiment {name!r} exists with another specification ("
            + "; ".join(differences)
            + "). Give it another name, or start anew with --fresh, which deletes the old one; "
            f"num_samples, max_t and budgets can be raised with `asha-queue extend {name}`."
        )
    return uid, f"experiment {name} goes on ({description.state})"


def delete(store: Store, name: str, folder: Storage) -> bool:
    """Removes an experiment: everything of it in the store, and its folder. False if none was."""
    uid = store.uid(name)
    if uid is not None:
        store.delete(uid)
    existed = bool(folder.names())
    folder.remove()
    return uid is not None or existed


def _stored_at(specification: Specification, storage: str | None) -> Specification:
    """The specification with the storage that was asked for, so that workers elsewhere know it."""
    if storage is None:
        return specification
    return Specification.from_json(specification.to_json() | {"storage": storage})


def _coordinate(
    store: Store,
    url: str,
    uid: str,
    folder: Storage,
    roots: list[Path],
    local: Local | None,
    flower: Flower | None,
    shown: View,
) -> Result:
    """Coordinates until the experiment has ended; a server that dies meanwhile ends nothing."""
    drive = Drive(store, Publisher(url), uid, folder, url, roots)
    coordinator = drive.coordinator
    live = LivePoints(store, uid)
    next_show = next_tend = 0.0
    #: When a queue that nobody serves is said to be so; each is said once.
    hint_at = dict.fromkeys(coordinator.unserved, time.monotonic() + HINT_AFTER)
    aside: set[str] = set()
    try:
        while True:
            try:
                drive.step()
                now = time.monotonic()
                if now >= next_tend:
                    next_tend = now + TICK
                    if local:
                        local.tend()
                    if flower and (said := flower.tend()):
                        shown.say(said)
                if now >= next_show or coordinator.ended:
                    next_show = now + SHOW_EVERY
                    points = live.refresh()
                    shown.show(overview(drive.result(SHOW_WITHIN), coordinator.workers, points))
                for sentence in drive.said():
                    shown.say(sentence)
                if coordinator.ended:
                    if drive.settled:
                        return drive.result()
                    threading.Event().wait(WAIT_TO_SETTLE)
                for worker in coordinator.workers:
                    if worker.aside and worker.aside not in aside:
                        aside.add(worker.aside)
                        shown.say(f"{worker.name} is set aside for a while: {worker.aside}")
                unserved = coordinator.unserved
                for queue in [queue for queue in hint_at if queue not in unserved]:
                    del hint_at[queue]
                for queue, due in hint_at.items():
                    if now >= due:
                        hint_at[queue] = math.inf
                        shown.say(_no_workers(queue, local))
            except NotAllowed:  # which no waiting mends
                raise
            except StoreUnavailable as error:
                if local:
                    local.tend()
                else:
                    shown.say(f"{error}; trying again")
                threading.Event().wait(TRY_AGAIN)
            except LostExperiment as error:
                raise told(error, coordinator.fold.specification.name, folder) from None
    finally:
        with contextlib.suppress(StoreUnavailable, UnknownExperiment):
            drive.close()


def _no_workers(queue: str, local: Local | None) -> str:
    if local and local.server.owned:
        return f"no worker has started yet; {local.log} says why"
    return (
        f"no worker serves queue {queue!r} of this broker; start some with: asha-queue worker "
        f"--queue {queue}"
    )


@contextlib.contextmanager
def _signals() -> Iterator[None]:
    """Turns Ctrl-C and SIGTERM into Interrupted, once; the second one ends the process at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise Interrupted

    before = {n: signal.signal(n, interrupt) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
