"""The classes of machines of an experiment: what waits and what trains on each of its queues."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from asha_queue.result import Result
from asha_queue.store.contract import Worker


def classes(result: Result, workers: Sequence[Worker]) -> list[dict[str, Any]]:
    """For each queue of the experiment: from which level on it is used, segments queued and in
    training there, and how many live workers serve it."""
    specification = result.specification
    counted = Counter(
        (specification.queue_of(trial.target), trial.state)
        for trial in result.trials
        if trial.target is not None and trial.state in ("queued", "running")
    )
    levels = {specification.queue_of(rung.level): rung.level for rung in reversed(result.rungs)}
    return [
        {
            "queue": queue,
            "level": levels.get(queue),
            "queued": counted[queue, "queued"],
            "running": counted[queue, "running"],
            "workers": sum(queue in worker.info.get("queues", ()) for worker in workers),
        }
        for queue in specification.every_queue
    ]


def unserved(overview: Mapping[str, Any]) -> Iterator[str]:
    """What to do about queues that no live worker serves, as sentences."""
    for one in overview["classes"]:
        if not one["workers"]:
            yield (
                f"no live worker serves queue {one['queue']}, where segments from level "
                f"{one['level']} on are trained; start some: asha-queue worker --queue "
                f"{one['queue']}"
            )
