"""The workers: where they live and what they have; and the versions of all that is at work."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from asha_queue.doctor.finding import Finding
from asha_queue.queue import QUEUE
from asha_queue.store.contract import Attendant, Worker
from asha_queue.views.versions import at_work, mix


def host_of(worker: Worker) -> str:
    """The machine of a worker, as `asha-queue drain` takes it."""
    return worker.name.rpartition("@")[2]


def queues_of(worker: Worker) -> list[str]:
    """The queues that a worker serves."""
    return sorted(worker.info.get("queues") or [QUEUE])


def workers(alive: Sequence[Worker], drained: Mapping[str, str]) -> Iterator[Finding]:
    """One finding for each host and queue, and one for each worker that is set aside."""
    if not alive:
        do = "start some on each node: asha-queue worker --broker URL --programs DIR --storage DIR"
        yield Finding("workers", "warning", "no worker is alive", do)
        return
    groups: dict[tuple[str, str], list[Worker]] = defaultdict(list)
    for worker in alive:
        groups[host_of(worker), ", ".join(queues_of(worker))].append(worker)
    for (host, queues), group in sorted(groups.items()):
        yield _group(host, queues, group, drained)
    for worker in alive:
        if worker.aside:
            says = f"{worker.name} is set aside for a while: {worker.aside}"
            yield Finding("workers", "warning", says)


def _group(host: str, queues: str, group: list[Worker], drained: Mapping[str, str]) -> Finding:
    names = " ".join(worker.name.partition("@")[0] for worker in group)
    says = f"{host}: {names}, queue {queues}"
    if models := _models(group):
        says += f"; {models}"
    leaving = [worker.name for worker in group if worker.name in drained]
    if leaving:
        says += f"; {len(leaving)} of them drained by {drained[leaving[0]]}"
    return Finding("workers", "ok", says)


def _models(group: list[Worker]) -> str:
    """The GPUs that the workers see, each model once."""
    seen: set[str] = set()
    for worker in group:
        named = worker.info.get("gpus") or []
        seen.update([named] if isinstance(named, str) else named)
    return ", ".join(sorted(seen))


def versions(alive: Sequence[Worker], coordinators: Sequence[Attendant], own: str) -> Finding:
    """Whether all that is at work has one version, which is our `own`."""
    says, does = mix(at_work(alive, coordinators), own)
    if says:
        return Finding("versions", "warning", says, does)
    return Finding("versions", "ok", f"asha-queue {own} everywhere")
