"""The process of one tracker: `python -m asha_queue.trackers UID TRACKER FOLDER TERM ROOT…`.

It reads the journal of the store that ASHA_QUEUE_BROKER names, and ends when the experiment has
ended and all was delivered, when another term has begun, or when its standard input ends.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.specification import Specification
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.trackers.delivery import Delivery, kept_file
from asha_queue.trackers.news import Fold
from asha_queue.trackers.tracker import About, Tracker, opened

#: Seconds between two looks at the term, and to finish what is on its way without a leader.
LOOK_EVERY = 1.0
#: Exit code of a process that shall be started again.
AGAIN = 3


def follow(
    store: Store,
    uid: str,
    term: int,
    make: Callable[[About], Tracker],
    about: About,
    kept: Path,
    orphaned: threading.Event,
) -> int:
    """Delivers the journal; returns the exit code: 0 when all was delivered."""
    description = store.describe(uid)
    fold = Fold(Specification.from_json(description.specification))
    delivery = Delivery(lambda: make(about), kept, orphaned.wait)
    seen, looked = "0-0", 0.0
    while not orphaned.is_set():
        try:
            if time.monotonic() - looked >= LOOK_EVERY:
                if store.describe(uid).term != term:
                    return 0
                looked = time.monotonic()
            read = store.read(uid, seen)
            if read.gone:
                return AGAIN
            for entry in read.entries:
                if orphaned.is_set():
                    return 0
                delivery.deliver(entry["id"], fold.apply(entry))
                seen = entry["id"]
            if not read.entries:
                if fold.ended:
                    delivery.finish()
                    return 0
                store.wait({uid: seen}, LOOK_EVERY)
        except StoreUnavailable:
            orphaned.wait(LOOK_EVERY)
        except UnknownExperiment:
            return 0
    return 0


def main() -> int:
    uid, tracker, folder, term, *roots = sys.argv[1:]
    orphaned = threading.Event()

    def watch() -> None:
        os.read(0, 1)  # until the leader closes it, or dies
        orphaned.set()
        time.sleep(LOOK_EVERY)
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()
    store = connect(os.environ["ASHA_QUEUE_BROKER"])
    try:
        name = store.describe(uid).name
    except AshaQueueError:
        return AGAIN
    about = About(uid, name, Path(folder), [Path(root) for root in roots])
    kept = kept_file(Path(folder), uid, tracker)
    return follow(store, uid, int(term), lambda a: opened(tracker, a), about, kept, orphaned)


if __name__ == "__main__":
    sys.exit(main())
