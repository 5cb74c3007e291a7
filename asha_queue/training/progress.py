"""How far a segment is: its steps, and what was reported at them.

Rules

* A step's metrics are those reported at it: a second report of the same step adds to the first.
  Steps never go back, and never beyond the target.
* The segment has reached the last step that was reported.
"""

import operator
import sys
from collections.abc import Iterator, Mapping, Sequence

from asha_queue.errors import ReportError
from asha_queue.settings import CURVE_POINTS
from asha_queue.training.curve import Curve


class Progress:
    """Of one segment, from `start` to `target`."""

    def __init__(self, start: int, target: int, metric: str | Sequence[str]) -> None:
        self.start = start
        self.target = target
        self.curve = Curve(CURVE_POINTS)
        #: The last report: (step, metrics).
        self.last: tuple[int, dict[str, float]] | None = None
        metrics = [metric] if isinstance(metric, str) else metric
        self._metric = metrics[0] if len(metrics) == 1 else ""
        #: A report as its program should write it.
        self._call = ", ".join(f"{name}=…" for name in metrics)
        #: The step that the loop over `steps` is in, or was in last.
        self._step: int | None = None

    @property
    def reached(self) -> int:
        """The last step reported."""
        return self.last[0] if self.last else self.start

    @property
    def metrics(self) -> dict[str, float]:
        """The last metrics reported."""
        return self.last[1] if self.last else {}

    def steps(self) -> Iterator[int]:
        """The steps that are left."""
        step = self.start if self._step is None else self._step
        while step < self.target:
            step += 1
            self._step = step
            yield step

    def report(
        self, step: int | None, metrics: Mapping[str, object]
    ) -> tuple[int, dict[str, float]]:
        """Takes a report, by default of the loop's step or else of the one after the last; returns
        the step and all its metrics so far."""
        if not metrics:
            raise ReportError(self._without_metric(step))
        if step is None:
            step = self.reached + 1 if self._step is None else self._step
        number = self._checked(step)
        values = {name: _number(name, value) for name, value in metrics.items()}
        if self.last is not None and self.last[0] == number:
            values = self.last[1] | values
        self.last = (number, values)
        self.curve.add(number, values)
        return self.last

    def finish(self, returned: object) -> None:
        """Takes what the program returned: None, or a number or dict as the last report.

        Raises ReportError when it is something else, or when nothing was ever reported.
        """
        if returned is None:
            if self.last is None:
                wanted = f"the {self._metric}" if self._metric else "them in a dict"
                raise ReportError(
                    f"the program reported nothing; call trial.report({self._call}) after each "
                    f"step, or return {wanted}"
                )
            return
        step = self._step
        if step is None:
            step = self.reached if self.last else self.target
        if isinstance(returned, Mapping):
            self.report(step, returned)
            return
        try:
            if not self._metric:
                raise ReportError("a number is only one of the metrics")
            self.report(step, {self._metric: returned})
        except ReportError:
            alone = f", the {self._metric} as a number," if self._metric else ""
            raise ReportError(
                f"the program returned {returned!r:.80}; return nothing{alone} or a dict of metrics"
            ) from None

    def _without_metric(self, step: object) -> str:
        """Why a report of nothing but a step, or of what was meant for a metric, is none."""
        given = "" if step is None else f"{step!r:.80}"
        if isinstance(step, Mapping):
            wanted = "report(**metrics), with the metrics by name"
        elif isinstance(step, int) and not isinstance(step, bool):
            wanted = f"report({given}, {self._call}), the step first"
        else:
            alone = self._metric and isinstance(step, float)
            call = f"{self._metric}={given}" if alone else self._call
            wanted = f"report({call}), each metric by name and a number"
        return f"report({given}) without a metric: write {wanted}"

    def _checked(self, step: object) -> int:
        try:
            number = operator.index(step)  # type: ignore[arg-type]  # whether it is one is asked
        except TypeError:
            raise ReportError(f"step {step!r} is no integer") from None
        if number < self.reached:
            raise ReportError(
                f"report of step {number} after step {self.reached}; steps only go up, and start "
                f"from those of the checkpoint"
            )
        if number > self.target:
            raise ReportError(
                f"report of step {number}, but this segment ends at step {self.target}; loop over "
                f"trial.steps(), or to trial.target, and return"
            )
        return number


def _number(name: str, value: object) -> float:
    """`value` as JSON has numbers: an int or float as it is, what converts to a float converted."""
    if isinstance(value, int) and abs(value) > sys.float_info.max:
        raise ReportError(f"metric {name} is an integer of {value.bit_length()} bits: too large")
    if type(value) in (int, float):
        return value  # type: ignore[return-value]  # just checked
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        raise ReportError(f"metric {name}={value!r} is no number but a {type(value).__name__}")
    try:
        return float(value)
    except (TypeError, ValueError) as error:
        raise ReportError(f"metric {name}={value!r} is no number: {error}") from None
