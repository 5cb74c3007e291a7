"""What a leader does once a second: hand on lost segments, publish again what nobody claimed."""

from collections.abc import Sequence
from typing import Protocol

from asha_queue.errors import ProgramError
from asha_queue.store.contract import QueuedSegment, Store, Worker

#: Segments published in one go.
BATCH = 500


class Publisher(Protocol):
    """What puts segments into the queue."""

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> None:
        """Sends one message per segment; raises StoreUnavailable when the broker takes none."""


def publish_due(store: Store, publisher: Publisher, uid: str, queue: str) -> None:
    """Publishes every queued segment whose time to be published has come."""
    while segments := store.due(uid, BATCH):
        publisher.publish(uid, segments, queue)
        store.published(uid, [(s.trial, s.rung, s.attempt) for s in segments])


def ensure_wanted(store: Store, uid: str, workers: list[Worker]) -> None:
    """Raises ProgramError when every live worker has refused the experiment's program."""
    refusals = store.refusals(uid)
    if workers and all(worker.name in refusals for worker in workers):
        reasons = sorted({refusals[worker.name] for worker in workers})
        names = ", ".join(sorted(worker.name for worker in workers))
        raise ProgramError(f"no worker can run this program ({names}): " + "; ".join(reasons))
