"""What a search has brought, in Ray Tune's words."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asha_queue.errors import AshaQueueError
from asha_queue.result import Result, TrialResult
from asha_queue.search.goal import Goal
from asha_queue.tune.checkpoint import Checkpoint

#: States of trials in Ray's words; the others are TERMINATED.
_STATUS = {
    "queued": "PENDING",
    "running": "RUNNING",
    "waiting": "PAUSED",
    "failed": "ERROR",
}


class Trial:
    """One trial of a search, as `analysis.trials` and `ResultGrid` have them."""

    def __init__(self, trial: TrialResult, storage: Path) -> None:
        last = trial.results[-1] if trial.results else None
        saved = next((r.checkpoint for r in reversed(trial.results) if r.checkpoint), None)
        self.number = trial.number
        self.trial_id = f"{trial.number:05d}"
        self.config = trial.config
        self.status = _STATUS.get(trial.state, "TERMINATED")
        self.error = trial.error
        self.worker = trial.worker or (last.worker if last else None)
        self.checkpoint = Checkpoint(storage / saved["path"]) if saved else None
        self.seconds = sum(result.seconds for result in trial.results)
        #: The last metrics, and `training_iteration`, the count of reports, with them.
        self.metrics: dict[str, Any] = {}
        if last:
            self.metrics = {
                **last.metrics,
                "training_iteration": last.reached,
                "time_total_s": self.seconds,
                "trial_id": self.trial_id,
            }
        self.last_result = self.metrics

    def row(self) -> dict[str, Any]:
        """Its metrics and configuration as one row of a table."""
        return {
            "trial_id": self.trial_id,
            "status": self.status,
            **self.metrics,
            **{f"config/{name}": value for name, value in self.config.items()},
        }


class _Trials:
    """The trials of a search, and which of them is best.

    The best is looked for in the highest rung that has results: values after different numbers of
    reports are not compared, as Ray does.
    """

    def __init__(self, result: Result, storage: Path) -> None:
        self.result = result
        self.trials = [Trial(trial, storage) for trial in result.trials]

    def _best(self, metric: str | None, mode: str | None) -> Trial | None:
        leading = self.result.specification.leading
        goal = Goal(metric or leading.metric, mode or leading.mode)
        ranked = [
            (-result.rung, goal.loss(result.metrics), trial.number)
            for trial in self.result.trials
            for result in trial.results
            if math.isfinite(goal.loss(result.metrics))
        ]
        return self.trials[min(ranked)[2]] if ranked else None

    def _frame(self) -> Any:
        try:
            import pandas
        except ImportError:
            raise AshaQueueError(
                "a dataframe needs pandas, which is not installed: pip install pandas"
            ) from None
        return pandas.DataFrame([trial.row() for trial in self.trials])


class ExperimentAnalysis(_Trials):
    """What `tune.run` returns."""

    def get_best_trial(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> Trial | None:
        """The trial that is best, by the search's metric or another; None if none has a result."""
        if scope != "last":
            raise AshaQueueError(f"scope={scope!r}: is not supported; leave it out, or give 'last'")
        return self._best(metric, mode)

    def get_best_config(
        self, metric: str | None = None, mode: str | None = None, scope: str = "last"
    ) -> dict[str, Any] | None:
        """The configuration of the best trial."""
        best = self.get_best_trial(metric, mode, scope)
        return best.config if best else None

    def dataframe(self, metric: str | None = None, mode: str | None = None) -> Any:
        """A pandas DataFrame with the last result of each trial."""
        return self._frame()

    @property
    def best_trial(self) -> Trial | None:
        return self._best(None, None)

    @property
    def best_config(self) -> dict[str, Any] | None:
        return self.get_best_config()

    @property
    def best_result(self) -> dict[str, Any]:
        best = self.best_trial
        return best.metrics if best else {}

    @property
    def best_checkpoint(self) -> Checkpoint | None:
        best = self.best_trial
        return best.checkpoint if best else None

    @property
    def results_df(self) -> Any:
        return self._frame()


class ResultGrid(_Trials):
    """What `Tuner.fit` returns: its trials in order."""

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, index: int) -> Trial:
        return self.trials[index]

    def __iter__(self) -> Iterator[Trial]:
        return iter(self.trials)

    @property
    def errors(self) -> list[str]:
        return [trial.error or "" for trial in self.trials if trial.status == "ERROR"]

    @property
    def num_errors(self) -> int:
        return len(self.errors)

    def get_best_result(self, metric: str | None = None, mode: str | None = None) -> Trial:
        """The best trial; raises AshaQueueError if none has a result."""
        best = self._best(metric, mode)
        if best is None:
            raise AshaQueueError(
                f"no trial has a result; `asha-queue status {self.result.specification.name}` says "
                f"what happened"
            )
        return best

    def get_dataframe(self) -> Any:
        """A pandas DataFrame with the last result of each trial."""
        return self._frame()
