"""The storage: is what one node writes read by the others? See `checkpoints/probe.py`."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from asha_queue.checkpoints.probe import read_probes
from asha_queue.doctor.finding import Finding
from asha_queue.doctor.fleet import host_of
from asha_queue.errors import StorageError
from asha_queue.store.contract import Worker

#: What a node found out about its storage: `root`, `id`, `seen` and `error`.
Look = dict[str, Any]


def storage(alive: Sequence[Worker], folder: str | None) -> Iterator[Finding]:
    """Findings about the nodes of the workers, and about `folder` (None: the root that the workers
    have) on this machine."""
    looks: dict[str, list[Look]] = defaultdict(list)
    silent = set()
    for worker in alive:
        if look := worker.info.get("storage"):
            looks[host_of(worker)].append(look)
        else:
            silent.add(host_of(worker))
    if silent and len(silent | looks.keys()) > 1:
        says = f"not told by {', '.join(sorted(silent))}: they train where each experiment says"
        do = "start their workers with --storage, the same folder on all nodes"
        yield Finding("storage", "warning", says, do)
    if looks:
        yield from _nodes(looks)
        yield _here(looks, folder or next(iter(looks.values()))[0]["root"])


def _nodes(looks: dict[str, list[Look]]) -> Iterator[Finding]:
    broken = {
        host: look["error"] for host, all_of in looks.items() for look in all_of if look["error"]
    }
    for host, error in sorted(broken.items()):
        do = (
            "let its workers write there and read what others write, or give them another --storage"
        )
        yield Finding("storage", "error", f"{host}: {error}", do)
    groups = _connected({host: all_of for host, all_of in looks.items() if host not in broken})
    roots = sorted({look["root"] for all_of in looks.values() for look in all_of})
    if len(groups) > 1:
        says = " | ".join(", ".join(group) for group in groups)
        yield Finding(
            "storage",
            "error",
            f"{', '.join(roots)}: these do not see each other's files: {says}",
            "mount one shared folder on all nodes, name it by --storage, restart the workers",
        )
    elif groups:
        said = "one node" if len(groups[0]) == 1 else f"shared by all {len(groups[0])} nodes"
        yield Finding("storage", "ok", f"{', '.join(roots)}: {said}")


def _connected(looks: dict[str, list[Look]]) -> list[list[str]]:
    """The hosts in groups, within which each is connected to another by a file that was read."""
    groups: list[tuple[set[str], set[str], list[str]]] = []  # ids, ids seen, hosts
    for host, all_of in sorted(looks.items()):
        ids = {look["id"] for look in all_of}
        seen = {one for look in all_of for one in look["seen"]}
        hosts = [host]
        apart = []
        for group in groups:
            if ids & group[1] or seen & group[0]:
                ids, seen, hosts = ids | group[0], seen | group[1], group[2] + hosts
            else:
                apart.append(group)
        groups = [*apart, (ids, seen, hosts)]
    return sorted(sorted(hosts) for _, _, hosts in groups)


def _here(looks: dict[str, list[Look]], folder: str) -> Finding:
    try:
        ids = {probe["id"] for probe in read_probes(folder).values()}
    except OSError as error:
        ids, folder = set(), f"{error.filename}: {error.strerror}"
    except StorageError as error:
        ids, folder = set(), str(error)
    if ids & {look["id"] for all_of in looks.values() for look in all_of}:
        return Finding("storage", "ok", f"seen from this machine too: {folder}")
    return Finding(
        "storage",
        "warning",
        f"not seen from this machine: {folder}",
        "`logs` and exports need it; give the folder by --storage or ASHA_QUEUE_STORAGE",
    )
