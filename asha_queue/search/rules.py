"""Checks a journal against the rules that must hold however wild the run was.

1. At each promotion out of a rung the trial was among the best floor(n / eta) of the n results
   journalled before it. Where the experiment hedges, n and who else is promoted are those of
   `hedge.py`, as `standings.py` has them.
2. No trial is promoted twice from one rung, or from a rung that it has not completed.
3. Each (trial, rung) has at most one result (a final failure that is retried is none any more);
   tokens of a trial only grow; a completion bears the token of its `started`. A claim that finds a
   checkpoint at its target completes without `started`: then the token is that of the earlier
   attempt that wrote the checkpoint.
4. A segment starts below its target, and on its first attempt at most at the level of the rung
   below.
5. The fold of the journal is the search's state: it accepts each entry, and is equal after a
   snapshot was taken and restored.
6. Trials are numbered from 0 in the order of their start; targets fit the ladder; attempts count
   from 1, one open segment per trial; whatever happens to an attempt happens to the open one; an
   experiment finishes when nothing is left to do, and nothing is scheduled after its end.
7. A trial stays in its bracket. A new one begins in the bracket whose planned budget is then the
   smallest.
8. Where the variant is "delayed", a rung promotes at most floor(n / eta) trials in all. Where it is
   "stopping", a trial goes on if it was among the best floor(n / eta) when its result arrived, or
   if n < eta then, instead of rule 1; and no trial is started while one that goes on is not, if
   both are for the same class of machines (`rooms.py`).
   Where it is "pasha", which level was the top is held by rule 5 only.
9. While an experiment is paused nothing new is scheduled, and it does not finish. It is extended
   upward only; `extended` and `retried` open what was finished; after `cancelled` nothing happens.
10. No budget is exceeded by what is scheduled anew (`ledger.py`). An experiment may finish early,
   with segments queued but none in training, once its time is used or its aim reached; and with
   trials left that its resource cannot pay.

Written without the search's rungs, so that an error there does not hide here: ranks are found
otherwise (`ranks.py`). Only rule 5 runs the search itself, and only on journals that pass the rest.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from asha_queue.errors import AshaQueueError, SpecificationError
from asha_queue.search.folding import check_fold
from asha_queue.search.ledger import Ledger
from asha_queue.search.plan import Plan
from asha_queue.search.ranks import Ranks
from asha_queue.search.rooms import queue_of
from asha_queue.search.shares import due_bracket
from asha_queue.search.standings import Standings


def check(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Every violation of the rules in a journal, as sentences; empty if there is none."""
    journal = list(entries)
    if not journal or journal[0].get("type") != "submitted":
        return ["the journal does not begin with `submitted`: its first entries are missing"]
    try:
        checker = _Checker(journal[0]["experiment"], journal[0].get("at"))
    except (AshaQueueError, KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"entry {journal[0].get('id')} describes no experiment: {error}"]
    for entry in journal[1:]:
        try:
            checker.check(entry)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            checker.violations.append(f"entry {entry.get('id')} is malformed: {error!r}")
    return checker.violations or check_fold(journal)


@dataclass(slots=True)
class _Trial:
    """What the journal has said of a trial; `rung` and `attempt` are of its last `scheduled`."""

    bracket: int = 0
    rung: int = 0
    attempt: int = 1
    open: bool = True
    #: The attempt ended without a result: the next one may be scheduled.
    again: bool = False
    #: Its segment has failed for good.
    failed: bool = False
    promoted: set[int] = field(default_factory=set)
    #: Tokens of `started` by (rung, attempt).
    tokens: dict[tuple[int, int], int] = field(default_factory=dict)
    last_token: int = 0


class _Checker:
    def __init__(self, experiment: Mapping[str, Any], submitted_at: float | None) -> None:
        self.violations: list[str] = []
        plan = Plan.of(experiment)
        self._ledger = Ledger(plan.limits, plan.goal, submitted_at)
        self._ladder = plan.ladder
        self._eta = plan.ladder.reduction_factor
        self._goal = plan.goal
        self._grid_size = plan.grid_size
        self._num_trials = plan.num_trials
        self._class = partial(queue_of, experiment)
        self._trials: dict[int, _Trial] = {}
        self._brackets = plan.brackets
        self._variant = plan.variant
        #: (trial, rung) of those that go on out of a rung, in the stopping variant.
        self._going: set[tuple[int, int]] = set()
        #: New trials by bracket.
        self._begun = [0] * plan.brackets
        #: All results of each rung of each bracket.
        self._ranked: list[list[Ranks]] = [[] for _ in range(plan.brackets)]
        self._add_rungs()
        #: Promotions out of each (bracket, rung).
        self._promoted = Counter[tuple[int, int]]()
        # Nobody hedges with several brackets.
        self._standings = Standings(plan.hedge, self._eta, self._ranked[0])
        self._ended = ""
        self._paused = False

    @property
    def _levels(self) -> tuple[int, ...]:
        return self._ladder.levels

    def check(self, entry: Mapping[str, Any]) -> None:
        kind = entry["type"]
        for excess in self._ledger.excess(entry):
            self._say(entry, excess)
        if kind == "scheduled":
            self._scheduled(entry)
        elif kind in ("started", "completed", "suspended", "failed", "lost"):
            self._attempt(entry)
        elif kind == "retried":
            self._retried(entry)
        elif kind in ("paused", "resumed"):
            self._pause(entry)
        elif kind == "extended":
            self._extend(entry)
        elif kind in ("finished", "cancelled"):
            self._end(entry)
        elif kind == "submitted":
            self._say(entry, "the experiment is submitted a second time")
        self._ledger.apply(entry)

    def _say(self, entry: Mapping[str, Any], what: str) -> None:
        if "trial" in entry:
            what = f"trial {entry['trial']}, rung {entry['rung']}: {what}"
        self.violations.append(f"entry {entry.get('id')}: {what}")

    def _scheduled(self, entry: Mapping[str, Any]) -> None:
        name, rung, attempt = entry["trial"], entry["rung"], entry["attempt"]
        bracket = entry["bracket"]
        if self._ended:
            self._say(entry, f"scheduled after the experiment was {self._ended}")
        if self._paused and attempt == 1:
            self._say(entry, "scheduled while the experiment is paused")
        if not 0 <= bracket < self._brackets:
            self._say(entry, f"scheduled in bracket {bracket}, but there are {self._brackets}")
            return
        levels = self._levels[bracket:]
        if not 0 <= rung < len(levels):
            self._say(entry, f"scheduled, but the ladder has {len(levels)} rungs")
            return
        if entry["target"] != levels[rung]:
            self._say(entry, f"its target is {entry['target']} instead of {levels[rung]}")
        trial = self._trials.get(name)
        if trial is not None and trial.bracket != bracket:
            self._say(entry, f"in bracket {bracket}, but it began in bracket {trial.bracket}")
            return
        if attempt > 1:
            after = trial and trial.again and (trial.rung, trial.attempt + 1)
            if (rung, attempt) != after:
                self._say(entry, f"attempt {attempt} does not follow the end of the one before")
            if trial is not None:
                trial.attempt, trial.open, trial.again = attempt, True, False
        elif rung == 0:
            if name != len(self._trials) or name >= self._num_trials:
                self._say(entry, f"started as number {len(self._trials)} of {self._num_trials}")
            due = due_bracket(self._levels, self._eta, self._begun)
            if trial is None and bracket != due:
                self._say(entry, f"started in bracket {bracket}, but bracket {due} is due")
            if left := self._left_going(self._class(levels[0])):
                self._say(entry, "started, while trial {}, rung {}, goes on".format(*min(left)))
            if trial is None:
                self._trials[name] = _Trial(bracket)
                self._begun[bracket] += 1
        elif trial is None:
            self._say(entry, "promoted, but it was never started")
        else:
            self._promotion(entry, trial)
            trial.rung, trial.attempt, trial.open, trial.again = rung, 1, True, False

    def _left_going(self, of: str) -> list[tuple[int, int]]:
        """Those that go on, in the stopping variant, before others of their class are started."""
        rungs = defaultdict[tuple[int, int], list[int]](list)
        for name, rung in self._going:
            if self._class_above(name, rung) == of:
                rungs[self._trials[name].bracket, rung].append(name)
        paid = [place for place, names in rungs.items() if self._pays(*place, names)]
        return [(name, place[1]) for place in paid for name in rungs[place]]

    def _pays(self, bracket: int, rung: int, names: list[int]) -> bool:
        """Whether there is a rung above, into which the budget lets each of these."""
        above = self._levels[bracket + rung + 1 :]
        return bool(above) and self._ledger.fits([(name, above[0]) for name in names])

    def _promotion(self, entry: Mapping[str, Any], trial: _Trial) -> None:
        below = entry["rung"] - 1
        if trial.open or trial.again:
            self._say(entry, "promoted while its segment is open")
        if below in trial.promoted:
            self._say(entry, f"promoted twice out of rung {below}")
        trial.promoted.add(below)
        name, ranks = entry["trial"], self._ranked[trial.bracket][below]
        if name not in ranks:
            self._say(entry, f"promoted out of rung {below}, which it has not completed")
            return
        where, promoted = (trial.bracket, below), self._promoted[trial.bracket, below]
        n, cut, rank = len(ranks), self._cut(*where), ranks.rank(name)
        self._promoted[where] += 1
        if ranks.last(name):
            self._say(entry, f"promoted out of rung {below}, where it diverged or failed")
        elif self._variant == "stopping":
            if (entry["trial"], below) not in self._going:
                self._say(entry, f"goes on out of rung {below}, where it was stopped")
            self._going.discard((entry["trial"], below))
        elif self._variant == "delayed" and promoted >= cut:
            allowed = f"as number {promoted + 1}, when only {cut} may be"
            self._say(entry, f"promoted out of rung {below} {allowed}")
        elif rank <= cut or self._standings.open(below):
            pass
        elif self._standings.testing(below, promoted):
            self._standings.probe(entry["trial"], below)
        else:
            allowed = f"with rank {rank} of {n}, when only the best {cut} may be"
            self._say(entry, f"promoted out of rung {below} {allowed}")

    def _class_above(self, trial: int, rung: int) -> str | None:
        """The class in which a trial goes on out of a rung; None above the top."""
        above = self._trials[trial].bracket + rung + 1
        return self._class(self._levels[above]) if above < len(self._levels) else None

    def _cut(self, bracket: int, rung: int) -> int:
        """How many of the best of a rung are candidates."""
        if bracket == 0:
            return self._standings.cut(rung)
        return len(self._ranked[bracket][rung]) // self._eta

    def _promotable(self, bracket: int, rung: int) -> list[int]:
        """The trials that may go on out of a rung, but did not."""
        ranks, cut = self._ranked[bracket][rung], self._cut(bracket, rung)
        if self._variant == "stopping":
            return [name for name in ranks.best(len(ranks)) if (name, rung) in self._going]
        if self._variant == "delayed" and self._promoted[bracket, rung] >= cut:
            return []
        best = ranks.best(len(ranks) if self._standings.open(rung) else cut)
        return [
            name
            for name in best
            if not ranks.last(name) and rung not in self._trials[name].promoted
        ]

    def _add_rungs(self) -> None:
        """The rungs that the ladder has, and the brackets have not yet."""
        for bracket, rungs in enumerate(self._ranked):
            rungs += [Ranks(self._goal) for _ in self._levels[bracket + len(rungs) :]]

    def _attempt(self, entry: Mapping[str, Any]) -> None:
        kind, rung, attempt = entry["type"], entry["rung"], entry["attempt"]
        trial = self._trials.get(entry["trial"])
        if trial is None or not trial.open or (rung, attempt) != (trial.rung, trial.attempt):
            twice = kind == "completed" and self._has_result(entry["trial"], trial, rung)
            self._say(
                entry,
                "completed twice" if twice else f"{kind}, but attempt {attempt} of it is not open",
            )
            return
        if kind == "started":
            self._started(entry, trial)
            return
        self._token(entry, trial)
        trial.open = False
        if kind == "completed":
            self._result(entry["trial"], trial, entry["metrics"])
        elif kind == "failed" and entry["final"]:
            self._result(entry["trial"], trial, {})
            trial.failed = True
        else:
            trial.again = True

    def _retried(self, entry: Mapping[str, Any]) -> None:
        rung = entry["rung"]
        trial = self._trials.get(entry["trial"])
        if trial is None or not trial.failed or rung != trial.rung:
            self._say(entry, "retried, but it has not failed for good")
            return
        self._ranked[trial.bracket][rung].remove(entry["trial"])
        self._standings.withdraw(entry["trial"], rung)
        trial.failed, trial.again = False, True
        self._reopen(entry)

    def _started(self, entry: Mapping[str, Any], trial: _Trial) -> None:
        rung, attempt, start = entry["rung"], entry["attempt"], entry["start"]
        token = int(entry["token"])
        if (rung, attempt) in trial.tokens:
            self._say(entry, f"attempt {attempt} is started twice")
        if token <= trial.last_token:
            self._say(entry, f"its token {token} is not greater than {trial.last_token}")
        trial.tokens[rung, attempt] = trial.last_token = token
        levels = self._levels[trial.bracket :]
        below = levels[rung - 1] if rung else 0
        if not 0 <= start < levels[rung]:
            self._say(entry, f"starts at {start}, not below its target {levels[rung]}")
        elif attempt == 1 and start > below:
            self._say(entry, f"starts at {start}, above the level {below} that it had reached")

    def _token(self, entry: Mapping[str, Any], trial: _Trial) -> None:
        """The token at the end of an attempt is that of its `started`."""
        kind, rung, attempt = entry["type"], entry["rung"], entry["attempt"]
        started = trial.tokens.get((rung, attempt))
        if started is not None:
            if int(entry["token"]) != started:
                self._say(entry, f"{kind} with token {entry['token']}, started with {started}")
        elif kind == "completed":
            earlier = [trial.tokens.get((rung, before)) for before in range(1, attempt)]
            if int(entry["token"]) not in earlier:
                self._say(entry, f"completed with token {entry['token']}, never started with it")
        elif kind == "suspended":
            self._say(entry, "suspended, but it was not started")

    def _result(self, name: int, trial: _Trial, metrics: Mapping[str, Any]) -> None:
        rung, rungs = trial.rung, self._ranked[trial.bracket]
        rungs[rung].add(name, metrics)
        if self._variant == "stopping" and not rungs[rung].last(name):
            n = len(rungs[rung])
            if n < self._eta or rungs[rung].rank(name) <= n // self._eta:
                self._going.add((name, rung))
        if rung and name in rungs[rung - 1]:
            below, here = rungs[rung - 1].losses(name), rungs[rung].losses(name)
            self._standings.result(name, rung, below, here)

    def _has_result(self, name: int, trial: _Trial | None, rung: int) -> bool:
        rungs = self._ranked[trial.bracket] if trial else []
        return 0 <= rung < len(rungs) and name in rungs[rung]

    def _pause(self, entry: Mapping[str, Any]) -> None:
        if self._ended:
            self._say(entry, f"{entry['type']}, but it was {self._ended} before")
        if entry["type"] == "resumed" and not self._paused:
            self._say(entry, "resumed, but it was not paused")
        self._paused = entry["type"] == "paused"

    def _extend(self, entry: Mapping[str, Any]) -> None:
        changed = entry["changed"]
        num_trials = self._num_trials
        if "num_samples" in changed:
            num_trials = changed["num_samples"] * self._grid_size
        if num_trials < self._num_trials:
            self._say(entry, f"extended from {self._num_trials} to {num_trials} trials")
        self._num_trials = max(num_trials, self._num_trials)
        try:
            self._ladder = self._ladder.extended(changed.get("max_t", self._ladder.max_t))
        except SpecificationError as error:
            self._say(entry, f"extended: {error}")
        self._add_rungs()
        self._reopen(entry)

    def _reopen(self, entry: Mapping[str, Any]) -> None:
        if self._ended == "cancelled":
            self._say(entry, f"{entry['type']}, but it was cancelled before")
        else:
            self._ended = ""

    def _end(self, entry: Mapping[str, Any]) -> None:
        if self._ended:
            self._say(entry, f"{entry['type']}, but it was {self._ended} before")
        self._ended = entry["type"]
        if entry["type"] == "cancelled":
            self._paused = False
            for trial in self._trials.values():
                trial.open = trial.again = False
            return
        if self._paused:
            self._say(entry, "finished while it was paused")
        early = self._ledger.ends(entry.get("at"))
        for name, trial in self._trials.items():
            trains = trial.again or (trial.rung, trial.attempt) in trial.tokens
            if (trial.open or trial.again) and (trains or not early):
                self._say(entry, f"finished while trial {name}, rung {trial.rung}, is open")
        if early:
            return
        due = due_bracket(self._levels, self._eta, self._begun)
        next_one = len(self._trials), self._levels[due]
        if len(self._trials) < self._num_trials and self._ledger.fits([next_one]):
            self._say(entry, f"finished with {len(self._trials)} of {self._num_trials} trials")
        if self._variant == "pasha":
            return
        for bracket, rungs in enumerate(self._ranked):
            for rung in range(len(rungs) - 1):
                names = self._promotable(bracket, rung)
                for name in names if self._pays(bracket, rung, names) else ():
                    self._say(entry, f"finished while trial {name} is promotable, rung {rung}")
