"""MLflow: an experiment of the same name, and in it one run per trial, found by its tags."""

import os
from typing import Any

from asha_queue.trackers.news import News
from asha_queue.trackers.tracker import About

#: MLflow's word for the state of a trial whose run has ended.
STATUS = {"failed": "FAILED", "diverged": "FAILED", "cancelled": "KILLED"}
#: Values that one call takes at most.
BATCH = 1000
#: Nothing is sent to its makers in the user's name, and one call does not try for minutes.
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}


class Mlflow:
    """`where` is a tracking URI; without one it is MLFLOW_TRACKING_URI, or MLflow's own default."""

    def __init__(self, where: str, about: About) -> None:
        for name, value in SETTINGS.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        self._client: Any = MlflowClient(where or None)
        self._about = about
        self._experiment = ""
        self._runs: dict[int, str] = {}
        #: By trial whose run was there before this process: metric and step of what it has.
        self._there: dict[int, set[tuple[str, int]]] = {}

    def tell(self, news: News) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._tell(news)
        except MlflowException as error:
            if error.error_code in ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE"):
                raise ConnectionError(str(error)) from error
            raise

    def _tell(self, news: News) -> None:
        from mlflow.entities import Metric, Param, RunTag

        run = self._run(news)
        there = self._there.get(news.trial, set())
        values = [
            Metric(name, value, round(point.at * 1000), point.step)
            for point in news.points
            for name, value in point.metrics.items()
            if (name, point.step) not in there
        ]
        params = [Param(name, str(value)) for name, value in news.config.items()]
        tags = {"state": news.state, "rung": news.rung, "worker": news.worker}
        self._client.log_batch(
            run,
            params=params if news.new else [],
            tags=[RunTag(f"asha_queue.{k}", str(v)) for k, v in tags.items() if v != ""],
        )
        for i in range(0, len(values), BATCH):
            self._client.log_batch(run, metrics=values[i : i + BATCH])
        if news.ended:
            self._client.set_terminated(
                run, STATUS.get(news.state, "FINISHED"), end_time=round(news.at * 1000)
            )
        elif not news.new:
            self._client.update_run(run, status="RUNNING")

    def _run(self, news: News) -> str:
        """The run of a trial: known, found, or made."""
        if news.trial in self._runs:
            return self._runs[news.trial]
        about = self._about
        if not self._experiment:
            known = self._client.get_experiment_by_name(about.name)
            self._experiment = (
                known.experiment_id if known else self._client.create_experiment(about.name)
            )
        tags = {"asha_queue.uid": about.uid, "asha_queue.trial": str(news.trial)}
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([self._experiment], wanted)
        if found:
            run = found[0]
            self._there[news.trial] = {
                (name, metric.step)
                for name in run.data.metrics
                for metric in self._client.get_metric_history(run.info.run_id, name)
            }
        else:
            run = self._client.create_run(
                self._experiment,
                start_time=round(news.at * 1000),
                tags=tags | {"asha_queue.experiment": about.name},
                run_name=f"{about.name}/{news.trial}",
            )
        self._runs[news.trial] = run.info.run_id
        return self._runs[news.trial]
