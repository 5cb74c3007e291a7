"""Functions for Ray Tune: how their reports are counted, and where they end."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from asha_queue.errors import AshaQueueError, ReportError, TargetReached
from asha_queue.training import ray
from asha_queue.training.current import current, running
from asha_queue.training.dialects import program
from asha_queue.training.programs import digest, execute
from asha_queue.training.trial import Trial
from tests.pure.test_trial import Segment


def trained(
    function: Callable[[dict[str, Any]], object],
    tmp_path: Path,
    start: int = 0,
    target: int = 4,
    checkpoint: Path | None = None,
    metrics: dict[str, float] | None = None,
    drain: bool = False,
) -> Segment:
    """The segment after the function was trained in it."""
    segment = Segment(tmp_path, start, target)
    segment.drain = drain
    trial = Trial(
        segment,
        number=0,
        config={"lr": 0.1},
        experiment="test",
        rung=0,
        attempt=1,
        device="cpu",
        checkpoint=checkpoint,
        metrics=metrics,
    )
    with running(trial):
        returned = ray.program(function, "score")(trial)
    if not drain:
        segment.progress.finish(returned)
    return segment


def report(count: int, **more: Any) -> None:
    ray.reports().report({"score": float(count), **more})


def steps_of(segment: Segment) -> list[int]:
    return [step for step, _ in segment.shown]


def test_a_function_that_loops_on_is_ended_by_the_report_that_reaches_the_target(
    tmp_path: Path,
) -> None:
    executed = []

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 100):
            executed.append(epoch)
            report(epoch, step=epoch)

    assert trained(train, tmp_path).shown[-1] == (4, {"score": 4.0, "step": 4})
    assert executed == [1, 2, 3, 4]


def test_a_function_that_catches_everything_is_ended_by_each_further_report(tmp_path: Path) -> None:
    caught = []

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 7):
            try:
                report(epoch)
            except BaseException as error:
                caught.append(type(error))

    assert steps_of(trained(train, tmp_path)) == [1, 2, 3, 4]
    assert caught == [TargetReached] * 3


def test_a_function_that_goes_on_from_its_checkpoint_counts_on_from_there(tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        assert ray.reports().checkpoint == tmp_path
        for epoch in range(4, 100):
            report(epoch)

    segment = trained(train, tmp_path, start=3, target=6, checkpoint=tmp_path)
    assert segment.shown == [(4, {"score": 4}), (5, {"score": 5}), (6, {"score": 6})]


def test_reports_of_a_function_that_begins_anew_are_repeats_up_to_its_checkpoint(
    tmp_path: Path,
) -> None:
    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 100):
            report(epoch)

    segment = trained(train, tmp_path, start=3, target=6, checkpoint=tmp_path)
    assert segment.shown == [(4, {"score": 4}), (5, {"score": 5}), (6, {"score": 6})]


def test_a_folder_that_is_reported_is_saved_as_of_that_report(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "state").write_text("7")

    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 100):
            ray.reports().report({"score": epoch}, made if epoch == 3 else None)

    (record,) = trained(train, tmp_path).records
    assert record["resource"] == 3
    assert (tmp_path / record["path"] / "state").read_text() == "7"


def test_a_function_with_nothing_left_to_train_counts_as_its_checkpoint_once_more(
    tmp_path: Path,
) -> None:
    def train(config: dict[str, Any]) -> None:
        assert ray.reports().checkpoint

    segment = trained(
        train, tmp_path, start=3, target=6, checkpoint=tmp_path, metrics={"score": 9.0}
    )
    assert segment.progress.last == (3, {"score": 9.0})


def test_a_function_that_is_wanted_back_ends_with_its_next_report(tmp_path: Path) -> None:
    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 100):
            report(epoch)

    assert steps_of(trained(train, tmp_path, drain=True)) == [1]


def test_what_is_no_number_is_left_out_and_named_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def train(config: dict[str, Any]) -> None:
        for epoch in range(1, 100):
            report(epoch, note="good", inner={"loss": 0.5})

    assert trained(train, tmp_path).progress.metrics == {"score": 4.0, "inner/loss": 0.5}
    assert capsys.readouterr().out == "report: note is a str, no number: not kept\n"


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda config: None, r"reported nothing; call tune.report\(score=…\)"),
        (lambda config: ray.reports().report({"loss": 1}), "no 'score'.*it has: loss"),
    ],
)
def test_a_function_without_the_metric_is_told_so(
    function: Callable[[dict[str, Any]], object], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ReportError, match=said):
        trained(function, tmp_path)


def test_what_a_function_returns_is_its_last_report(tmp_path: Path) -> None:
    assert trained(lambda config: {"score": 2.0}, tmp_path).progress.metrics == {"score": 2.0}
    assert trained(lambda config: 3.0, tmp_path).progress.metrics == {"score": 3.0}


def test_outside_of_a_trial_there_is_none() -> None:
    with pytest.raises(AshaQueueError, match="no trial is trained in this process"):
        current()


def test_a_program_that_is_handed_a_trial_is_told_to_use_it(tmp_path: Path) -> None:
    trial = Trial(
        Segment(tmp_path, 0, 1),
        number=0,
        config={},
        experiment="test",
        rung=0,
        attempt=1,
        device="cpu",
        checkpoint=None,
    )
    with running(trial), pytest.raises(ReportError, match="calls trial.report"):
        ray.reports()


def test_a_script_that_starts_a_search_at_its_top_is_loaded_up_to_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    script = tmp_path / "script.py"
    script.write_text(
        "from asha_queue.training.programs import end_loading\n"
        "def train(config):\n    return 0.5\n"
        "end_loading()\n"
        "raise SystemExit('a search was started')\n"
    )
    assert execute(script).train({}) == 0.5
    specification = {"train": "script.py:train", "digest": digest(script), "metric": "score"}
    assert program(specification, [tmp_path])({}) == 0.5  # type: ignore[arg-type]  # any argument
    assert trained(lambda config: program(specification, [tmp_path])(config), tmp_path)  # type: ignore[arg-type]


def test_what_loads_a_script_is_not_loading_afterwards() -> None:
    from asha_queue.training.programs import end_loading

    end_loading()
