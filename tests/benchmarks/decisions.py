"""What the search costs: decisions, whole experiments on the virtual clock, suggestions.

How to read it: a decision is the time in the search from "a result is in" to "the next segment is
out", with that many results in the lowest rung, as the median of 2,000; it should be flat. Other
kinds of search follow: several metrics are sorted anew into fronts for each result. A
suggestion is what trees cost while results come in, the forests that are grown for it included; the
longest is one for which a forest is grown.
"""

import random
import resource
import statistics
import time
from collections.abc import Iterator
from typing import Any

from asha_queue.samplers import Suggestions, prepare
from asha_queue.search.asha import Asha, Decision
from asha_queue.search.goal import Goal, Goals
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan
from asha_queue.search.space import loguniform, uniform
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.benchmarks.table import Figure

#: Decisions timed for each number of results.
DECISIONS = 2_000


class Search:
    """A search in which every decision is trained at once, with a random value."""

    def __init__(self) -> None:
        self.asha = Asha(Plan(Ladder(1, 64, 4), Goal("accuracy", "max"), num_trials=10**9))
        self._rng = random.Random(0)
        [self._next] = self.asha.decide(1)

    def step(self) -> tuple[Decision, float]:
        """Trains the decided segment; returns it and the seconds from its result to the next."""
        done = self._next
        scheduled = {"type": "scheduled", "trial": done.trial, "bracket": 0, "rung": done.rung}
        self.asha.apply({**scheduled, "target": done.target, "attempt": 1})
        completed: dict[str, Any] = {"type": "completed", "trial": done.trial, "rung": done.rung}
        completed["metrics"] = {"accuracy": self._rng.random()}
        began = time.perf_counter()
        self.asha.apply(completed)
        [self._next] = self.asha.decide(1)
        return done, time.perf_counter() - began


def decisions() -> Iterator[Figure]:
    search = Search()
    first = 0.0
    for results in (10**3, 10**4, 10**5, 10**6):
        while search.asha.started < results:
            search.step()
        median = statistics.median(search.step()[1] for _ in range(DECISIONS)) * 1e6
        first = first or median
        beside = f"{median / first:.2f} × that at 1,000"
        yield Figure(
            f"decision with {results:,} results in a rung", median, "µs", 10, beside=beside
        )


def variant(plan: Plan, what: str, decided: int, results: tuple[int, ...]) -> Iterator[Figure]:
    """The same of another kind of search: results of as many trials are in, undecided."""
    names = [goal.metric for goal in plan.goal.objectives]
    for number in results:
        search, rng = Asha(plan), random.Random(0)
        for one in search.decide(number + decided):
            of = {"trial": one.trial, "bracket": one.bracket, "rung": 0, "attempt": 1}
            search.apply({"type": "scheduled", "target": one.target, **of})
        took = []
        for trial in range(number + decided):
            metrics = {name: rng.random() for name in names}
            began = time.perf_counter()
            search.apply({"type": "completed", "trial": trial, "rung": 0, "metrics": metrics})
            if trial >= number:
                search.decide(1)
                took.append(time.perf_counter() - began)
        median = statistics.median(took) * 1e6
        yield Figure(f"the same with {what}, {number:,} results", median, "µs")


def variants() -> Iterator[Figure]:
    ladder, loss, often = Ladder(1, 64, 4), Goal("loss", "min"), (10**3, 10**5)
    yield from variant(Plan(ladder, loss, 10**9, hedge=True), "hedge", DECISIONS, often)
    stopping = Plan(ladder, loss, 10**9, variant="stopping")
    yield from variant(stopping, "stopping", DECISIONS, often)
    yield from variant(Plan(ladder, loss, 10**9, brackets=3), "3 brackets", DECISIONS, often)
    two = Goals.of(["loss", "latency"], "min")
    yield from variant(Plan(ladder, two, 10**9), "2 metrics", 20, often)


def simulation(trials: int, workers: int, goal: float | None = None) -> Iterator[Figure]:
    experiment = Specification(
        name="bench",
        train="bench.py:train",
        space={"lr": loguniform(1e-4, 1.0), "x": uniform(0, 1)},
        metric="loss",
        mode="min",
        max_t=64,
        num_samples=trials,
        seed=0,
        sampler="random",
    )
    began = time.perf_counter()
    result = simulate(
        experiment,
        lambda config, t: {"loss": config["x"] + 1 / t},
        lambda config, start, target: (target - start) * (1 + config["x"]),
        workers=workers,
        straggler=0.1,
    )
    took = time.perf_counter() - began
    segments = sum(rung.results for rung in result.rungs)
    what = f"{trials:,} trials on {workers:,} workers, simulated"
    yield Figure(what, took, "s", goal, beside=f"{segments:,} segments")


def suggestions(results: int, asked: int) -> Iterator[Figure]:
    experiment = Specification(
        name="bench",
        train="bench.py:train",
        space={f"x{number}": uniform(0, 1) for number in range(8)},
        metric="loss",
        mode="min",
        max_t=64,
        num_samples=results + asked,
        seed=0,
        sampler="trees",
    )
    made = Suggestions(experiment)
    prepare(experiment)
    rng = random.Random(0)
    took = []
    for trial in range(results + asked):
        if trial < results:
            config = experiment.parameters.draw(0, trial)
        else:
            began = time.perf_counter()
            [config] = made.suggest(trial, 1)
            took.append(time.perf_counter() - began)
        about = {"trial": trial, "rung": 0, "attempt": 1}
        target = 4 ** int(rng.expovariate(1.4)) if trial else 1  # one in four gets further
        made.apply({"type": "scheduled", "target": min(target, 64), "config": config, **about})
        made.apply({"type": "completed", "metrics": {"loss": rng.random()}, **about})
    mean, longest = statistics.mean(took) * 1e3, max(took) * 1e3
    what = f"suggestion by trees at {results:,} results"
    yield Figure(what, mean, "ms", beside=f"longest {longest:.0f} ms")


def figures() -> Iterator[Figure]:
    yield from simulation(10_000, 500)
    yield from simulation(100_000, 1_000, 20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    yield Figure("memory of that, at its peak", peak, "MiB", 1024)
    yield from decisions()
    yield from variants()
    for results in (100, 1_000, 10_000):
        yield from suggestions(results, results // 2)
