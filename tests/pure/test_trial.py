"""What training code sees of its segment: steps, reports, checkpoints and draining."""

import contextlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asha_queue.checkpoints import Checkpoints, Draft
from asha_queue.errors import ReportError, TrialStopped
from asha_queue.training.curve import Curve
from asha_queue.training.progress import Progress
from asha_queue.training.trial import Trial


class Segment:
    """A segment that is nobody else's, in a folder."""

    def __init__(self, folder: Path, start: int, target: int) -> None:
        self.progress = Progress(start, target, "score")
        self.drain = False
        self.void = False
        self.shown: list[tuple[int, dict[str, float]]] = []
        self.records: list[dict[str, Any]] = []
        self._checkpoints = Checkpoints(folder, "test", "u1")

    def draining(self) -> bool:
        return self.drain

    def go_on(self) -> None:
        if self.void:
            raise TrialStopped

    def live(self, step: int, metrics: dict[str, float]) -> None:
        self.shown.append((step, metrics))

    @contextlib.contextmanager
    def writer(self, resource: int, metrics: dict[str, float]) -> Iterator[Draft]:
        with self._checkpoints.writer(0, 1, "claim", resource, metrics) as draft:
            yield draft

    def written(self, record: dict[str, Any]) -> None:
        self.go_on()
        self.records.append(record)


Start = Callable[..., tuple[Trial, Segment]]


@pytest.fixture
def begin(tmp_path: Path) -> Start:
    """Begins a segment from `start` to `target`."""

    def begin(start: int = 4, target: int = 8) -> tuple[Trial, Segment]:
        segment = Segment(tmp_path, start, target)
        trial = Trial(
            segment,
            number=0,
            config={"lr": 0.1},
            experiment="test",
            rung=1,
            attempt=1,
            device="cpu",
            checkpoint=None,
        )
        return trial, segment

    return begin


# -- steps -------------------------------------------------------------------------------------


def test_steps_go_from_the_one_after_the_start_to_the_target(begin: Start) -> None:
    trial, _ = begin(4, 8)
    assert list(trial.steps()) == [5, 6, 7, 8]


def test_a_second_loop_goes_on_where_the_first_was_left(begin: Start) -> None:
    trial, _ = begin(0, 4)
    for step in trial.steps():
        if step == 2:
            break
    assert list(trial.steps()) == [3, 4]


def test_a_drain_ends_the_loop_after_the_step_it_is_in(begin: Start) -> None:
    trial, segment = begin(0, 4)
    seen = []
    for step in trial.steps():
        seen.append(step)
        segment.drain = step == 2
    assert seen == [1, 2]
    assert trial.draining


def test_one_step_at_least_is_trained_before_a_drain(begin: Start) -> None:
    trial, segment = begin(0, 4)
    segment.drain = True
    assert list(trial.steps()) == [1]


# -- reports -----------------------------------------------------------------------------------


def test_a_report_counts_for_the_step_that_the_loop_is_in(begin: Start) -> None:
    trial, segment = begin(4, 6)
    for step in trial.steps():
        trial.report(score=step / 10)
    assert segment.progress.last == (6, {"score": 0.6})
    assert segment.progress.curve.points() == [[5, {"score": 0.5}], [6, {"score": 0.6}]]
    assert segment.shown == [(5, {"score": 0.5}), (6, {"score": 0.6})]


def test_without_a_loop_reports_count_on_from_the_start(begin: Start) -> None:
    trial, segment = begin(4, 8)
    trial.report(score=1.0)
    trial.report(7, score=2.0)
    trial.report(score=3.0)
    assert [step for step, _ in segment.shown] == [5, 7, 8]


def test_reports_of_one_step_add_up(begin: Start) -> None:
    trial, segment = begin(0, 4)
    trial.report(1, score=1.0, loss=3.0)
    trial.report(1, score=2.0)
    assert segment.progress.last == (1, {"score": 2.0, "loss": 3.0})
    assert segment.progress.curve.points() == [[1, {"score": 2.0, "loss": 3.0}]]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3),
        (0.1, 0.1),
        (np.float32(0.5), 0.5),
        (np.int64(2), 2.0),
        (np.array(0.25), 0.25),
        (Decimal("0.5"), 0.5),
        (True, 1.0),
        (float("inf"), float("inf")),
    ],
)
def test_numbers_of_all_kinds_become_plain_ones(begin: Start, value: Any, number: float) -> None:
    trial, segment = begin()
    trial.report(score=value)
    [reported] = segment.progress.metrics.values()
    assert reported == number
    assert type(reported) in (int, float)


@pytest.mark.parametrize("value", ["0.9", b"1", None, [0.9], {"a": 1}, np.zeros(3), 1j])
def test_what_is_no_number_is_refused_by_name_and_value(begin: Start, value: Any) -> None:
    trial, segment = begin()
    with pytest.raises(ReportError, match="metric score=") as refused:
        trial.report(score=value)
    assert repr(value) in str(refused.value)
    assert segment.progress.last is None
    assert segment.shown == []


def test_a_step_beyond_the_target_is_refused(begin: Start) -> None:
    trial, _ = begin(4, 8)
    with pytest.raises(ReportError, match="step 9, but this segment ends at step 8"):
        trial.report(9, score=1.0)


def test_steps_that_go_back_are_refused(begin: Start) -> None:
    trial, _ = begin(4, 8)
    with pytest.raises(ReportError, match="step 3 after step 4"):
        trial.report(3, score=1.0)
    trial.report(6, score=1.0)
    with pytest.raises(ReportError, match="step 5 after step 6"):
        trial.report(5, score=1.0)


def test_a_step_that_is_no_integer_is_refused(begin: Start) -> None:
    trial, _ = begin()
    with pytest.raises(ReportError, match="step 5.5 is no integer"):
        trial.report(5.5, score=1.0)  # type: ignore[arg-type]  # that is the point


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "report() without a metric: write report(score=…), each metric by name"),
        ("abc", "report('abc') without a metric: write report(score=…), each metric by name"),
        (0.9, "report(0.9) without a metric: write report(score=0.9), each metric by name"),
        (5, "report(5) without a metric: write report(5, score=…), the step first"),
        ({"score": 1}, "report({'score': 1}) without a metric: write report(**metrics), with"),
    ],
)
def test_a_report_without_metrics_is_refused_and_told_how_it_is_written(
    begin: Start, given: Any, message: str
) -> None:
    trial, segment = begin()
    with pytest.raises(ReportError) as refused:
        trial.report(given)
    assert str(refused.value).startswith(message)
    assert segment.progress.last is None


# -- what the program returns --------------------------------------------------------------------


def test_a_returned_number_is_the_metric_at_the_target(begin: Start) -> None:
    _, segment = begin(4, 8)
    segment.progress.finish(0.7)
    assert segment.progress.last == (8, {"score": 0.7})


def test_a_returned_dict_adds_to_the_last_report(begin: Start) -> None:
    trial, segment = begin(4, 8)
    for step in trial.steps():
        trial.report(loss=1.0 / step)
        if step == 6:
            break
    segment.progress.finish({"score": 0.7})
    assert segment.progress.last == (6, {"loss": 1.0 / 6, "score": 0.7})


def test_a_program_that_says_nothing_is_told_what_to_do(begin: Start) -> None:
    _, segment = begin()
    with pytest.raises(ReportError, match=r"call trial.report\(score=…\) after each step"):
        segment.progress.finish(None)


def test_a_program_that_returns_something_else_is_told_what_to_return(begin: Start) -> None:
    _, segment = begin()
    with pytest.raises(ReportError, match="returned <object"):
        segment.progress.finish(object())


# -- checkpoints ---------------------------------------------------------------------------------


def test_a_checkpoint_counts_as_the_step_reported_last(begin: Start, tmp_path: Path) -> None:
    trial, segment = begin(0, 4)
    trial.report(2, score=0.5)
    with trial.save() as folder:
        (folder / "model").write_text("weights")
    [record] = segment.records
    assert (record["resource"], record["metrics"]) == (2, {"score": 0.5})
    assert (tmp_path / record["path"] / "model").read_text() == "weights"


@pytest.mark.parametrize("step", [None, 2])
def test_saving_before_reporting_is_refused(begin: Start, step: int | None) -> None:
    trial, _ = begin(0, 4)
    if step:
        trial.report(1, score=0.5)
    with pytest.raises(ReportError, match="first"), trial.save(step):
        pytest.fail("not reached")


def test_saving_a_segment_that_became_void_meanwhile_ends_it(begin: Start) -> None:
    trial, segment = begin()
    trial.report(score=1.0)
    with pytest.raises(TrialStopped), trial.save():
        segment.void = True
    assert segment.records == []


def test_a_void_segment_is_stopped_wherever_the_program_asks(begin: Start) -> None:
    trial, segment = begin(0, 4)
    trial.report(1, score=1.0)
    segment.void = True
    with pytest.raises(TrialStopped):
        trial.report(2, score=1.0)
    with pytest.raises(TrialStopped), trial.save():
        pytest.fail("not reached")
    with pytest.raises(TrialStopped):
        next(trial.steps())
    assert [step for step, _ in segment.shown] == [1]


def test_what_catches_exceptions_does_not_catch_a_stop() -> None:
    assert issubclass(TrialStopped, BaseException)
    assert not issubclass(TrialStopped, Exception)


def test_the_program_may_change_its_config_without_harm(begin: Start) -> None:
    trial, _ = begin()
    other, _ = begin()
    trial.config["lr"] = 9
    assert other.config == {"lr": 0.1}


# -- curves --------------------------------------------------------------------------------------


@given(st.integers(0, 1500), st.integers(2, 64))
def test_a_curve_keeps_its_ends_and_an_even_choice_between(count: int, limit: int) -> None:
    curve = Curve(limit)
    for step in range(count):
        curve.add(step, {"score": float(step)})
    steps = [step for step, _ in curve.points()]
    assert len(steps) <= limit
    assert len(steps) >= min(count, limit) // 2
    if count:
        assert (steps[0], steps[-1]) == (0, count - 1)
    gaps = [later - earlier for earlier, later in pairwise(steps)]
    assert all(gap > 0 for gap in gaps)
    assert max(gaps, default=0) <= max(1, 8 * count // limit)
