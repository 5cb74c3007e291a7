"""Objectives for Optuna: the space that they ask for, and what they are in a segment."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from asha_queue import Experiment
from asha_queue.errors import ProgramError, ReportError, SpecificationError
from asha_queue.objectives.tracing import space_of
from asha_queue.search.space import (
    choice,
    lograndint,
    loguniform,
    quniform,
    randint,
    uniform,
)
from asha_queue.training import objective
from asha_queue.training.dialects import program
from asha_queue.training.objective import Beyond, ObjectiveTrial
from asha_queue.training.programs import digest
from asha_queue.training.trial import Trial
from tests.pure.test_trial import Segment

SPACE = {"lr": {"loguniform": [1e-4, 1.0]}, "layers": {"randint": [1, 4]}}


# -- the space -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "domain"),
    [
        ("float", {"low": 0, "high": 1}, uniform(0.0, 1.0)),
        ("float", {"low": 1e-5, "high": 0.1, "log": True}, loguniform(1e-5, 0.1)),
        ("float", {"low": 0.5, "high": 2.2, "step": 0.5}, quniform(0.5, 2.0, 0.5)),
        ("float", {"low": 0.1, "high": 0.7, "step": 0.2}, choice([0.1, 0.3, 0.5, 0.7])),
        ("float", {"low": 3, "high": 3}, 3.0),
        ("int", {"low": 1, "high": 5}, randint(1, 6)),
        ("int", {"low": 8, "high": 512, "log": True}, lograndint(8, 513)),
        ("int", {"low": 1, "high": 8, "step": 3}, choice([1, 4, 7])),
        ("categorical", {"choices": ("adam", None, 3, True)}, choice(["adam", None, 3, True])),
        ("uniform", {"low": 0, "high": 2}, uniform(0.0, 2.0)),
        ("loguniform", {"low": 1, "high": 2}, loguniform(1.0, 2.0)),
        ("discrete_uniform", {"low": 0, "high": 1, "q": 0.25}, quniform(0.0, 1.0, 0.25)),
    ],
)
def test_each_suggestion_is_the_domain_of_the_values_that_optuna_draws(
    method: str, arguments: dict[str, Any], domain: Any
) -> None:
    def suggested(trial: Any) -> float:
        getattr(trial, f"suggest_{method}")("x", **arguments)
        return 0.0

    assert space_of(suggested) == {"x": domain}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_what_is_drawn_is_what_optuna_allows() -> None:
    from asha_queue.search.space import Space

    def suggested(trial: Any) -> float:
        trial.suggest_float("a", 0.1, 0.75, step=0.2)
        trial.suggest_float("b", 1e-3, 2.0, log=True)
        trial.suggest_int("c", 1, 30, step=4)
        trial.suggest_int("d", 1, 300, log=True)
        trial.suggest_float("e", -1.0, 1.3, step=0.5)
        trial.suggest_categorical("f", ["x", 1, None])
        return 0.0

    space = Space(space_of(suggested))
    for number in range(50):
        config = space.draw(0, number)
        fixed = optuna.trial.FixedTrial(config)
        suggested(fixed)
        for name, distribution in fixed.distributions.items():
            assert distribution._contains(distribution.to_internal_repr(config[name])), name


def conditional(trial: Any) -> float:
    kind = trial.suggest_categorical("kind", ["flat", "deep", "wide"])
    if kind == "deep":
        for layer in range(trial.suggest_int("layers", 1, 3)):
            trial.suggest_int(f"units{layer}", 8, 64)
    if kind == "wide" and trial.suggest_categorical("bias", [True, False]):
        trial.suggest_float("scale", 0, 1)
    trial.report(0.0, 0)
    trial.suggest_float("later", 0, 1)
    raise AssertionError("trained on")


def test_what_is_suggested_under_conditions_is_seen_and_what_follows_a_report_is_not() -> None:
    expected = {"kind", "layers", "units0", "units1", "units2", "bias", "scale"}
    assert space_of(conditional).keys() == expected
    assert space_of(conditional) == space_of(conditional)


def test_an_objective_that_prunes_itself_is_asked_on() -> None:
    def picky(trial: Any) -> float:
        if trial.suggest_int("x", 1, 9) > 4:
            raise optuna.TrialPruned
        trial.suggest_int("y", 1, 9)
        return 0.0

    assert space_of(picky).keys() == {"x", "y"}


def none(trial: Any) -> float:
    trial.report(0.0, 0)
    return 0.0


def broken(trial: Any) -> float:
    trial.suggest_int("x", 1, 9)
    raise OSError("no such data")


def two_ways(trial: Any) -> float:
    trial.suggest_int("x", 1, trial.suggest_int("n", 2, 3))
    return 0.0


def asks_its_study(trial: Any) -> float:
    return float(trial.suggest_int("x", 1, len(trial.study.trials)))


def unheard(trial: Any) -> float:
    trial.suggest_categorical("x", [print, len])
    return 0.0


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (none, "space: is left out, and none suggests nothing before it reports; give `space`"),
        (broken, r"broken cannot be asked for it, as it fails .* OSError: no such data \(line \d+"),
        (two_ways, r"x in two ways, suggest_int\('x', 1, 3\) and suggest_int\('x', 1, 2\); make"),
        (asks_its_study, "AttributeError: trial.study is not there in an experiment"),
        (unheard, r"suggest_categorical\('x', …\): an option=<built-in function print>: must be"),
    ],
)
def test_an_objective_that_has_no_space_is_told_why_and_what_to_do(
    function: Callable[[Any], float], message: str
) -> None:
    with pytest.raises(SpecificationError, match=message) as raised:
        space_of(function)
    assert "\n" not in str(raised.value)


FILE = """
from asha_queue import Experiment

calls = []

def objective(trial):
    calls.append(trial.number)
    x = trial.suggest_float("x", 0, 1)
    for step in range(9):
        trial.report(x + 1 / (step + 1), step)
        if trial.should_prune():
            break
    return x

experiment = Experiment(
    name="o", train=objective, dialect="optuna", metric="loss", mode="min", max_t=9,
    initial_configs=[{"x": 0.5}],
)
"""


def test_the_space_is_left_out_and_the_objective_is_not_called_where_it_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "o.py"
    path.write_text(FILE)
    toml = tmp_path / "o.toml"
    toml.write_text(
        'name = "o"\ntrain = "o.py:objective"\ndialect = "optuna"\nmetric = "loss"\nmode = "min"\n'
        "max_t = 9\n"
    )
    made = Experiment.from_toml(toml)
    assert made.space == {"x": {"uniform": [0.0, 1.0]}}
    module = next(m for n, m in sys.modules.items() if n.startswith("_asha_queue_program_o_"))
    calls = len(module.calls)
    assert calls > 0
    del sys.modules[module.__name__]
    specification = made.to_json() | {"digest": digest(path), "train": "o.py:objective"}
    trained = program(specification, [tmp_path])
    module = next(m for n, m in sys.modules.items() if n.startswith("_asha_queue_program_o_"))
    assert module.calls == []
    del sys.modules[module.__name__]
    segment = Segment(tmp_path, 0, 3)
    segment.progress.finish(trained(trial_of(segment, {"x": 0.5})))
    assert segment.progress.last == (3, {"loss": 0.5})


def test_without_the_dialect_a_space_is_needed() -> None:
    with pytest.raises(SpecificationError, match="space: is missing"):
        Experiment(name="o", train="o.py:f", metric="m", mode="min", max_t=9)
    with pytest.raises(ProgramError, match="is not a file in"):
        Experiment(name="o", train="o.py:f", dialect="optuna", metric="m", mode="min", max_t=9)


# -- a segment -----------------------------------------------------------------------------------


def trial_of(
    segment: Segment, config: dict[str, Any] | None = None, checkpoint: Path | None = None
) -> Trial:
    return Trial(
        segment,
        number=3,
        config={"lr": 0.1, "layers": 2} if config is None else config,
        experiment="test",
        rung=0,
        attempt=1,
        device="cpu",
        checkpoint=checkpoint,
    )


def trained(
    function: Callable[[Any], object],
    folder: Path,
    start: int = 0,
    target: int = 4,
    checkpoint: Path | None = None,
    drain: bool = False,
    metric: str | list[str] = "score",
) -> Segment:
    """The segment after the objective was trained in it."""
    segment = Segment(folder, start, target)
    segment.drain = drain
    run = objective.program(function, {"metric": metric, "space": SPACE})
    returned = run(trial_of(segment, checkpoint=checkpoint))
    if returned is not None or not drain:
        segment.progress.finish(returned)
    return segment


def typical(trial: Any) -> float:
    lr: float = trial.suggest_float("lr", 1e-4, 1.0, log=True)
    for step in range(100):
        trial.report(lr * step, step)
        if trial.should_prune():
            raise optuna.TrialPruned
    return lr


def test_an_objective_ends_at_the_target_as_if_it_were_pruned_there(tmp_path: Path) -> None:
    segment = trained(typical, tmp_path)
    assert [step for step, _ in segment.shown] == [1, 2, 3, 4]
    assert segment.progress.metrics == {"score": pytest.approx(0.3)}


def test_steps_may_have_any_numbers_and_the_first_report_of_one_counts(tmp_path: Path) -> None:
    def sparse(trial: Any) -> None:
        for step in (10, 10, 20, 5):
            trial.report(float(step), step)

    assert trained(sparse, tmp_path).shown == [
        (1, {"score": 10.0}),
        (2, {"score": 20.0}),
        (3, {"score": 5.0}),
    ]


def test_an_objective_that_never_asks_is_ended_by_the_report_beyond_the_target(
    tmp_path: Path,
) -> None:
    seen = []

    def endless(trial: Any) -> float:
        step = 0
        while True:
            try:
                trial.report(float(step), step)
                seen.append(step)
            except Exception:
                pass
            step += 1

    assert trained(endless, tmp_path).progress.last == (4, {"score": 3.0})
    assert seen == [0, 1, 2, 3]


def test_an_objective_that_ends_before_the_target_is_judged_by_what_it_returns(
    tmp_path: Path,
) -> None:
    def short(trial: Any) -> float:
        trial.report(1.0, 0)
        trial.report(2.0, 1)
        return 5.0

    assert trained(short, tmp_path).progress.last == (2, {"score": 5.0})


def test_one_that_reports_nothing_has_what_it_returns_at_the_target(tmp_path: Path) -> None:
    assert trained(lambda trial: 0.5, tmp_path).progress.last == (4, {"score": 0.5})


def test_one_that_gives_itself_up_has_diverged(tmp_path: Path) -> None:
    def hopeless(trial: Any) -> float:
        trial.report(1.0, 0)
        raise optuna.TrialPruned

    segment = trained(hopeless, tmp_path)
    assert segment.progress.reached == 1
    assert str(segment.progress.metrics) == "{'score': nan}"


def test_another_exception_is_the_program_s(tmp_path: Path) -> None:
    def broken(trial: Any) -> float:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        trained(broken, tmp_path)


def test_wanted_back_it_is_told_to_prune_after_a_report(tmp_path: Path) -> None:
    asked = []

    def train(trial: Any) -> float:
        asked.append(trial.should_prune())
        trial.report(1.0, 0)
        asked.append(trial.should_prune())
        raise optuna.TrialPruned

    segment = trained(train, tmp_path, drain=True)
    assert asked == [False, True]
    assert segment.progress.last == (1, {"score": 1.0})


def saving(trial: Any) -> float:
    done = int((trial.checkpoint / "done").read_text()) if trial.checkpoint else 0
    for step in range(done, 100):
        trial.report(float(step), step)
        if trial.should_prune():
            with trial.save() as folder:
                (folder / "done").write_text(str(step + 1))
            raise optuna.TrialPruned
    return 0.0


def test_from_its_checkpoint_it_goes_on_where_it_was(tmp_path: Path) -> None:
    first = trained(saving, tmp_path)
    [record] = first.records
    assert record["resource"] == 4
    second = trained(saving, tmp_path, 4, 9, tmp_path / record["path"])
    assert second.shown == [(step, {"score": float(step - 1)}) for step in range(5, 10)]


def test_one_that_saves_and_begins_anew_repeats_what_is_known(tmp_path: Path) -> None:
    def forgetful(trial: Any) -> float:
        for step in range(100):
            trial.report(float(step), step)
            with trial.save() as folder:
                (folder / "model").write_text("weights")
        return 0.0

    segment = trained(forgetful, tmp_path, 2, 4, tmp_path)
    assert segment.shown == [(3, {"score": 2.0}), (4, {"score": 3.0})]
    assert [record["resource"] for record in segment.records] == [3, 4]


def test_several_values_are_returned_in_the_order_of_the_metrics(tmp_path: Path) -> None:
    segment = trained(lambda trial: (0.5, 7.0), tmp_path, metric=["score", "size"])
    assert segment.progress.last == (4, {"score": 0.5, "size": 7.0})
    with pytest.raises(ReportError, match="ranks by score, size: return all of them in a tuple"):
        trained(typical, tmp_path, metric=["score", "size"])


def test_what_else_an_objective_knows_of_its_trial(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def curious(trial: Any) -> float:
        assert isinstance(trial.suggest_int("layers", 1, 3), int)
        assert (trial.number, trial.params, trial.target) == (3, {"layers": 2}, 4)
        trial.set_user_attr("size", 12)
        trial.set_constraint("memory", -1.0)
        assert trial.user_attrs == {"size": 12}
        with pytest.raises(AttributeError, match="trial.study is not there in an experiment"):
            _ = trial.study
        return 1.0

    assert trained(curious, tmp_path).progress.metrics == {"score": 1.0, "memory": -1.0}
    assert capsys.readouterr().out == "size = 12\n"


def test_a_narrower_space_is_fine_and_a_wider_one_is_told_with_both() -> None:
    trial = ObjectiveTrial(trial_of(Segment(Path(), 0, 4)), SPACE, ["score"])
    assert trial.suggest_float("lr", 1e-9, 10, log=True) == 0.1
    with pytest.raises(
        SpecificationError,
        match=r"suggest_float\('lr', 0.5, 1.0\): does not allow 0.1, which was drawn from "
        r"loguniform\(0.0001, 1.0\), the space's lr; make both the same",
    ):
        trial.suggest_float("lr", 0.5, 1)
    with pytest.raises(SpecificationError, match="the space has no depth, it has lr, layers"):
        trial.suggest_int("depth", 1, 2)


def test_an_objective_without_the_dialect_is_told_of_it() -> None:
    trial: Any = trial_of(Segment(Path(), 0, 4))
    with pytest.raises(AttributeError, match="no suggest_float: .* with dialect='optuna'"):
        typical(trial)
    with pytest.raises(AttributeError, match="^a trial has no weights$"):
        _ = trial.weights


def test_the_end_of_a_segment_is_not_caught_as_an_error() -> None:
    assert not issubclass(Beyond, Exception)
