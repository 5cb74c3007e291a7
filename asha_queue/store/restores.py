"""Restoring an experiment from its journal, on the server.

The experiment's hash is written last, by one script: until then every other script finds nothing,
and what a restore that was killed has left is removed by the next one. In between, entries and
records go in by batches, so that the server is never busy for long.
"""

import secrets
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from asha_queue.errors import StoreError
from asha_queue.settings import FORMAT
from asha_queue.store import journal, keys
from asha_queue.store.connection import Part
from asha_queue.store.contract import Json
from asha_queue.store.experiments import policy
from asha_queue.store.restoration import RestoredExperiment, RestoredTrial, Saved, rebuilt

#: Entries, and trials, in one call.
BATCH: Final = 200

#: Members of an entry that a stream keeps as fields of their own.
_OWN = ("v", "id", "type", "at")
#: Fields of a record as text; 0 stands for "never" in all of them that have no count.
_FIELDS = (
    *("bracket", "rung", "target", "attempt", "state", "token", "worker", "started"),
    *(
        "ended_token",
        "ended_how",
        "failures",
        "losses",
        "unwitnessed",
        "lost_at",
        "avoid",
        "evicted",
    ),
)


class Restores(Part):
    """The method of `Store` that takes a whole journal."""

    def restore(self, entries: Sequence[Json]) -> str:
        experiment = rebuilt(entries)
        uid, name, request = experiment.uid, experiment.name, secrets.token_hex(8)
        own = [keys.experiment(uid)]
        holder: str = self._connection.run(
            "restore_begin", [*own, keys.NAMES], request, uid, name, len(experiment.trials)
        )
        if holder:
            return holder
        for batch in _batches(experiment.entries):
            words = [word for entry in batch for word in _entry(entry)]
            self._add("restore_journal", uid, request, words)
        for trials in _batches(experiment.trials):
            words = [word for trial in trials for word in _trial(trial)]
            self._add("restore_trials", uid, request, words)
        answer: str = self._connection.run(
            "restore_end", [*own, keys.NAMES, keys.DELETED], request, uid, name, *_hash(experiment)
        )
        if answer == "replaced":
            raise _replaced(uid)
        return answer or uid

    def _add(self, script: str, uid: str, request: str, words: Sequence[str | int]) -> None:
        if self._connection.run(script, [keys.experiment(uid)], request, *words) != "ok":
            raise _replaced(uid)


def _replaced(uid: str) -> StoreError:
    return StoreError(f"another restore of {uid} began meanwhile: let it end, this one is given up")


def _batches(items: Sequence[Any]) -> list[list[Any]]:
    left = iter(items)
    return list(iter(lambda: list(islice(left, BATCH)), []))


def _entry(entry: Json) -> list[str | int]:
    data = {name: value for name, value in entry.items() if name not in _OWN}
    at = f"{entry['at']:.6f}"
    return [entry["id"], entry["v"], entry["type"], at, journal.encode(data)]


def _trial(trial: RestoredTrial) -> list[str | int]:
    words: list[str | int] = ["config", journal.encode(trial.config), "publications", 0]
    for name in _FIELDS:
        words += [name, getattr(trial, name)]
    saved = [_saved(one) for one in trial.checkpoints]
    return [trial.trial, len(words), *words, len(saved), *saved]


def _saved(saved: Saved) -> str:
    """A checkpoint as `push` in `scripts/common.lua` keeps it: all strings."""
    checkpoint = saved.checkpoint
    return journal.encode(
        {
            "path": checkpoint["path"],
            "resource": str(checkpoint["resource"]),
            "token": str(saved.token),
            "metrics": journal.encode(checkpoint["metrics"]),
            "text": journal.encode(checkpoint),
        }
    )


def _hash(experiment: RestoredExperiment) -> list[str | int]:
    fields: dict[str, str | int] = {
        "v": FORMAT,
        "name": experiment.name,
        "specification": journal.encode(experiment.specification),
        **policy(experiment.specification),
        "state": experiment.state,
        "draining": "1" if experiment.draining else "",
        "submitted_at": f"{experiment.submitted_at:.6f}",
        "last": experiment.last,
        **{name: journal.encode(value) for name, value in experiment.extended.items()},
    }
    return [word for pair in fields.items() for word in pair]
