"""The open experiments: does somebody decide, does somebody train, can they run the program?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from asha_queue.doctor.finding import Finding
from asha_queue.doctor.fleet import queues_of
from asha_queue.errors import UnknownExperiment
from asha_queue.queue import QUEUE, lists
from asha_queue.store.contract import Attendant, Description, Store, Worker
from asha_queue.store.server_facts import lengths


def coordinators(alive: Sequence[Attendant]) -> Finding:
    """The standing coordinators; whether one is missing is seen by the experiments."""
    if alive:
        return Finding("coordinators", "ok", ", ".join(one.who for one in alive))
    return Finding("coordinators", "ok", "no standing one; `asha-queue run` brings its own")


def experiments(store: Store, alive: Sequence[Worker], url: str) -> Iterator[Finding]:
    """Findings about what cannot go on; one when all can."""
    opened = [found for found in _all(store) if found.state == "open"]
    troubles: list[Finding] = []
    for experiment in opened:
        troubles += _led(experiment)
        troubles += _served(experiment, alive, url)
        troubles += _refused(experiment, store.refusals(experiment.uid), alive)
    yield from troubles
    if not troubles:
        said = f"{len(opened)} open, all led and served" if opened else "none is open"
        yield Finding("experiments", "ok", said)


def _all(store: Store) -> Iterator[Description]:
    for _, uid in sorted(store.names().items()):
        try:
            yield store.describe(uid)
        except UnknownExperiment:
            continue  # deleted meanwhile


def _led(experiment: Description) -> Iterator[Finding]:
    if not experiment.leader:
        says = f"{experiment.name}: no coordinator leads it, so nothing new is decided"
        yield Finding("experiments", "error", says, "start one: asha-queue coordinator")


def _served(experiment: Description, alive: Sequence[Worker], url: str) -> Iterator[Finding]:
    queue = experiment.specification.get("queue", QUEUE)
    if any(queue in queues_of(worker) for worker in alive):
        return
    waiting = lengths(url, lists(queue))
    says = f"{experiment.name}: no live worker serves its queue {queue}; {waiting} messages wait"
    yield Finding("queues", "error", says, f"start workers with --queue {queue}")


def _refused(
    experiment: Description, refusals: dict[str, str], alive: Sequence[Worker]
) -> Iterator[Finding]:
    queue = experiment.specification.get("queue", QUEUE)
    could = {worker.name for worker in alive if queue in queues_of(worker)}
    reasons: dict[str, list[str]] = defaultdict(list)
    for worker, reason in sorted(refusals.items()):
        if worker in could:
            reasons[reason].append(worker)
    everyone = could <= refusals.keys()
    for reason, who in reasons.items():
        says = f"{experiment.name} is refused by {', '.join(who)}: {reason}"
        # the reason of a node says what to do there
        yield Finding("programs", "error" if everyone else "warning", says)
