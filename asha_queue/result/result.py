"""What an experiment has brought so far, folded from its journal.

A read model: it takes entries in any order that a journal may have, skips what it does not know,
and refuses nothing. Whether a journal is right is for `search.rules` to say. Applying an entry
costs the same however long the journal is, so that views can follow a running experiment.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from asha_queue.errors import AshaQueueError, JournalError
from asha_queue.figures import draw, parameters, plotted
from asha_queue.result.leaders import Leaders
from asha_queue.result.trials import Best, Improvement, RungResult, RungSummary, TrialResult
from asha_queue.result.verdicts import Verdicts
from asha_queue.search.budget import Clock
from asha_queue.search.goal import Goal
from asha_queue.search.limits import EXTENDABLE, raised
from asha_queue.search.rung import number
from asha_queue.specification import Specification
from asha_queue.tally import Tally
from asha_queue.troubles import Troubles

_ENDED = ("finished", "cancelled")


class Result:
    """The trials of an experiment and what is best among them."""

    def __init__(self, specification: Specification) -> None:
        #: As submitted, but with `num_samples`, `max_t` and budgets as they were extended.
        self.specification = specification
        self.trials: list[TrialResult] = []
        #: "running", "paused", "finished" or "cancelled".
        self.state = "running"
        #: Why it has ended, in words; empty while it has not.
        self.reason = ""
        #: For how long it was open: what counts for its time_budget.
        self.clock = Clock()
        #: The best value seen at any resource, in a rung's result or on the way to it.
        self.best_seen: Best | None = None
        #: How the best value seen came about, by time.
        self.improvements: list[Improvement] = []
        #: What went wrong, and why.
        self.troubles = Troubles()
        #: What is counted, of segments and of workers.
        self.tally = Tally()
        #: Resource spent by all attempts, those that were lost included.
        self.resource_spent = 0
        #: The entries this was folded from, if `from_journal` or `simulate` made it.
        self.journal: list[dict[str, Any]] = []
        self._ladder = specification.ladder
        plan = specification.plan
        self._goal, self._verdicts = plan.goal, Verdicts(plan)
        #: The least total violation of the constraints by a result, and of which trial.
        self.nearest: tuple[float, int] | None = None
        #: New trials by bracket.
        self.started = [0] * specification.brackets
        # The following are by level of the ladder.
        #: Results by bracket.
        self._results: list[list[int]] = []
        self._promoted: list[int] = []
        self._spent: list[int] = []
        self._leaders: list[Leaders] = []
        self._add_rungs()
        self._least_loss = math.inf
        #: The journal's time of the first entry.
        self.began: float | None = None
        #: And of the last.
        self.at = 0.0

    @classmethod
    def from_journal(cls, entries: Iterable[dict[str, Any]]) -> Self:
        """Folds a whole journal, whose first entry is `submitted`; raises JournalError, naming the
        entry, for one that cannot follow those before it."""
        journal = list(entries)
        if not journal or journal[0]["type"] != "submitted":
            raise JournalError("the journal does not begin with `submitted`: its start is missing")
        result = cls(Specification.from_json(journal[0]["experiment"]))
        for entry in journal:
            try:
                if entry.get("trial", 0) > len(result.trials):
                    raise LookupError(f"{len(result.trials)} trials come before it")
                result.apply(entry)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise JournalError(f"entry {entry.get('id')} cannot be read: {error!r}") from None
        result.journal = journal
        return result

    @property
    def best(self) -> Best | None:
        """The best result of the highest rung that has one with a finite value; of equal ones that
        of the lowest trial. Of several metrics it is the one of `pareto_front` that is best in the
        first. What violates a constraint is none."""
        return next((of.best for of in reversed(self._leaders) if of.best), None)

    @property
    def pareto_front(self) -> list[Best]:
        """The results of `best`'s rung than which no other is as good in every metric and better in
        one, the best in the first metric first; with one metric, `best` alone."""
        return next((of.front for of in reversed(self._leaders) if of.best), [])

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None
    ) -> dict[str, Any] | None:
        """The configuration of the best trial, by another metric or mode if one is given. Of the
        experiment's own metrics the mode is known."""
        if metric is None and mode is None:
            return self.best.config if self.best else None
        own = {goal.metric: goal.mode for goal in self._goal.objectives}
        leading = self._goal.objectives[0]
        metric = metric or leading.metric
        leader = self._leader(Goal(metric, mode or own.get(metric, leading.mode)))
        return leader.config if leader else None

    @property
    def rungs(self) -> list[RungSummary]:
        """One line per level of the ladder, from the lowest."""
        summaries, metric = [], self._goal.objectives[0].metric
        for rung, level in enumerate(self._ladder.levels):
            leader = self._leaders[rung].best
            best = number(leader.metrics[metric]) if leader else None
            promoted, spent, results = self._promoted[rung], self._spent[rung], self._results[rung]
            cut = sum(n // self._ladder.reduction_factor for n in results)
            summaries.append(RungSummary(rung, level, sum(results), promoted, best, spent, cut))
        return summaries

    def results_at(self, level: int, bracket: int) -> int:
        """How many results a bracket has at a level of the ladder."""
        return self._results[level][bracket]

    @property
    def resource_full(self) -> int:
        """What training every trial up to max_t would spend."""
        return self.specification.num_trials * self.specification.max_t

    @property
    def seconds(self) -> float:
        """From the first entry to the last."""
        return 0.0 if self.began is None else self.at - self.began

    def to_pandas(self) -> Any:
        """A pandas DataFrame with one row per trial; nested columns such as `config.lr`."""
        try:
            import pandas
        except ImportError:
            raise AshaQueueError(
                "to_pandas() needs pandas, which is not installed: pip install pandas"
            ) from None
        return pandas.json_normalize(
            [
                {
                    "trial": trial.number,
                    "state": trial.state,
                    "rung": trial.rung,
                    "resource": trial.resource,
                    "metrics": trial.metrics,
                    "config": trial.config,
                }
                for trial in self.trials
            ]
        )

    def plot(self, kind: str = "curves", **options: Any) -> Any:
        """A plotly Figure, which a notebook shows by itself: best_over_time, best_over_resource,
        pareto (with metrics as `x` and `y`), curves, ladder, scatter (with `parameter="lr"`),
        parallel or importance.

        Raises AshaQueueError naming what there is, for a kind or a parameter that there is not.
        """
        if kind == "scatter" and "parameter" not in options:
            names = ", ".join(parameter.name for parameter in parameters(self))
            raise AshaQueueError(f"scatter needs a parameter, parameter=NAME; there are: {names}")
        return plotted(draw(kind, self, **options))

    def apply(self, entry: Mapping[str, Any]) -> None:
        """Folds one entry of the journal."""
        self.tally.apply(entry)
        at = entry.get("at")
        kind = entry["type"]
        if at is not None:
            self.began = at if self.began is None else self.began
            self.at = at
            self.clock.apply(kind, at)
        if kind in _ENDED:
            self.reason = entry.get("reason") or ""
            self._end(kind)
        elif kind in ("paused", "resumed"):
            self.state = "paused" if kind == "paused" else "running"
        elif kind == "extended":
            self._extend(entry.get("changed") or {})
        elif "trial" in entry:
            trial = self._trial(entry["trial"])
            trial.history.apply(entry)
            if kind == "scheduled":
                self._schedule(trial, entry)
            elif kind == "started":
                trial.state = "running"
                trial.rung = trial.bracket + entry["rung"]
                trial.worker = entry.get("worker")
                trial.start = entry.get("start") or 0
            elif kind in ("completed", "suspended", "failed", "lost"):
                self._leave(trial, entry)
            elif kind == "retried":
                self._retry(trial, entry)
            if self.state in _ENDED:  # a straggler's entry, after the end
                trial.settle(self.state)

    def _trial(self, trial: int) -> TrialResult:
        while len(self.trials) <= trial:
            self.trials.append(TrialResult(len(self.trials)))
        return self.trials[trial]

    def _schedule(self, trial: TrialResult, entry: Mapping[str, Any]) -> None:
        trial.state, trial.bracket = "queued", entry.get("bracket", 0)
        trial.config = entry.get("config") or trial.config
        trial.target = entry.get("target")
        trial.history.send(self.specification.queue_of(trial.target or 0))
        trial.attempts += 1
        if entry.get("attempt", 1) == 1:
            if entry["rung"]:
                self._promoted[trial.bracket + entry["rung"] - 1] += 1
            else:
                self.started[trial.bracket] += 1

    def _leave(self, trial: TrialResult, entry: Mapping[str, Any]) -> None:
        """The end of an attempt, whichever it was."""
        reached = entry.get("reached")
        if reached is not None:
            trial.resource = max(trial.resource, reached)
            if trial.start is not None:
                spent = max(0, reached - trial.start)
                self.resource_spent += spent
                self._spent[trial.bracket + entry["rung"]] += spent
        trial.state = "queued"
        if entry["type"] == "completed":
            self._complete(trial, entry)
        elif entry["type"] == "lost":
            self.troubles.lost(entry)
        elif entry["type"] == "failed":
            self.troubles.failed(entry)
            trial.error = entry.get("error")
            if entry.get("final"):
                trial.state = "failed"
                self._results[trial.bracket + entry["rung"]][trial.bracket] += 1
                self._verdicts.add(trial.bracket, entry["rung"], trial.number, self._goal.value({}))
        self._extend_curve(trial, entry.get("curve"))
        trial.worker = trial.start = None
        if trial.state != "queued":
            trial.target = None

    def _complete(self, trial: TrialResult, entry: Mapping[str, Any]) -> None:
        rung = trial.bracket + entry["rung"]
        metrics = _read(entry.get("metrics"))
        reached = entry.get("reached")
        leading, ranks = self._goal.objectives[0], self._goal.ranks(metrics)
        result = RungResult(
            rung=rung,
            level=self._ladder.levels[rung],
            value=leading.value(metrics) if ranks or self._goal == leading else math.nan,
            metrics=metrics,
            reached=self._ladder.levels[rung] if reached is None else reached,
            checkpoint=entry.get("checkpoint"),
            seconds=entry.get("seconds") or 0.0,
            worker=entry.get("worker"),
            at=self.at,
            spent=self.resource_spent,
            violation=self._goal.violation(metrics),
        )
        trial.results.append(result)
        trial.rung, trial.metrics, trial.error = rung, metrics, None
        self._results[rung][trial.bracket] += 1
        self._verdicts.add(trial.bracket, entry["rung"], trial.number, self._goal.value(metrics))
        if not ranks:
            trial.state = "diverged"
            metric = self._goal.culprit(metrics)
            self.troubles.diverged(trial.number, metric, metrics.get(metric))
        else:
            trial.state = self._rest(trial)
            found = result.violation, trial.number
            self.nearest = min(found, self.nearest or found)
            self._leaders[rung].add(trial, result)
        # Before the curve, whose last point is this result without its checkpoint.
        self._see(trial, metrics, result.reached, result.checkpoint)

    def _rest(self, trial: TrialResult) -> str:
        """The state of a trial with a value in its last rung."""
        assert trial.rung is not None, "it has a result"
        if trial.rung == len(self._results) - 1:
            return "done"
        return self._verdicts.state(trial.bracket, trial.rung - trial.bracket, trial.number)

    def _extend_curve(self, trial: TrialResult, points: Sequence[Any] | None) -> None:
        if not points:
            return
        trial.curve.extend(points)
        losses = self._losses(points)
        least = min(losses)
        if least < self._least_loss:
            step, metrics = points[losses.index(least)]
            self._see(trial, _read(metrics), step, None)

    def _see(
        self,
        trial: TrialResult,
        metrics: dict[str, Any],
        resource: int,
        checkpoint: dict[str, Any] | None,
    ) -> None:
        loss = self._loss(metrics)
        if loss < self._least_loss:
            self._least_loss = loss
            self.best_seen = Best(trial.number, trial.config, metrics, checkpoint, resource)
            value = number(metrics[self._goal.objectives[0].metric])
            self.improvements.append(
                Improvement(self.at, self.resource_spent, trial.number, resource, value)
            )

    def _leader(self, goal: Goal) -> TrialResult | None:
        """The trial with the best finite value that meets the constraints in the highest rung that
        has one, by any metric."""
        best: dict[int, tuple[float, int]] = {}
        for trial in self.trials:
            for result in trial.results:
                loss = goal.loss(result.metrics)
                if math.isfinite(loss) and not result.violation:
                    key = (loss, trial.number)
                    best[result.rung] = min(key, best.get(result.rung, key))
        return self.trials[best[max(best)][1]] if best else None

    def _losses(self, points: Sequence[Any]) -> list[float]:
        """The losses along a curve, quickly where all are plain numbers."""
        metric, mode = self._goal.objectives[0].metric, self._goal.objectives[0].mode
        values = [metrics.get(metric) for _, metrics in points]
        if not self._goal.constraints and set(map(type, values)) <= {float, int}:
            return values if mode == "min" else [-value for value in values]
        return [self._loss(metrics) for _, metrics in points]

    def _loss(self, metrics: Mapping[str, Any]) -> float:
        """Of the first metric; infinite, too, where a constraint is violated."""
        if self._goal.violation(metrics):
            return math.inf
        return self._goal.objectives[0].loss(metrics)

    def _retry(self, trial: TrialResult, entry: Mapping[str, Any]) -> None:
        """A final failure is none any more; the next `scheduled` follows."""
        if trial.state == "failed":
            trial.state = "queued"
            self._results[trial.bracket + entry["rung"]][trial.bracket] -= 1
            self._verdicts.withdraw(trial.bracket, entry["rung"], trial.number)
        self._reopen()

    def _extend(self, changed: Mapping[str, Any]) -> None:
        present, modes = self.specification, {g.metric: g.mode for g in self._goal.objectives}
        self.specification = present.extended(
            {
                name: value
                for name, value in changed.items()
                if name in EXTENDABLE and raised(name, getattr(present, name), value, modes) > 0
            }
        )
        self._ladder = self._ladder.extended(self.specification.max_t)
        self._add_rungs()
        for trial in self.trials:
            if trial.state == "done":
                trial.state = self._rest(trial)
        self._reopen()

    def _add_rungs(self) -> None:
        """Room for what is counted of each rung, after the ladder has grown."""
        more = len(self._ladder.levels) - len(self._results)
        self._results += [[0] * self.specification.brackets for _ in range(more)]
        self._promoted += [0] * more
        self._spent += [0] * more
        self._leaders += [Leaders(self._goal) for _ in range(more)]

    def _reopen(self) -> None:
        """What was finished goes on; what was paused stays so."""
        if self.state != "finished":
            return
        self.state, self.reason = "running", ""
        for trial in self.trials:
            if trial.state == "stopped" and trial.target is not None:
                trial.state = "queued"
            elif trial.state == "stopped" and not self._verdicts.fall:
                trial.state = "waiting"

    def _end(self, kind: str) -> None:
        self.state = kind
        for trial in self.trials:
            if kind == "cancelled":
                trial.history.cancel(self.at)
            trial.settle(kind)


def _read(metrics: Mapping[str, Any] | None) -> dict[str, Any]:
    """Metrics with the numbers that JSON holds as texts."""
    metrics = metrics or {}
    return {k: number(v) if isinstance(v, str) else v for k, v in metrics.items()}
