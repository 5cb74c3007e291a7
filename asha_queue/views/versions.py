"""Which versions of asha-queue are at work: workers, coordinators, and whoever looks."""

from collections.abc import Mapping, Sequence
from typing import Any

from asha_queue.formats import EARLIER, age
from asha_queue.store.contract import Attendant, Worker


def of(info: Mapping[str, Any]) -> str:
    """The version that a worker or a coordinator says it has."""
    return str(info.get("version") or EARLIER)


def at_work(workers: Sequence[Worker], coordinators: Sequence[Attendant]) -> dict[str, list[str]]:
    """Who has which version, the newest version first."""
    found: dict[str, list[str]] = {}
    for worker in workers:
        found.setdefault(of(worker.info), []).append(worker.name)
    for coordinator in coordinators:
        found.setdefault(of(coordinator.info), []).append(f"coordinator {coordinator.who}")
    return dict(sorted(found.items(), key=lambda one: age(one[0]), reverse=True))


def mix(found: Mapping[str, Sequence[str]], own: str) -> tuple[str, str]:
    """What versions there are beside the newest, and what to do; both empty if it is alone.

    `own` is the version of whoever looks: the fleet may have a newer one.
    """
    newest = max([*found, own], key=age)
    behind = {version: who for version, who in found.items() if age(version) < age(newest)}
    if behind:
        says = "; ".join(f"{version} on {', '.join(who)}" for version, who in behind.items())
        does = "they work together; upgrade the workers with asha-queue drain HOST, host by host"
        if all(name.startswith("coordinator ") for who in behind.values() for name in who):
            does = "they work together; start a newer coordinator, then end the older one"
        return f"asha-queue {newest} beside {says}", does
    if age(own) < age(newest):
        return f"asha-queue {newest} is at work, and {own} is here", "upgrade asha-queue here"
    return "", ""


def left_alone(coordinators: Sequence[Attendant]) -> list[str]:
    """The experiments that coordinators leave alone, and why, as sentences."""
    return [
        f"coordinator {one.who} ({of(one.info)}) leaves {name} alone: {reason}"
        for one in coordinators
        for name, reason in sorted(dict(one.info.get("leaves") or {}).items())
    ]
