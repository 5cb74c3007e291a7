"""The open experiments: does somebody decide, does somebody train, can they run the program?"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from asha_queue.doctor.finding import Finding
from asha_queue.doctor.fleet import queues_of
from asha_queue.errors import NewerFormat, UnknownExperiment
from asha_queue.formats import age, version
from asha_queue.queue import lists
from asha_queue.search import rooms
from asha_queue.specification import Specification
from asha_queue.specification.stored import later
from asha_queue.store.contract import Attendant, Description, Store, Worker
from asha_queue.store.server_facts import lengths
from asha_queue.views import trackers
from asha_queue.views.versions import left_alone, of


def coordinators(alive: Sequence[Attendant]) -> Iterator[Finding]:
    """The standing coordinators, and what they leave alone; whether one is missing is seen by the
    experiments."""
    says = ", ".join(f"{one.who} ({of(one.info)})" for one in alive)
    says = says or "no standing one; `asha-queue run` brings its own"
    yield Finding("coordinators", "ok", says)
    for sentence in left_alone(alive):
        yield Finding("coordinators", "warning", sentence)
    for sentence in trackers.troubles(alive):
        says = "its log is below trackers/ in the experiment's folder"
        yield Finding("trackers", "warning", sentence, says)


def experiments(store: Store, alive: Sequence[Worker], url: str) -> Iterator[Finding]:
    """Findings about what cannot go on; one when all can."""
    troubles: list[Finding] = []
    opened = [found for found in _all(store, troubles) if found.state == "open"]
    for experiment in opened:
        troubles += _led(experiment, store.attendants())
        troubles += _served(experiment, alive, url)
        troubles += _refused(experiment, store.refusals(experiment.uid), alive)
    yield from troubles
    if not troubles:
        said = f"{len(opened)} open, all led and served" if opened else "none is open"
        yield Finding("experiments", "ok", said)


def _all(store: Store, troubles: list[Finding]) -> Iterator[Description]:
    """All experiments that this version can read; what keeps it from others goes to `troubles`."""
    for _, uid in sorted(store.names().items()):
        try:
            found = store.describe(uid)
            Specification.require_known(found.specification)
            yield found
        except UnknownExperiment:
            continue  # deleted meanwhile
        except NewerFormat as error:
            troubles.append(Finding("experiments", "warning", str(error)))


def _led(experiment: Description, alive: Sequence[Attendant]) -> Iterator[Finding]:
    if experiment.leader:
        return
    says = f"{experiment.name}: no coordinator leads it, so nothing new is decided"
    fields = ", ".join(later(experiment.specification))
    if fields and alive and all(age(of(one.info)) < age(version()) for one in alive):
        says += f"; it has {fields}, which those of earlier versions may not know"
    yield Finding("experiments", "error", says, "start one: asha-queue coordinator")


def _served(experiment: Description, alive: Sequence[Worker], url: str) -> Iterator[Finding]:
    for queue in rooms.queues_of(experiment.specification):
        if any(queue in queues_of(worker) for worker in alive):
            continue
        waiting = lengths(url, lists(queue))
        says = (
            f"{experiment.name}: no live worker serves its queue {queue}; {waiting} messages wait"
        )
        yield Finding("queues", "error", says, f"start workers with --queue {queue}")


def _refused(
    experiment: Description, refusals: dict[str, str], alive: Sequence[Worker]
) -> Iterator[Finding]:
    by_queue = [
        {worker.name for worker in alive if queue in queues_of(worker)}
        for queue in rooms.queues_of(experiment.specification)
    ]
    could = set().union(*by_queue)
    reasons: dict[str, list[str]] = defaultdict(list)
    for worker, reason in sorted(refusals.items()):
        if worker in could:
            reasons[reason].append(worker)
    everyone = any(group and group <= refusals.keys() for group in by_queue)
    for reason, who in reasons.items():
        says = f"{experiment.name} is refused by {', '.join(who)}: {reason}"
        # the reason of a node says what to do there
        yield Finding("programs", "error" if everyone else "warning", says)
