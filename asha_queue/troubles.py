"""What has gone wrong in an experiment's trials: attempts that ended alike, counted together.

Folded from the journal, like everything that is shown; memory is bounded, however many attempts
fail and however different their reasons are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: How an attempt ended that brought no result to rank.
Kind = Literal["failed", "lost", "diverged"]

#: Different reasons that are told apart.
REASONS = 100
#: Characters of a reason.
SHOWN = 200
#: Trials that are named for one reason.
TRIALS = 20

#: What differs between reasons that are the same: the worker, and where to look.
_PLACE = re.compile(r"; its stack: .*$")


@dataclass(slots=True)
class Trouble:
    """A reason, how many attempts ended by it, and the first trials that they were of."""

    kind: Kind
    reason: str
    count: int = 0
    trials: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        named = ", ".join(map(str, self.trials))
        more = ", …" if len(self.trials) == TRIALS else ""
        word = "trials" if len(self.trials) > 1 else "trial"
        return f"{self.kind} {self.count}: {self.reason} ({word} {named}{more})"


class Troubles:
    """The troubles of one experiment."""

    def __init__(self) -> None:
        self._found: dict[tuple[Kind, str], Trouble] = {}

    @property
    def all(self) -> list[Trouble]:
        """Failures first, then what diverged, then losses; of each kind the most frequent first."""
        order = ("failed", "diverged", "lost")
        return sorted(self._found.values(), key=lambda one: (order.index(one.kind), -one.count))

    def failed(self, entry: Mapping[str, Any]) -> None:
        """Takes a `failed` entry."""
        self._add("failed", entry["trial"], _short(entry.get("error"), entry.get("worker")))

    def lost(self, entry: Mapping[str, Any]) -> None:
        """Takes a `lost` entry."""
        self._add("lost", entry["trial"], _short(entry.get("reason"), entry.get("worker")))

    def diverged(self, trial: int, metric: str, value: Any) -> None:
        """Takes a result that cannot be ranked; `value` is None if the metric was not reported."""
        said = "was never reported" if value is None else f"is {value}"
        self._add("diverged", trial, f"{metric} {said}")

    def _add(self, kind: Kind, trial: int, reason: str) -> None:
        if (kind, reason) not in self._found and len(self._found) >= REASONS:
            reason = "other reasons"
        trouble = self._found.setdefault((kind, reason), Trouble(kind, reason))
        trouble.count += 1
        if trial not in trouble.trials and len(trouble.trials) < TRIALS:
            trouble.trials.append(trial)


def _short(text: str | None, worker: str | None) -> str:
    first = (text or "no reason was given").partition("\n")[0]
    if worker:
        first = first.replace(f" on {worker}", "")
    return _PLACE.sub("", first)[:SHOWN]
