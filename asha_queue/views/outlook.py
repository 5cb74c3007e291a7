"""What an experiment is still to spend, how long that takes, and which budget may end it first."""

from typing import Any

from asha_queue.result import Result, RungSummary
from asha_queue.search.brackets import cost
from asha_queue.search.hedge import TESTED
from asha_queue.views.words import duration, number

#: The share of a rung's trials that has been promoted where all are; the others diverged, or wait.
NEARLY_ALL = 0.8


def lets_all_go_on(result: Result, rung: RungSummary) -> bool:
    """Whether a search that hedges has promoted nearly all out of a rung, and more than by rank and
    as a test. A sampler that learns brings ever better trials, of which many are promoted by rank.
    """
    specification = result.specification
    by_rank = rung.results // specification.reduction_factor
    more = rung.promoted > max(by_rank + TESTED, NEARLY_ALL * rung.results)
    return specification.hedge and more


def expected_resource(result: Result) -> int:
    """What the experiment will have spent at its end, if from now on each rung promotes ⌊n/η⌋, or
    all where it has promoted more than that and a test."""
    rungs, total = result.rungs, 0
    for bracket, reaching in enumerate(_expected_trials(result)):
        below = 0
        for place, rung in enumerate(rungs[bracket:], start=bracket):
            reaching = max(reaching, result.results_at(place, bracket))
            total += reaching * (rung.level - below)
            below = rung.level
            if not lets_all_go_on(result, rung):
                reaching //= result.specification.reduction_factor
    if budget := result.specification.resource_budget:
        total = min(total, budget)
    return max(total, result.resource_spent)


def _expected_trials(result: Result) -> list[int]:
    """Trials that each bracket will have been given: those to come get equal shares of the budget
    in the mean."""
    specification = result.specification
    left = specification.num_trials - sum(result.started)
    if len(result.started) == 1:
        return [specification.num_trials]
    shares = [1 / cost(specification.ladder, bracket) for bracket in range(len(result.started))]
    return [
        started + round(left * share / sum(shares))
        for started, share in zip(result.started, shares, strict=True)
    ]


def seconds_left(result: Result, workers: int, now: float = 0.0) -> float | None:
    """Seconds to the end at the pace so far, or to that of the time budget if it comes first (while
    nothing has been measured None, without one). `now` is the server's time, if it is known."""
    if result.state in ("finished", "cancelled"):
        return 0.0
    budget = result.specification.time_budget
    left = None if budget is None else max(0.0, budget - result.clock.seconds(max(now, result.at)))
    busy = sum(rung.seconds for trial in result.trials for rung in trial.results)
    if not busy or not result.resource_spent:
        return left
    per_unit = busy / result.resource_spent
    paced = (expected_resource(result) - result.resource_spent) * per_unit / workers
    return paced if left is None else min(paced, left)


def budgets(result: Result, now: float = 0.0) -> list[dict[str, Any]]:
    """What may end it early: each limit, what is used of it, and both as a sentence; `now` as
    above. Of `stop_at`, which is used up by no measure, the best value so far."""
    specification, found = result.specification, []
    if budget := specification.time_budget:
        used = result.clock.seconds(max(now, result.at))
        text = f"time_budget: {duration(used)} of {duration(budget)}"
        found.append({"name": "time_budget", "limit": budget, "used": used, "text": text})
    if units := specification.resource_budget:
        spent = result.resource_spent
        text = f"resource_budget: {spent:,} of {units:,} steps"
        found.append({"name": "resource_budget", "limit": units, "used": spent, "text": text})
    if specification.stop_at:
        aims = " and ".join(map(str, specification.plan.limits.stop_at))
        leading = specification.leading
        values = [rung.best for rung in result.rungs if rung.best is not None]
        best = None
        if leading.metric in specification.stop_at and values:
            best = min(values) if leading.mode == "min" else max(values)
        text = f"stop_at: {aims}" + ("" if best is None else f", {number(best)} so far")
        limit = specification.stop_at
        found.append({"name": "stop_at", "limit": limit, "used": best, "text": text})
    return found
