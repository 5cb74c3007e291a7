"""What a leader does once a second: hand on lost segments, publish again what nobody claimed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from asha_queue.errors import ProgramError
from asha_queue.store.contract import QueuedSegment, Store, Worker

#: Segments published in one go.
BATCH = 500


class Publisher(Protocol):
    """What puts segments into the queue."""

    def publish(self, uid: str, segments: Sequence[QueuedSegment], queue: str) -> bool | None:
        """Sends one message per segment; True if it has marked them as published, too. Raises
        StoreUnavailable when the broker takes none."""


def publish_due(
    store: Store, publisher: Publisher, uid: str, queue_of: Callable[[int], str]
) -> None:
    """Publishes every queued segment whose time to be published has come."""
    while segments := store.due(uid, BATCH):
        publish(store, publisher, uid, queue_of, segments)
        if len(segments) < BATCH:
            return


def publish(
    store: Store,
    publisher: Publisher,
    uid: str,
    queue_of: Callable[[int], str],
    segments: Sequence[QueuedSegment],
) -> None:
    """Publishes queued segments, each to the queue of its level, and marks them as published."""
    by_queue: dict[str, list[QueuedSegment]] = {}
    for segment in segments:
        by_queue.setdefault(queue_of(segment.target), []).append(segment)
    for queue, group in by_queue.items():
        if not publisher.publish(uid, group, queue):
            store.published(uid, [(s.trial, s.rung, s.attempt) for s in group])


def ensure_wanted(store: Store, uid: str, workers: Mapping[str, Sequence[Worker]]) -> None:
    """Raises ProgramError when every live worker of one of its queues has refused the experiment's
    program; `workers` are those of each queue."""
    refusals = store.refusals(uid)
    for group in workers.values():
        if group and all(worker.name in refusals for worker in group):
            reasons = sorted({refusals[worker.name] for worker in group})
            names = ", ".join(sorted(worker.name for worker in group))
            raise ProgramError(f"no worker can run this program ({names}): " + "; ".join(reasons))
