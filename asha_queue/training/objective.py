"""An objective written for Optuna, as a program: it is called with Optuna's words for a segment.

Rules

* The coordinator has drawn the configuration: `suggest_*` returns what it holds under the name, if
  that is a value that the call allows. A space that is narrower than the call may be, a wider one
  fails when it shows.
* The resource is the count of reports, whatever steps they name. As in Optuna the first report of a
  step counts, and others of the same one do not.
* An objective that has looked at `trial.checkpoint` goes on behind its step, `trial.start`. One
  that has not begins from nothing: its first reports, up to the start, are repeats, which are
  passed over with what they save.
* At the target `should_prune` says True, at the top of the ladder, too, and so it does when the
  segment is wanted back. A report beyond the target ends the objective there, by a BaseException.
* `TrialPruned` after that ends the segment in good order. Without it the objective itself has given
  the trial up: its metric is NaN, by which it ranks last and is never promoted.
* What it returns is its last report, of several metrics in their order.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from asha_queue.errors import ReportError, SpecificationError
from asha_queue.objectives.calls import Call
from asha_queue.objectives.pruned import pruned
from asha_queue.objectives.suggesting import Suggesting
from asha_queue.search.domains import parse, shown
from asha_queue.training.trial import Trial


class Beyond(BaseException):
    """Ends an objective that reports beyond the target of its segment."""


class ObjectiveTrial(Suggesting):
    """What an objective is called with: Optuna's names, and beside them those of `Trial` but
    `report`, among them `checkpoint`, `save`, `start`, `target`, `device` and `devices`."""

    def __init__(self, trial: Trial, space: Mapping[str, Any], metrics: Sequence[str]) -> None:
        self._trial = trial
        self._space = space
        self._metrics = metrics
        #: What was suggested so far.
        self.params: dict[str, Any] = {}
        #: Kept for the objective, and printed to the trial's log.
        self.user_attrs: dict[str, Any] = {}
        #: Reported with the metric under their names.
        self.constraints: dict[str, float] = {}
        #: Reports, those before the start among them.
        self._count = 0
        self._steps: set[int] = set()
        self._looked = False
        #: Whether the objective was told to end.
        self._told = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(self._trial, name):
            return super().__getattr__(name)  # says what is there
        return getattr(self._trial, name)

    @property
    def checkpoint(self) -> Any:
        """Folder of the checkpoint to go on from, behind step `start`; None to begin."""
        self._looked = True
        return self._trial.checkpoint

    def report(self, value: float, step: int) -> None:
        """Reports the value of the experiment's metric. `step` tells reports apart only."""
        if len(self._metrics) > 1:
            raise ReportError(
                f"trial.report(…) is one value, and the experiment ranks by "
                f"{', '.join(self._metrics)}: return all of them in a tuple"
            )
        if step in self._steps:
            return
        if not self._steps and self._looked:
            self._count = self._trial.start
        if self._count >= self._trial.target:
            raise Beyond
        self._steps.add(step)
        self._count += 1
        if self._count > self._trial.start:
            self._trial.record(self._count, self._named(value))

    @contextlib.contextmanager
    def save(self) -> Iterator[Path]:
        """As `Trial.save`; what is saved while reports are repeated is thrown away."""
        if 0 < self._count <= self._trial.start:
            with tempfile.TemporaryDirectory() as folder:
                yield Path(folder)
            return
        with self._trial.save() as folder:
            yield folder

    def should_prune(self) -> bool:
        """Whether the segment ends here: save what the next one needs, and raise TrialPruned."""
        further = self._count > self._trial.start
        if self._count >= self._trial.target or (further and self._trial.draining):
            self._told = True
        return self._told

    def set_user_attr(self, key: str, value: Any) -> None:
        self.user_attrs[key] = value
        print(f"{key} = {value!r}", flush=True)

    def set_constraint(self, key: str, value: float) -> None:
        """Reports it from now on; `constraints={key: {"max": 0}}` of the experiment holds it."""
        self.constraints[key] = value

    def run(self, objective: Callable[[Any], object]) -> object:
        """Calls the objective; returns what a program returns."""
        try:
            returned = objective(self)
        except Beyond:
            return None
        except Exception as error:
            if not pruned(error):
                raise
            if self._told:
                return None
            returned = [float("nan")] * len(self._metrics)
        if returned is None or isinstance(returned, Mapping):
            return returned
        metrics = self._named(returned)
        if not self._count:
            return metrics
        self._trial.record(max(self._count, self._trial.start), metrics)
        return None

    def _suggest(self, call: Call) -> Any:
        config, domain = self._trial.config, self._space.get(call.name)
        if call.name not in config:
            raise SpecificationError(
                f"{call}: the space has no {call.name}, it has {', '.join(config)}; give the "
                f"experiment a `space` with {call.name}"
            )
        try:
            taken = call.taken(config[call.name])
        except ValueError:
            told = shown(parse(domain, call.name))
            raise SpecificationError(
                f"{call}: does not allow {config[call.name]!r}, which was drawn from {told}, the "
                f"space's {call.name}; make both the same"
            ) from None
        return self.params.setdefault(call.name, taken)

    def _named(self, value: Any) -> dict[str, Any]:
        several = isinstance(value, tuple | list) and len(value) == len(self._metrics)
        values = value if several else [value] * len(self._metrics)
        return dict(zip(self._metrics, values, strict=True)) | self.constraints


def program(
    objective: Callable[[Any], object], specification: Mapping[str, Any]
) -> Callable[[Trial], object]:
    """The objective as a function of a Trial."""
    metric = specification["metric"]
    metrics = [metric] if isinstance(metric, str) else metric
    space = specification["space"]
    return lambda trial: ObjectiveTrial(trial, space, metrics).run(objective)
