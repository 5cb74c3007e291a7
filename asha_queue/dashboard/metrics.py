"""Experiments for Prometheus.

Rules

* At an address of their own, which needs the login where there is one: Flower's `/metrics` is open
  to everybody. Names begin with `asha_queue_`, and nothing is added to Flower's registry.
* Numbers are those of the journals, as they were folded for the pages: a scrape reads what came
  since, and folds nothing anew. So counters survive a restart of Flower, and go with `delete`.
* `asha_queue_wanted_slots` is what a fleet may be scaled by: the slots that would be used if they
  were there, those in use included. The queue's depth is not: coordinators keep it as short as the
  fleet is small, so it is 0 where there is no worker yet. It is there for every queue that an
  experiment or a worker names, and for the one that experiments use that name none.
* An experiment that cannot be read is counted as such, and hides no other. While the store is away
  a scrape fails: Prometheus says so itself, by `up`.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from typing import Any, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from tornado.routing import URLSpec
from tornado.web import url

from asha_queue.dashboard.experiments import Experiments
from asha_queue.dashboard.followed import Look
from asha_queue.dashboard.replies import ApiHandler
from asha_queue.errors import AshaQueueError, StoreUnavailable, UnknownExperiment
from asha_queue.queue import QUEUE
from asha_queue.search.rung import number
from asha_queue.selection import STATES
from asha_queue.store.contract import Worker
from asha_queue.tally import BOUNDS, Histogram
from asha_queue.views.classes import classes
from asha_queue.views.outlook import budgets

#: States of an experiment; the last one is that of what is damaged or of a newer version.
EXPERIMENT_STATES: Final = ("running", "paused", "finished", "cancelled", "unreadable")
#: States of a slot. Only a free one takes a segment.
SLOT_STATES: Final = ("busy", "free", "aside", "draining")

#: Slots that one experiment is said to want, at most: to count them costs as much as to fill them.
MOST_WANTED: Final = 10_000

_CLASSES: Final = [*map(floatToGoString, BOUNDS), "+Inf"]


class Families:
    """The metrics, filled with one experiment after the other."""

    def __init__(self) -> None:
        one = ["experiment"]
        self.experiments = GaugeMetricFamily(
            "asha_queue_experiments", "Experiments by state.", labels=["state"]
        )
        self.trials = GaugeMetricFamily(
            "asha_queue_trials", "Trials started, by state.", labels=[*one, "state"]
        )
        self.segments = CounterMetricFamily(
            "asha_queue_segments",
            "Attempts at segments by how they ended, in the journal; those that a cancellation "
            "ended have no entry.",
            labels=[*one, "outcome"],
        )
        self.promotions = CounterMetricFamily(
            "asha_queue_promotions", "Promotions of a trial to the next rung.", labels=one
        )
        self.best = GaugeMetricFamily(
            "asha_queue_best_value",
            "The best value in the highest rung that has a result.",
            labels=[*one, "metric"],
        )
        self.budget_used = GaugeMetricFamily(
            "asha_queue_budget_used",
            "What is used of a budget: seconds of time_budget, units of resource_budget.",
            labels=[*one, "budget"],
        )
        self.budget_limit = GaugeMetricFamily(
            "asha_queue_budget_limit", "How much a budget is.", labels=[*one, "budget"]
        )
        self.queued = GaugeMetricFamily(
            "asha_queue_queued_segments",
            "Queue depth: segments that are scheduled and that no worker has started.",
            labels=[*one, "queue"],
        )
        self.wanted = GaugeMetricFamily(
            "asha_queue_wanted_slots",
            "Slots that experiments could use now, those in use included; to scale workers by.",
            labels=["queue"],
        )
        self.slots = GaugeMetricFamily(
            "asha_queue_slots",
            "Slots of live workers by state, under the queues that they serve.",
            labels=["queue", "state"],
        )
        self.losses = CounterMetricFamily(
            "asha_queue_worker_losses",
            "Segments that were lost with the process or the worker that trained them.",
            labels=[*one, "worker"],
        )
        self.stale = CounterMetricFamily(
            "asha_queue_stale_writes",
            "Writes that were refused because the segment had gone to another.",
            labels=one,
        )
        self.gaps = HistogramMetricFamily(
            "asha_queue_handoff_gap_seconds",
            "From the end of a worker's segment to the start of its next one in the experiment; "
            "without gaps above a minute, across pauses and after losses.",
            labels=one,
            unit="seconds",
        )
        self.lags = HistogramMetricFamily(
            "asha_queue_coordinator_lag_seconds",
            "From a result to the decision after it.",
            labels=one,
            unit="seconds",
        )
        self._wanted = Counter({QUEUE: 0})

    @property
    def all(self) -> list[Metric]:
        return [family for family in vars(self).values() if isinstance(family, Metric)]

    def add(self, look: Look, stale: int) -> None:
        """Adds an experiment."""
        result, tally = look.fold.result, look.fold.result.tally
        name = result.specification.name
        states = Counter(trial.state for trial in result.trials)
        for state in STATES:
            self.trials.add_metric([name, state], states[state])
        for outcome, count in tally.outcomes.items():
            self.segments.add_metric([name, outcome], count)
        self.promotions.add_metric([name], tally.promotions)
        if best := result.best:
            for metric in result.specification.metrics:
                self.best.add_metric([name, metric], number(best.metrics[metric]))
        for budget in budgets(result):
            if budget["name"] != "stop_at":
                self.budget_used.add_metric([name, budget["name"]], budget["used"])
                self.budget_limit.add_metric([name, budget["name"]], budget["limit"])
        for one in classes(result, ()):
            self.queued.add_metric([name, one["queue"]], one["queued"])
        self._wanted.update(wanted(look))
        for worker, told in tally.workers.items():
            if told.losses:
                self.losses.add_metric([name, worker], told.losses)
        self.stale.add_metric([name], stale)
        self.gaps.add_metric([name], *_histogram(tally.gaps))
        self.lags.add_metric([name], *_histogram(tally.lags))

    def add_slots(self, workers: list[Worker], busy: set[str | None], drained: set[str]) -> None:
        """Adds the fleet, after all experiments."""
        slots: Counter[tuple[str, str]] = Counter()
        queues = set()
        for worker in workers:
            queue = ",".join(sorted(worker.info.get("queues", ())))
            queues.add(queue)
            state = "free"
            if worker.name in busy:
                state = "busy"
            elif worker.name in drained:
                state = "draining"
            elif worker.aside:
                state = "aside"
            slots[queue, state] += 1
            self._wanted.update(dict.fromkeys(worker.info.get("queues", ()), 0))
        for name, count in sorted(self._wanted.items()):
            self.wanted.add_metric([name], count)
        for queue in sorted(queues):
            for state in SLOT_STATES:
                self.slots.add_metric([queue, state], slots[queue, state])


def wanted(look: Look) -> Counter[str]:
    """The slots of each queue that an experiment could use now, those in use included."""
    search, specification = look.fold.search, look.fold.specification
    slots = Counter(dict.fromkeys(specification.every_queue, 0))
    if search.state != "open":  # what still runs may come to its end
        targets = [t.target for t in look.fold.result.trials if t.state == "running" and t.target]
        slots.update(map(specification.queue_of, targets))
        return slots
    for target, segments in search.open_by_level.items():
        slots[specification.queue_of(target)] += segments
    most = specification.max_concurrent or MOST_WANTED
    for decision in search.decide(max(0, most - search.outstanding)):
        slots[specification.queue_of(decision.target)] += 1
    return slots


def _histogram(found: Histogram) -> tuple[list[tuple[str, float]], float]:
    return list(zip(_CLASSES, map(float, found.cumulative), strict=True)), found.sum


class Experimental(Collector):
    """Collects them from the experiments that are followed."""

    def __init__(self, experiments: Experiments) -> None:
        self._experiments = experiments

    def collect(self) -> Iterator[Metric]:
        families = Families()
        store = self._experiments.store
        states = Counter(dict.fromkeys(EXPERIMENT_STATES, 0))
        busy: set[str | None] = set()
        for name in self._experiments.names():
            try:
                with self._experiments.look(name) as look:
                    families.add(look, store.describe(look.fold.uid).stale)
                    states[look.fold.result.state] += 1
                    trials = look.fold.result.trials
                    busy |= {trial.worker for trial in trials if trial.state == "running"}
            except StoreUnavailable:
                raise
            except UnknownExperiment:
                continue  # deleted a moment ago
            except AshaQueueError:
                states["unreadable"] += 1
        for state, count in states.items():
            families.experiments.add_metric([state], count)
        families.add_slots(store.workers(), busy, set(store.drained()))
        yield from families.all

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry need not look at the store to know the names."""
        yield from ()


class MetricsHandler(ApiHandler):
    """All experiments, in the format of Prometheus or in that of OpenMetrics."""

    async def get(self) -> None:
        registry = CollectorRegistry()
        registry.register(Experimental(self.experiments))
        write, kind = _encoder(self.request.headers.get("Accept", ""))
        await self.answer(lambda: write(registry), kind)


def _encoder(accepted: str) -> tuple[Callable[[Any], bytes], str]:
    """How a client wants it written, and its Content-Type."""
    try:
        return choose_encoder(accepted)
    except (TypeError, ValueError):  # a version that is none
        return choose_encoder("")


def handlers(experiments: Experiments, executor: Executor) -> list[URLSpec]:
    """The address; Flower puts its `--url_prefix` before it."""
    values = {"experiments": experiments, "executor": executor}
    return [url(r"/metrics/experiments", MetricsHandler, values)]
