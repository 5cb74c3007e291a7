"""`Trial`: what training code sees of its segment."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from asha_queue.checkpoints import Draft
from asha_queue.errors import ReportError
from asha_queue.training.progress import Progress


class Segment(Protocol):
    """What a trial needs of the segment that it is trained in."""

    progress: Progress

    def draining(self) -> bool:
        """Whether it is wanted back; True is remembered as noticed by the program."""

    def go_on(self) -> None:
        """Raises TrialStopped when it is void."""

    def live(self, step: int, metrics: dict[str, float]) -> None:
        """Shows a report to those who watch."""

    def writer(
        self, resource: int, metrics: dict[str, float]
    ) -> contextlib.AbstractContextManager[Draft]:
        """Writes a checkpoint."""

    def written(self, record: dict[str, Any]) -> None:
        """Makes a written checkpoint the trial's newest; raises TrialStopped if it is void."""


class Trial:
    """One segment of a trial: train from `start` to `target`, report, save.

    When the worker is asked to drain, or the experiment is paused with `--now`, `steps` ends after
    the step it is in. A program that notices (by `steps` or `draining`) and returns is suspended,
    and goes on elsewhere or later from its newest checkpoint; one that does not notice trains on to
    its target.

    When the experiment is cancelled, `report`, `save` and `steps` raise TrialStopped. A program
    that goes on nevertheless is killed a few seconds later.
    """

    #: Number of the trial in its experiment, from 0.
    number: int
    #: The hyperparameters.
    config: dict[str, Any]
    #: Name of the experiment.
    experiment: str
    #: Rung that this segment trains for, from 0 in the trial's own bracket.
    rung: int
    #: Steps that are trained already: those of `checkpoint`, or 0.
    start: int
    #: Step to train to.
    target: int
    #: Which try at this segment it is, from 1.
    attempt: int
    #: "cuda" when this worker is pinned to a GPU, else "cpu".
    device: str
    #: How many GPUs the worker is pinned to, for a process each; 1 on the CPU.
    devices: int
    #: Folder of the checkpoint to go on from (read it only), or None when starting from nothing.
    checkpoint: Path | None
    #: What was reported at the step of that checkpoint.
    metrics: dict[str, float]

    def __init__(
        self,
        segment: Segment,
        *,
        number: int,
        config: Mapping[str, Any],
        experiment: str,
        rung: int,
        attempt: int,
        device: str,
        devices: int = 1,
        checkpoint: Path | None,
        metrics: Mapping[str, float] | None = None,
    ) -> None:
        self._segment = segment
        self.number = number
        self.config = dict(config)
        self.experiment = experiment
        self.rung = rung
        self.start = segment.progress.start
        self.target = segment.progress.target
        self.attempt = attempt
        self.device = device
        self.devices = devices
        self.checkpoint = checkpoint
        self.metrics = dict(metrics or {})

    if not TYPE_CHECKING:  # which is to find what is misspelt

        def __getattr__(self, name: str) -> Any:
            hint = ""
            if name.startswith("suggest_") or name == "should_prune":
                hint = ": an objective for Optuna is run with dialect='optuna' in its experiment"
            raise AttributeError(f"a trial has no {name}{hint}")

    @property
    def draining(self) -> bool:
        """Whether the segment is wanted back: save, and return soon."""
        return self._segment.draining()

    @property
    def reported(self) -> dict[str, float] | None:
        """The metrics of the last step that was reported in this segment, or None."""
        last = self._segment.progress.last
        return dict(last[1]) if last else None

    def steps(self) -> Iterator[int]:
        """The steps of this segment, start + 1 to target; ends early, but after one step at least,
        when it is wanted back."""
        for step in self._segment.progress.steps():
            self._segment.go_on()
            yield step
            if step < self.target and self.draining:
                return

    def go_on(self) -> None:
        """Raises TrialStopped when the segment is void; `report`, `save` and `steps` do so, too."""
        self._segment.go_on()

    def report(self, /, step: int | None = None, **metrics: float) -> None:
        """Reports the metrics of a step, by default the one that the loop over `steps` is in, and
        outside of such a loop the one after the last. Reports of one step add up.

        Raises ReportError for what is no number and for steps that go back or beyond the target.
        """
        self.record(step, metrics)

    def record(self, step: int | None, metrics: Mapping[str, object]) -> None:
        """Reports metrics that are in a dict, of which one may be called `step`."""
        self._segment.go_on()
        self._segment.live(*self._segment.progress.report(step, metrics))

    @contextlib.contextmanager
    def save(self, step: int | None = None) -> Iterator[Path]:
        """Gives an empty folder to write into; when the block ends, what is in it is the trial's
        newest checkpoint. It counts as the last reported step, so that is reported first.

        Raises ReportError when nothing was reported yet, or `step` is not the last one.
        """
        self._segment.go_on()
        last = self._segment.progress.last
        if last is None or step not in (None, last[0]):
            wanted = "the step" if step is None else f"step {step}"
            raise ReportError(
                f"save() before report(): a checkpoint counts as the step that was reported last. "
                f"report() {wanted} first"
            )
        with self._segment.writer(*last) as draft:
            yield draft.folder
        self._segment.written(draft.record)
