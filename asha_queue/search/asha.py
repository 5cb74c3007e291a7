"""ASHA with promotion, as a state machine: journal entries in, decisions out.

Rules

1. A slot is free: look at the rungs from the highest below the top downward. The first that has a
   promotable trial promotes its best one. If none has, the next new trial is started; if all were
   started, the slot stays free until a result arrives.
2. What is promotable is said in `rung.py`: the best floor(n / eta) of all n results of a rung,
   those promoted before included, less those promoted before. Never "the best of those left".
3. A rung holds results of completed segments. A final failure, NaN, an infinity of the wrong side
   and a missing metric count as results that rank last and are never promoted.
4. A trial has one open segment at most; it is open from `scheduled` until `completed` or the final
   failure. Lost, suspended and retried segments stay open: they are scheduled again under the same
   trial and rung, with the next attempt, and decide nothing.
5. The search is finished when all trials were started, none has an open segment and none is
   promotable.

What it guarantees

* The state is a fold: it depends on the entries applied, in their order, and on nothing else.
  There is no clock, no randomness and no I/O in it. Same entries, same decisions.
* `decide` changes nothing. A decision takes effect when it comes back as a `scheduled` entry; one
  that was never journalled has never happened.
* An entry that cannot follow those before it raises JournalError, and has then changed nothing.
* `restore(snapshot())` has the same snapshot, and decides the same from then on.

What it relies on: whoever schedules a decision has applied all earlier entries first (the store's
script refuses it otherwise).

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", arXiv 1810.05934,
Algorithm 2.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from asha_queue.errors import JournalError
from asha_queue.search.ladder import Ladder
from asha_queue.search.rung import Explanation, Rung, number

#: Entries that decide nothing. Those of other versions, such as `extended`, are refused instead.
_NEUTRAL = frozenset({"submitted", "started", "suspended", "lost", "warning", "paused", "resumed"})


@dataclass(frozen=True, slots=True)
class Decision:
    """A segment to schedule: train `trial` up to `target`. Rung 0 is a new trial."""

    trial: int
    bracket: int
    rung: int
    target: int


class Asha:
    """The state of one search.

    Args:
        ladder: the levels and the reduction factor.
        mode: "min" if a smaller metric is better, "max" if a larger one is.
        metric: name of the value in an entry's `metrics` by which trials are ranked.
        num_trials: new trials in all.
    """

    def __init__(self, ladder: Ladder, mode: str, metric: str, num_trials: int) -> None:
        self._ladder = ladder
        self._metric = metric
        self._num_trials = num_trials
        self._rungs = [Rung(ladder.reduction_factor, mode) for _ in ladder.levels]
        self._open: dict[int, int] = {}  # the rung that a trial's open segment trains for
        self._started = 0
        self._ended = False

    @property
    def started(self) -> int:
        """Trials started so far; the next new one has this number."""
        return self._started

    @property
    def outstanding(self) -> int:
        """Open segments."""
        return len(self._open)

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do, now or later."""
        return not self._open and self._started == self._num_trials and not self.decide(1)

    def decide(self, slots: int) -> list[Decision]:
        """The segments that at most `slots` free slots should train next, in this order."""
        decisions: list[Decision] = []
        if self._ended:
            return decisions
        for rung in range(len(self._rungs) - 2, -1, -1):
            room = slots - len(decisions)
            for trial in self._rungs[rung].promotable(room):
                decisions.append(self._decision(trial, rung + 1))
        room = slots - len(decisions)
        for trial in range(self._started, min(self._started + room, self._num_trials)):
            decisions.append(self._decision(trial, 0))
        return decisions

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds the next entry of the journal; JournalError if it cannot follow those before."""
        try:
            kind = entry["type"]
            if kind == "completed":
                self._close(entry, number(entry["metrics"].get(self._metric)))
            elif kind == "scheduled":
                self._schedule(entry)
            elif kind == "failed":
                if entry["final"]:
                    self._close(entry, math.nan)
            elif kind in ("finished", "cancelled"):
                self._end()
            elif kind not in _NEUTRAL:
                raise JournalError(f"this version does not know entries of type {kind!r}")
        except (KeyError, TypeError, AttributeError) as error:
            raise JournalError(f"malformed entry ({error!r}): {entry!r}") from error
        except JournalError as error:
            raise JournalError(f"entry {entry.get('id', 'without id')}: {error}") from None

    def explain(self, trial: int, rung: int) -> Explanation:
        """Why the trial was promoted out of this rung, or not, by the results so far.

        KeyError when it has no result there.
        """
        return self._rungs[rung].explain(trial)

    def snapshot(self) -> dict[str, Any]:
        """The state as JSON, in one canonical form: equal states have equal texts."""
        return {
            "started": self._started,
            "open": [[trial, rung] for trial, rung in sorted(self._open.items())],
            "ended": self._ended,
            "rungs": [rung.snapshot() for rung in self._rungs],
        }

    @classmethod
    def restore(
        cls,
        ladder: Ladder,
        mode: str,
        metric: str,
        num_trials: int,
        snapshot: Mapping[str, Any],
    ) -> Self:
        """The search whose snapshot this is."""
        search = cls(ladder, mode, metric, num_trials)
        search._started = snapshot["started"]
        search._open = dict(snapshot["open"])
        search._ended = snapshot["ended"]
        for rung, held in zip(search._rungs, snapshot["rungs"], strict=True):
            rung.restore(held["results"], held["promoted"])
        return search

    def _decision(self, trial: int, rung: int) -> Decision:
        return Decision(trial, 0, rung, self._ladder.levels[rung])

    # Each of the following validates everything before its first change.

    def _schedule(self, entry: Mapping[str, Any]) -> None:
        trial, rung = entry["trial"], entry["rung"]
        if self._ended:
            raise JournalError(f"trial {trial} is scheduled after the end of the experiment")
        if not 0 <= rung < len(self._rungs):
            raise JournalError(f"trial {trial} is scheduled for rung {rung}, which does not exist")
        if entry["bracket"] != 0 or entry["target"] != self._ladder.levels[rung]:
            raise JournalError(
                f"trial {trial} is scheduled to {entry['target']} in bracket {entry['bracket']}, "
                f"but rung {rung} of bracket 0 ends at {self._ladder.levels[rung]}"
            )
        if entry["attempt"] > 1:
            self._require_open(trial, rung)
        elif trial in self._open:
            raise JournalError(f"trial {trial} is scheduled while it has an open segment")
        elif rung == 0:
            if trial != self._started or trial >= self._num_trials:
                raise JournalError(
                    f"trial {trial} is started as number {self._started} of {self._num_trials}"
                )
            self._open[trial] = 0
            self._started += 1
        else:
            self._rungs[rung - 1].promote(trial)
            self._open[trial] = rung

    def _close(self, entry: Mapping[str, Any], value: float) -> None:
        trial, rung = entry["trial"], entry["rung"]
        self._require_open(trial, rung)
        del self._open[trial]
        self._rungs[rung].add(trial, value)

    def _end(self) -> None:
        if self._ended:
            raise JournalError("the experiment has ended before")
        self._ended = True

    def _require_open(self, trial: int, rung: int) -> None:
        if self._open.get(trial) != rung:
            raise JournalError(f"trial {trial} has no open segment of rung {rung}")
