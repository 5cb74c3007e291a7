"""The server: is it the right one, does it keep what it acknowledged, has it room?"""

from collections.abc import Iterator
from typing import Final

from asha_queue.doctor.finding import Finding
from asha_queue.sentinel import is_sentinel
from asha_queue.store.server_facts import ServerFacts
from asha_queue.where import without_password

#: Seconds of a round trip above which segments of a second or less wait noticeably.
SLOW: Final = 0.05
#: Seconds by which clocks may differ. Leases run by the server's clock alone; ages are shown by it.
CLOCKS_APART: Final = 2.0
#: Part of the memory limit above which the server is nearly full.
NEARLY_FULL: Final = 0.8


def server(facts: ServerFacts, url: str) -> Iterator[Finding]:
    yield _reached(facts, url)
    yield _clock(facts)
    yield _persistence(facts)
    for failed in facts.write_errors:
        yield Finding(
            "persistence",
            "error",
            f"it cannot write: {failed}",
            "make room on its disk; see its log",
        )
    if is_sentinel(url):
        yield _replication(facts)
    yield _eviction(facts)
    yield _memory(facts)


def _reached(facts: ServerFacts, url: str) -> Finding:
    name = f"{facts.kind} {facts.version or '(version not told)'}"
    says = f"{name} at {without_password(url)}, {facts.round_trip * 1000:.1f} ms per answer"
    if facts.replica:
        do = "give the address of the primary: a replica takes no writes"
        return Finding("server", "error", f"{says}; it is a replica", do)
    if facts.round_trip > SLOW:
        do = "put the server nearer to workers and coordinators, or make segments longer"
        return Finding("server", "warning", says, do)
    return Finding("server", "ok", says)


def _clock(facts: ServerFacts) -> Finding:
    apart = abs(facts.ahead)
    if apart > max(CLOCKS_APART, facts.round_trip):
        side = "ahead of" if facts.ahead > 0 else "behind"
        says = f"the server's clock is {apart:.1f} s {side} the one here"
        return Finding("clock", "warning", says, "synchronise both machines (NTP)")
    return Finding("clock", "ok", f"the server's and ours are {apart:.2f} s apart")


def _persistence(facts: ServerFacts) -> Finding:
    if facts.append_only is None:
        says = "the server does not tell this user whether it writes to disk"
        return Finding(
            "persistence", "warning", says, "look into its configuration: appendonly yes"
        )
    if not facts.append_only:
        says = "appendonly no: a restart of the server loses experiments"
        return Finding("persistence", "warning", says, _configure("appendonly yes"))
    if facts.append_sync == "always":
        return Finding("persistence", "ok", "appendonly yes, appendfsync always")
    if facts.append_sync is None:
        says = "appendonly yes; the server does not tell this user when it syncs"
        return Finding("persistence", "ok", says)
    says = f"appendfsync {facts.append_sync}: a crash loses the last seconds of finished work"
    return Finding("persistence", "warning", says, _configure("appendfsync always"))


def _replication(facts: ServerFacts) -> Finding:
    if facts.min_replicas is None or facts.replicas is None:
        says = "the server does not tell this user about its replicas"
        do = "look into its configuration: min-replicas-to-write 1"
        return Finding("replicas", "warning", says, do)
    says = f"{facts.replicas} connected, min-replicas-to-write {facts.min_replicas}"
    if facts.replicas == 0:
        do = "start one: results wait until a replica has them, and nothing can take over"
        return Finding("replicas", "error", says, do)
    if facts.min_replicas == 0:
        says += ": a primary that was cut off takes writes that are lost at its return"
        return Finding("replicas", "warning", says, _configure("min-replicas-to-write 1"))
    return Finding("replicas", "ok", says)


def _eviction(facts: ServerFacts) -> Finding:
    policy = facts.eviction_policy
    if policy is None:
        says = "the server does not tell this user its maxmemory-policy"
        do = "look into its configuration: maxmemory-policy noeviction"
        return Finding("eviction", "warning", says, do)
    if policy == "noeviction":
        return Finding("eviction", "ok", "maxmemory-policy noeviction")
    # keys here have no time to live, so only the `allkeys` policies can take one
    evicts = bool(facts.memory_limit) and policy.startswith("allkeys")
    says = f"maxmemory-policy {policy}: " + (
        "a full server forgets experiments" if evicts else "it is not made for what must be kept"
    )
    do = _configure("maxmemory-policy noeviction")
    return Finding("eviction", "error" if evicts else "warning", says, do)


def _memory(facts: ServerFacts) -> Finding:
    if facts.used_memory is None:
        return Finding("memory", "ok", "the server does not tell this user how much it uses")
    used = _mebibytes(facts.used_memory)
    if not facts.memory_limit:
        return Finding("memory", "ok", f"{used} used, no limit set")
    says = f"{used} of {_mebibytes(facts.memory_limit)} used"
    if facts.used_memory > NEARLY_FULL * facts.memory_limit:
        do = "raise maxmemory, or delete experiments: asha-queue delete NAME"
        return Finding("memory", "warning", says, do)
    return Finding("memory", "ok", says)


def _configure(line: str) -> str:
    return f"write into the server's configuration: {line}"


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
