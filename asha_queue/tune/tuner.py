"""`run` and `Tuner`: a search in Ray Tune's words, as an `Experiment`.

Rules

* The search is the one that the script asks for: ASHA by promotion without hedging, configurations
  drawn at random. `search_alg` names another sampler.
* Without a scheduler every trial is trained until its function returns; the ladder has the one rung
  UNBOUNDED then, or that of `stop`.
* A search that is given a name goes on where it was when it is run again, one without a name is
  new each time, as in Ray.
* An argument that is not supported is refused by its name, never ignored.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from asha_queue import where
from asha_queue.errors import SpecificationError
from asha_queue.experiment import Experiment
from asha_queue.node import gpus
from asha_queue.terminal.view import Silent
from asha_queue.training import programs
from asha_queue.tune.analysis import ExperimentAnalysis, ResultGrid
from asha_queue.tune.schedulers import ASHAScheduler, FIFOScheduler
from asha_queue.tune.table import print_trials

#: Reports up to which a trial is trained that nothing else ends.
UNBOUNDED = 1_000_000

#: What is refused, and what to use in its place.
_INSTEAD = {
    "callbacks": "Flower, asha-queue status or journal.jsonl in the folder of the run",
    "progress_reporter": "verbose=1, or verbose=0 for nothing",
    "sync_config": "storage_path=DIR, a folder that all machines share",
    "local_dir": "storage_path=DIR",
    "checkpoint_config": "tune.report(metrics, checkpoint=…) whenever one is to be saved",
    "keep_checkpoints_num": "nothing: what may still be promoted keeps its checkpoint",
    "resume": "name=NAME: a search with a name goes on where it was",
    "fail_fast": "asha-queue cancel NAME",
    "points_to_evaluate": "Experiment(initial_configs=…)",
}


def run(
    run_or_experiment: Callable[..., Any],
    *,
    config: Mapping[str, Any] | None = None,
    num_samples: int = 1,
    scheduler: ASHAScheduler | FIFOScheduler | None = None,
    metric: str | None = None,
    mode: str | None = None,
    name: str | None = None,
    stop: Mapping[str, Any] | None = None,
    resources_per_trial: Mapping[str, float] | None = None,
    search_alg: str | None = None,
    max_concurrent_trials: int | None = None,
    time_budget_s: float | timedelta | None = None,
    max_failures: int = 0,
    storage_path: str | None = None,
    verbose: int = 1,
    **others: Any,
) -> ExperimentAnalysis:
    """Searches for the best configuration of a function, on this machine or, with
    ASHA_QUEUE_BROKER, by the workers of that broker.

    Args:
        config: the space; each point of its grids is tried `num_samples` times.
        scheduler: ASHAScheduler, or None to train every trial in full.
        stop: {"training_iteration": n}, the most reports of a trial without a scheduler.
        resources_per_trial: {"cpu": n} for n CPUs each, {"gpu": 1} for a GPU each.
        search_alg: the name of a sampler, such as "trees" or "optuna-tpe"; default: "random".
        time_budget_s: seconds after which the search saves and ends; num_samples may be -1 then,
            for as many as it takes.
        verbose: 0 shows nothing, 1 the progress and in the end the table of trials.

    Raises SpecificationError naming what is wrong or not supported, and what to use instead.
    """
    programs.end_loading()
    for argument in others:
        instead = _INSTEAD.get(argument, "leave it out")
        raise SpecificationError(f"tune.run({argument}=…): is not supported; instead: {instead}")
    resources = resources_per_trial or getattr(run_or_experiment, "_asha_queue_resources", None)
    concurrent = {"max_concurrent": max_concurrent_trials} if max_concurrent_trials else {}
    experiment = Experiment(
        name=name or _new_name(run_or_experiment),
        train=run_or_experiment,
        dialect="ray",
        space=config or {},
        num_samples=_enough(num_samples, time_budget_s),
        time_budget=_seconds(time_budget_s),
        sampler=_sampler(search_alg),
        hedge=False,
        retries=max_failures,
        **concurrent,
        **_ladder(scheduler, stop),
        **_compared(scheduler, metric, mode),
    )
    result = experiment.run(
        workers=None if where.broker(embedded=False) else _workers(resources),
        storage=storage_path,
        progress=None if verbose else Silent(),
    )
    root = Path(where.storage(storage_path, result.specification.storage).url)
    analysis = ExperimentAnalysis(result, root)
    if verbose:
        print_trials(analysis.trials)
    return analysis


@dataclass(frozen=True, slots=True)
class TuneConfig:
    """How a `Tuner` searches."""

    metric: str | None = None
    mode: str | None = None
    num_samples: int = 1
    scheduler: ASHAScheduler | FIFOScheduler | None = None
    search_alg: str | None = None
    max_concurrent_trials: int | None = None
    time_budget_s: float | timedelta | None = None


@dataclass(frozen=True, slots=True)
class RunConfig:
    """What a `Tuner`'s search is called, where it is stored and what it shows."""

    name: str | None = None
    storage_path: str | None = None
    stop: Mapping[str, Any] | None = None
    verbose: int = 1


class Tuner:
    """A search that `fit` runs."""

    def __init__(
        self,
        trainable: Callable[..., Any],
        *,
        param_space: Mapping[str, Any] | None = None,
        tune_config: TuneConfig | None = None,
        run_config: RunConfig | None = None,
    ) -> None:
        self._trainable = trainable
        self._space = param_space
        self._tune = tune_config or TuneConfig()
        self._run = run_config or RunConfig()

    def fit(self) -> ResultGrid:
        """Runs it, as `tune.run` does."""
        analysis = run(
            self._trainable,
            config=self._space,
            num_samples=self._tune.num_samples,
            scheduler=self._tune.scheduler,
            metric=self._tune.metric,
            mode=self._tune.mode,
            search_alg=self._tune.search_alg,
            max_concurrent_trials=self._tune.max_concurrent_trials,
            time_budget_s=self._tune.time_budget_s,
            name=self._run.name,
            stop=self._run.stop,
            storage_path=self._run.storage_path,
            verbose=self._run.verbose,
        )
        root = Path(
            where.storage(self._run.storage_path, analysis.result.specification.storage).url
        )
        return ResultGrid(analysis.result, root)


def with_resources(function: Callable[..., Any], resources: Mapping[str, float]) -> Any:
    """The function, each trial of which needs these: {"cpu": n} or {"gpu": 1}."""
    function._asha_queue_resources = resources  # type: ignore[attr-defined]  # made here
    return function


def _compared(
    scheduler: ASHAScheduler | FIFOScheduler | None, metric: str | None, mode: str | None
) -> dict[str, Any]:
    """Metric and mode, which the search or its scheduler names."""
    found = {"metric": metric, "mode": mode}
    for field in ("metric", "mode"):
        theirs = getattr(scheduler, field, None)
        if found[field] and theirs and found[field] != theirs:
            raise SpecificationError(
                f"{field}={found[field]!r}: the scheduler has {field}={theirs!r}; leave one out"
            )
        found[field] = found[field] or theirs
        if found[field] is None:
            raise SpecificationError(
                f"{field}: is missing; give it to the search or its scheduler, such as "
                f"metric='accuracy', mode='max'"
            )
    return found


def _ladder(
    scheduler: ASHAScheduler | FIFOScheduler | None, stop: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The fields of the ladder."""
    if unknown := sorted({*(stop or {})} - {"training_iteration"}):
        raise SpecificationError(
            f"stop={dict(stop or {})!r}: {unknown[0]!r} is not supported; return from the function "
            f"to end a trial, give 'training_iteration', or Experiment(stop_at=…) to end the search"
        )
    most = (stop or {}).get("training_iteration")
    if isinstance(scheduler, ASHAScheduler):
        fields = dict(scheduler.fields)
        if most is not None:
            fields["max_t"] = min(fields["max_t"], most)
        return fields
    if scheduler is not None and not isinstance(scheduler, FIFOScheduler):
        raise SpecificationError(
            f"scheduler={scheduler!r:.80}: give an ASHAScheduler of asha_queue.tune.schedulers, or "
            f"None to train every trial in full"
        )
    full = UNBOUNDED if most is None else most
    return {"max_t": full, "grace_period": full}


def _enough(num_samples: int, time_budget_s: float | timedelta | None) -> int:
    """New trials; in Ray -1 is for as many as fit into the time."""
    if num_samples == -1 and time_budget_s is not None:
        return UNBOUNDED
    return num_samples


def _seconds(time_budget_s: float | timedelta | None) -> float | None:
    return time_budget_s.total_seconds() if isinstance(time_budget_s, timedelta) else time_budget_s


def _sampler(search_alg: Any) -> str:
    if search_alg is None:
        return "random"
    if not isinstance(search_alg, str):
        raise SpecificationError(
            f"search_alg={search_alg!r:.80}: is not supported; give the name of a sampler, such as "
            f"search_alg='trees' or 'optuna-tpe'"
        )
    return search_alg


def _workers(resources: Mapping[str, float] | None) -> int | None:
    """CPU workers to start here, or None for one per GPU."""
    needed = dict(resources or {})
    gpu, cpu = needed.pop("gpu", 0), needed.pop("cpu", 1)
    if needed or gpu not in (0, 1):
        raise SpecificationError(
            f"resources_per_trial={dict(resources or {})!r}: 'cpu' and 'gpu' of 0 or 1 are what is "
            f"applied; for other shares of GPUs start workers by asha-queue worker "
            f"--workers-per-gpu or --gpus-per-worker, and set ASHA_QUEUE_BROKER"
        )
    present = bool(gpus.found())
    if gpu and not present:
        raise SpecificationError(
            "resources_per_trial: a GPU for each trial, but this machine has none; leave 'gpu' "
            "out, or set ASHA_QUEUE_BROKER to the broker of workers that have"
        )
    if present and (gpu or resources is None):
        return None
    return max(1, int((os.cpu_count() or 1) // max(cpu, 1)))


def _new_name(function: Callable[..., Any]) -> str:
    made = getattr(function, "__name__", "search").strip("<>_")[:40] or "search"
    return f"{made}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
