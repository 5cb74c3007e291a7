"""What must hold after a run, however wild it was; everything here is read, nothing is repaired.

Rules

* *Lost*: an entry that the witness had read is not in the journal any more; a segment that was
  completed is trained again (a line of the ledger for a rung has a step of the rung below, or an
  attempt starts below what was kept), unless it was evicted; an experiment does not end; a trial
  has no result.
* *Doubled*: a (trial, rung) has two results, or one attempt is trained by two processes.
* *Repeated* steps are no violation: what was trained since the last checkpoint is trained again.
* A trial that fails is a violation: the program never does by itself.
* Each result must be that of the steps it claims (`ledger_program.replayed`).
* A write with an old token is refused, and counted by the store.
* A coordinator that was deposed decides nothing until it leads again.
* No key outside the table in `store/keys.py`, none of a deleted experiment; no process is left;
  each checkpoint in the record verifies; the exported journal is the store's.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import redis

from asha_queue.checkpoints import Checkpoints
from asha_queue.errors import CheckpointError, StoreError
from asha_queue.queue import KEYS
from asha_queue.search.rules import check
from asha_queue.store import keys
from asha_queue.store.contract import Store
from asha_queue.store.journal import load
from asha_queue.views import journal
from tests.chaos.ledger_program import replayed
from tests.chaos.witness import ENDS, Attempt, Entry, attempt_of

Line = dict[str, Any]


@dataclass
class Findings:
    """The numbers of a run, and every violation as a sentence."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    #: Everything else that must not be.
    broken: list[str] = field(default_factory=list)
    segments: int = 0
    attempts: int = 0
    #: Steps in the ledger, and those among them that were trained before.
    steps: int = 0
    repeated: int = 0
    #: Writes with an old token: as the writers saw them refused, and as the store counted them.
    refused: int = 0
    stale: int = 0
    #: Folders that killed writers of checkpoints left behind.
    partials: int = 0

    @property
    def violations(self) -> list[str]:
        return [*self.lost, *self.doubled, *self.broken]


def audit_journal(name: str, uid: str, entries: Sequence[Entry], found: Findings) -> None:
    """What the journal of an experiment says by itself."""
    found.broken += [f"{name}: {violation}" for violation in check(entries)]
    if not entries or entries[-1]["type"] != "finished":
        found.lost.append(f"{name}: it has not finished")
    completed: Counter[tuple[int, int]] = Counter()
    kept: dict[int, int] = {}
    x: dict[int, float] = {}
    for entry in entries:
        kind, trial = entry["type"], entry.get("trial", -1)
        if kind == "scheduled":
            x[trial] = entry["config"]["x"]
        elif kind == "completed":
            completed[trial, entry["rung"]] += 1
            if entry["metrics"].get("number") != replayed(entry["reached"], x[trial]):
                found.broken.append(f"{name}: trial {trial} at {entry['reached']}: wrong number")
        elif kind == "failed":
            found.broken.append(f"{name}: trial {trial} failed: {entry['error'].splitlines()[0]}")
        elif kind == "evicted":
            kept[trial] = entry["left"]
        elif kind == "warning" and " was evicted, " not in entry["what"]:
            found.broken.append(f"{name}: trial {trial}: {entry['what']}")
        elif kind == "started":
            found.attempts += 1
            if entry["start"] < kept.get(trial, 0):
                found.lost.append(
                    f"{name}: trial {trial} starts at {entry['start']}, {kept[trial]} had been kept"
                )
        if kind in ENDS and entry.get("checkpoint"):
            kept[trial] = max(kept.get(trial, 0), entry["checkpoint"]["resource"])
    found.segments += len(completed)
    for (trial, rung), times in completed.items():
        if times > 1:
            found.doubled.append(f"{name}: trial {trial}, rung {rung} has {times} results")


def audit_ledger(
    experiments: Mapping[str, str],
    journals: Mapping[str, Sequence[Entry]],
    ledger: Iterable[Line],
    found: Findings,
) -> None:
    """What the ledger says against the journals; `experiments` is name → uid."""
    levels = {uid: _levels(entries) for uid, entries in journals.items()}
    left = {uid: _left(entries) for uid, entries in journals.items()}
    trained: Counter[tuple[str, int, int]] = Counter()
    processes: dict[Attempt, set[int]] = defaultdict(set)
    for line in ledger:
        uid = experiments[line["experiment"]]
        attempt = attempt_of(uid, line)
        if line["what"] == "refused":
            found.refused += 1
            continue
        found.steps += 1
        trained[uid, line["trial"], line["step"]] += 1
        processes[attempt].add(line["pid"])
        below = levels[uid][line["rung"] - 1] if line["rung"] else 0
        if line["step"] <= left[uid].get((line["trial"], line["rung"] - 1), below):
            found.lost.append(f"{attempt} trains step {line['step']}: rung {line['rung'] - 1} had")
    found.repeated = sum(times - 1 for times in trained.values())
    for attempt, pids in processes.items():
        if len(pids) > 1:
            found.doubled.append(f"{attempt} was trained by {len(pids)} processes")
    for uid, entries in journals.items():
        for entry in entries:
            if entry["type"] == "completed":
                steps = range(1, entry["reached"] + 1)
                missing = [s for s in steps if not trained[uid, entry["trial"], s]]
                if missing:
                    found.broken.append(f"trial {entry['trial']}: steps {missing} never trained")


def audit_witness(
    name: str, read: Sequence[Entry], present: Sequence[Entry], found: Findings
) -> None:
    """What was read while the run went on must be there in the end, in its place."""
    for before, after in zip(read, present, strict=False):
        if before != after:
            found.lost.append(f"{name}: entry {before['id']} ({before['type']}) is gone")
            return
    if len(read) > len(present):
        found.lost.append(f"{name}: the last {len(read) - len(present)} entries are gone")


def audit_decisions(calls: Iterable[Line], found: Findings) -> None:
    """No decision of a coordinator while, by the store's own answers, another one leads."""
    leaders: dict[str, str] = {}
    # a decision was taken when it was sent, whenever its answer was read
    for call in sorted(calls, key=lambda c: c["at"] if c["script"] == "lead" else c["begun"]):
        uid = call["uid"]
        if call["script"] == "lead":
            leaders[uid] = call["answer"]
        elif call["script"] in ("schedule", "finish") and call["answer"] == "ok":
            leader = leaders.get(uid, ":0:")
            if int(leader.split(":")[1]) != call["pid"]:
                found.broken.append(f"{uid}: {call['script']} by {call['pid']}, led by {leader}")


def audit_keys(url: str, found: Findings) -> None:
    """Every key is in the table; to be called again when all experiments were deleted."""
    client = redis.Redis.from_url(url, decode_responses=True)
    known = _patterns()
    for key in client.scan_iter(count=1000):
        if not key.startswith(KEYS) and not any(p.fullmatch(key) for p in known):
            found.broken.append(f"key {key} is not in the table")
    client.close()


def keys_of_none(url: str) -> int:
    """How many keys there are that belong to no experiment."""
    client = redis.Redis.from_url(url, decode_responses=True, socket_timeout=5)
    try:
        everything = client.scan_iter(count=1000)
        return sum(not key.startswith(keys.experiment("")) for key in everything)
    finally:
        client.close()


def audit_deletion(url: str, store: Store, found: Findings) -> None:
    """Deletes all experiments: nothing of them may be left."""
    for uid in store.names().values():
        store.delete(uid)
    client = redis.Redis.from_url(url, decode_responses=True)
    left = list(client.scan_iter(match="asha:experiment:*", count=1000))
    client.close()
    if left:
        found.broken.append(f"{len(left)} keys of deleted experiments, as {left[0]}")


def audit_checkpoints(
    url: str, storage: Path, experiments: Mapping[str, str], found: Findings
) -> None:
    """Each checkpoint in the record is whole; what killed writers left is counted."""
    client = redis.Redis.from_url(url, decode_responses=True)
    for name, uid in experiments.items():
        checkpoints = Checkpoints(storage, name, uid)
        for key in client.scan_iter(match=f"{keys.experiment(uid)}:checkpoints:*", count=1000):
            for text in client.lrange(key, 0, -1):
                try:
                    checkpoints.verify(json.loads(json.loads(text)["text"]))
                except CheckpointError as error:
                    found.broken.append(f"{name}: {error}")
    client.close()
    found.partials = sum(1 for _ in storage.glob("*/checkpoints/*/*/.*.partial"))


def audit_exports(
    storage: Path, names: Iterable[str], journals: Mapping[str, Sequence[Entry]], found: Findings
) -> None:
    """The exported journal of each experiment is the store's; `journals` by name."""
    for name in names:
        path = storage / name / "journal.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        if [load(line) for line in lines] != list(journals[name]):
            found.broken.append(
                f"{name}: its journal.jsonl has {len(lines)} entries, "
                f"the store {len(journals[name])}"
            )


def read_all(store: Store, uid: str) -> list[Entry]:
    return list(journal(store, uid))


def stale_writes(store: Store, uids: Iterable[str]) -> int:
    """The writes with an old token that the store has counted."""
    total = 0
    for uid in uids:
        try:
            total += store.describe(uid).stale
        except StoreError:
            continue
    return total


def lines_of(path: Path) -> list[Line]:
    """The lines of a file of JSON; the last one of a killed writer may be torn."""
    found = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(text))
        except ValueError:
            continue
    return found


def _levels(entries: Sequence[Entry]) -> dict[int, int]:
    return {entry["rung"]: entry["target"] for entry in entries if entry["type"] == "scheduled"}


def _left(entries: Sequence[Entry]) -> dict[tuple[int, int], int]:
    """What was left of a trial that was evicted at a rung."""
    evicted = (entry for entry in entries if entry["type"] == "evicted")
    return {(entry["trial"], entry["rung"]): entry["left"] for entry in evicted}


def _patterns() -> list[re.Pattern[str]]:
    """The keys of the table, as patterns."""
    words = [line.split()[0] for line in (keys.__doc__ or "").splitlines() if line.strip()]
    names = [word for word in words if word.startswith("asha:")]
    return [
        re.compile(re.escape(name).replace("UID", "[^:]+").replace(":N", ":[0-9]+"))
        for name in names
    ]
