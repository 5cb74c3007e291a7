"""Functions written for Ray Tune: called with a config, they report and know no end.

Rules

* The count of reports is the resource. It begins at that of the checkpoint to go on from, or at 0.
* A function that has not asked for its checkpoint by its first report has begun anew, whatever it
  has saved before: then the count begins at 0, and its reports up to the segment's start are
  repeats, which are passed over with what they save.
* The report that reaches the target raises TargetReached, as Ray ends a trial in its report; so
  does every one after it. What stands behind that report in the function is not executed.
* Wanted back, the function ends with its next report, and goes on from what it saved last.
* A function that returns before the target has nothing left to train. If it was called only to find
  that out, what its checkpoint was saved with counts once more.
* What is no number is not kept; dicts in a report are flattened, as `outer/inner`.
"""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asha_queue.errors import ReportError, TargetReached
from asha_queue.training.current import current
from asha_queue.training.trial import Trial


class Reports:
    """What a function for Ray Tune reports in one segment."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.began = time.monotonic()
        #: The number of the last report; None before the first.
        self.count: int | None = None
        self._asked = False
        self._over = False
        self._told: set[str] = set()

    @property
    def checkpoint(self) -> Path | None:
        """The folder to go on from, asked for by the function."""
        self._asked = True
        return self.trial.checkpoint

    def report(self, metrics: Mapping[str, Any], checkpoint: Path | None = None) -> None:
        """Takes a report, and a copy of the folder `checkpoint` with it."""
        if self._over:
            raise TargetReached
        if self.count is None:
            self.count = self.trial.start if self._asked else 0
        self.count += 1
        if self.count <= self.trial.start:
            return  # a repeat
        self.trial.record(self.count, dict(self._numbers(metrics)))
        if checkpoint is not None:
            with self.trial.save() as folder:
                shutil.copytree(checkpoint, folder, dirs_exist_ok=True)
        if self.count >= self.trial.target or self.trial.draining:
            self._over = True
            raise TargetReached

    def _numbers(self, metrics: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
        for key, value in metrics.items():
            name = f"{path}{key}"
            if isinstance(value, Mapping):
                yield from self._numbers(value, f"{name}/")
            elif hasattr(value, "__float__"):
                yield name, value
            elif name not in self._told:
                self._told.add(name)
                print(f"report: {name} is a {type(value).__name__}, no number: not kept")


_open: Reports | None = None


def reports() -> Reports:
    """Those of the function that is trained in this process.

    Raises AshaQueueError where no trial is trained, and ReportError in a program that is handed a
    Trial.
    """
    trial = current()
    if _open is None or _open.trial is not trial:
        raise ReportError(
            "tune.report and tune.get_checkpoint are for functions that tune.run trains; a program "
            "that takes a Trial calls trial.report(…) and uses trial.checkpoint"
        )
    return _open


def program(
    function: Callable[..., object], metric: str | Sequence[str]
) -> Callable[[Trial], object]:
    """The function of a config as one of a Trial."""
    metrics = [metric] if isinstance(metric, str) else metric

    def train(trial: Trial) -> object:
        global _open
        _open = Reports(trial)
        try:
            returned = function(trial.config)
        except TargetReached:
            returned = None
        else:
            if isinstance(returned, Mapping) or hasattr(returned, "__float__"):
                return returned
        finally:
            count, _open = _open.count, None
        reported = trial.reported
        if reported is None and not trial.draining:
            if not trial.start or (count is None and not trial.metrics):
                call = ", ".join(f"{name}=…" for name in metrics)
                raise ReportError(f"the function reported nothing; call tune.report({call})")
            trial.record(trial.start, trial.metrics)
            reported = trial.metrics
        if missing := [name for name in metrics if reported is not None and name not in reported]:
            names = ", ".join(reported or ())
            raise ReportError(
                f"the last report has no {missing[0]!r}, which trials are ranked by; it has: "
                f"{names}"
            )
        return None

    return train
