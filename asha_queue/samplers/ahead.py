"""Suggestions made ahead by a thread, so that no worker waits for a model.

Rules

* One thread makes suggestions, one trial after the other, from a copy of the history as it was when
  they were asked for. It ends when there is nothing left to make; it never sees what changes.
* What was made for the trials before is in training in that copy: a model that keeps away from what
  is in training does not suggest the same once more.
* A suggestion made from an older history is good enough while the results have grown by no more
  than GROWTH since. Then it is made anew, and serves until the new one is ready.
* Whoever takes suggestions waits PATIENCE at most, and for those that are not ready then draws at
  random instead. Only with `fresh` those of an older history are waited for as well, for
  FRESH_PATIENCE at most: with a single worker a run is repeatable, and no other worker waits.
* A model that raises an exception stops nothing: its trial is drawn at random, and the log says so,
  once for each message. The next suggestion is asked of the model again.
"""

import logging
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asha_queue.samplers.history import History
from asha_queue.samplers.sampler import Random, Sampler
from asha_queue.specification import Specification

#: Growth of the results after which a suggestion is made anew.
GROWTH = 0.05
#: Seconds that are waited for suggestions in the making.
PATIENCE = 0.05
#: Seconds that are waited for those that know the last result, when that is asked for.
FRESH_PATIENCE = 0.5

log = logging.getLogger("sampler")


@dataclass(frozen=True, slots=True)
class Made:
    """A suggestion, and the history that it was made from."""

    revision: int
    results: int
    #: None if the model failed.
    config: dict[str, Any] | None


class Ahead:
    """Makes suggestions of one sampler ahead. All methods but the thread's return at once, or
    within the patience above."""

    def __init__(self, specification: Specification, sampler: Sampler) -> None:
        self._specification = specification
        self._sampler = sampler
        self._random = Random(specification)
        #: Guards what follows, and tells when a suggestion is ready.
        self._changed = threading.Condition()
        self._made: dict[int, Made] = {}
        #: What the thread is to begin with next, in the place of what it is at.
        self._wanted: tuple[History, Sequence[int]] | None = None
        #: What it has to make yet, and from which history.
        self._open: set[int] = set()
        self._revision = -1
        self._working = False
        self._said = ""

    def want(self, history: History, first: int, n: int) -> None:
        """Has the thread make those suggestions that are lacking or too old, in this order."""
        with self._changed:
            for trial in [trial for trial in self._made if trial < first]:
                del self._made[trial]
            old = len(history.results) / (1 + GROWTH)
            wanted = [
                trial
                for trial in range(first, first + n)
                if trial not in self._made or self._made[trial].results < old
            ]
            self._make(history, wanted)

    def take(self, history: History, first: int, n: int, fresh: bool) -> list[dict[str, Any]]:
        """The suggestions for n trials, some of them drawn at random if the model is late."""
        trials = range(first, first + n)

        def ready(trial: int) -> bool:
            made = self._made.get(trial)
            return made is not None and (not fresh or made.revision == history.revision)

        with self._changed:
            self._make(history, [trial for trial in trials if not ready(trial)])
            self._changed.wait_for(
                lambda: all(map(ready, trials)), FRESH_PATIENCE if fresh else PATIENCE
            )
            found = [self._made.get(trial) for trial in trials]
        return [
            made.config
            if made is not None and made.config is not None
            else self._random.suggest(history, trial, 1)[0]
            for trial, made in zip(trials, found, strict=True)
        ]

    def _make(self, history: History, trials: Sequence[int]) -> None:
        """Hands a copy of the history to the thread, unless it is at work on these already."""
        if not trials or (self._revision == history.revision and self._open.issuperset(trials)):
            return
        shown = history.copy()
        while (made := self._made.get(len(shown.configs))) is not None and made.config is not None:
            if len(shown.configs) >= min(trials):
                break
            shown.expect(made.config)
        self._wanted = (shown, trials)
        self._revision, self._open = history.revision, set(trials)
        if not self._working:
            self._working = True
            threading.Thread(target=self._work, name="sampler", daemon=True).start()

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._wanted is None:
                    self._working = False
                    return
                (history, trials), self._wanted = self._wanted, None
            for trial in trials:
                made = Made(history.revision, len(history.results), self._suggest(history, trial))
                if made.config is not None and trial == len(history.configs):
                    history.expect(made.config)
                with self._changed:
                    self._made[trial] = made
                    self._changed.notify_all()
                    if self._wanted is not None:
                        break
                    self._open.discard(trial)

    def _suggest(self, history: History, trial: int) -> dict[str, Any] | None:
        try:
            return self._sampler.suggest(history, trial, 1)[0]
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            if said != self._said:
                self._said = said
                log.exception(
                    "%s: sampler %s has failed on trial %d (%s); trials are drawn at random as "
                    "long as it does",
                    *(self._specification.name, self._specification.sampler, trial, said),
                )
            return None
