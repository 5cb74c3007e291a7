"""Ray Tune's names: what is taken over, what is refused, and what results are called."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from asha_queue import tune
from asha_queue.errors import AshaQueueError, SpecificationError
from asha_queue.experiment import Experiment
from asha_queue.node import gpus
from asha_queue.result import Result
from asha_queue.simulation import simulate
from asha_queue.tune import schedulers, tuner
from asha_queue.tune.schedulers import ASHAScheduler, FIFOScheduler
from asha_queue.tune.table import print_trials
from asha_queue.views import notes


def train_fn(config: dict[str, Any]) -> None:
    """Stands for a function that is never called here."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Experiment, dict[str, Any]]]:
    """The experiments that would be run, with the arguments; their trials are simulated."""
    made: list[tuple[Experiment, dict[str, Any]]] = []

    def run(self: Experiment, **arguments: Any) -> Result:
        made.append((self, arguments))
        return simulated(self)

    monkeypatch.setattr(Experiment, "run", run)
    monkeypatch.setattr(gpus, "found", list)
    monkeypatch.delenv("ASHA_QUEUE_BROKER", raising=False)
    monkeypatch.delenv("CELERY_BROKER_URL", raising=False)
    return made


def simulated(experiment: Experiment, until: float | None = None) -> Result:
    return simulate(
        experiment.seeded(),
        lambda config, t: {"accuracy": config["lr"] * t, "loss": 1 - config["lr"]},
        lambda config, start, target: float(target - start),
        workers=2,
        until=until,
    )


def search(**changes: Any) -> tune.ExperimentAnalysis:
    given: dict[str, Any] = {
        "config": {"lr": tune.grid_search([0.1, 0.2, 0.3]), "layers": 2},
        "num_samples": 3,
        "scheduler": ASHAScheduler(metric="accuracy", mode="max", max_t=9, reduction_factor=3),
        "verbose": 0,
    }
    return tune.run(train_fn, **{**given, **changes})


def test_a_search_is_the_one_that_the_script_asks_for(
    made: list[tuple[Experiment, dict[str, Any]]],
) -> None:
    search(name="mine", resources_per_trial={"cpu": 1000}, max_concurrent_trials=4)
    ((experiment, arguments),) = made
    assert (experiment.name, experiment.dialect, experiment.num_trials) == ("mine", "ray", 9)
    assert experiment.ladder.levels == (1, 3, 9)
    assert (experiment.metric, experiment.mode) == ("accuracy", "max")
    assert (experiment.sampler, experiment.hedge, experiment.variant) == (
        "random",
        False,
        "promotion",
    )
    assert (experiment.max_concurrent, arguments["workers"]) == (4, 1)


def test_the_defaults_of_asha_are_those_of_ray() -> None:
    assert ASHAScheduler().fields == {
        "max_t": 100,
        "grace_period": 1,
        "reduction_factor": 4,
        "brackets": 1,
    }


@pytest.mark.parametrize("scheduler", [None, FIFOScheduler()])
def test_without_asha_every_trial_is_trained_in_full(
    scheduler: FIFOScheduler | None, made: list[tuple[Experiment, dict[str, Any]]]
) -> None:
    stop = {"training_iteration": 7}
    search(scheduler=scheduler, metric="accuracy", mode="max", stop=stop)
    assert made[0][0].ladder.levels == (7,)


def test_a_tuner_runs_the_same_search(made: list[tuple[Experiment, dict[str, Any]]]) -> None:
    results = tune.Tuner(
        tune.with_resources(train_fn, {"cpu": 1}),
        param_space={"lr": tune.grid_search([0.1, 0.2, 0.3])},
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", scheduler=ASHAScheduler(max_t=4, reduction_factor=2)
        ),
        run_config=tune.RunConfig(name="tuned", verbose=0),
    ).fit()
    assert made[0][0].name == "tuned"
    assert (len(results), results.num_errors, results.errors) == (3, 0, [])
    best = results.get_best_result()
    assert best.config == {"lr": 0.3}
    assert best.metrics["training_iteration"] == 4
    assert [trial.status for trial in results] == ["TERMINATED"] * 3


def test_the_best_is_told_by_any_metric(made: list[tuple[Experiment, dict[str, Any]]]) -> None:
    analysis = search()
    assert analysis.best_config == {"lr": 0.3, "layers": 2}
    assert analysis.best_result["accuracy"] == pytest.approx(2.7)
    assert analysis.get_best_config(metric="loss", mode="min") == {"lr": 0.3, "layers": 2}
    assert analysis.get_best_config(metric="absent", mode="min") is None
    with pytest.raises(AshaQueueError, match="scope='all'"):
        analysis.get_best_trial(scope="all")


def test_trials_are_shown_with_the_words_of_ray(
    made: list[tuple[Experiment, dict[str, Any]]], capsys: pytest.CaptureFixture[str]
) -> None:
    search()
    halfway = simulated(made[0][0], until=6.0)
    print_trials(tune.ExperimentAnalysis(halfway, Path()).trials, Console())
    shown = capsys.readouterr().out
    assert "RUNNING" in shown
    assert "PAUSED" in shown
    assert all(name in shown for name in ("iter", "total time (s)", "lr", "accuracy"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"callbacks": []}, r"tune.run\(callbacks=…\): is not supported; instead: Flower"),
        ({"no_such": 1}, r"tune.run\(no_such=…\)"),
        ({"search_alg": object()}, "give the name of a sampler, such as search_alg='trees'"),
        ({"scheduler": object()}, "give an ASHAScheduler"),
        ({"scheduler": None}, "metric: is missing"),
        ({"mode": "min"}, "mode='min': the scheduler has mode='max'"),
        ({"stop": {"accuracy": 1}}, "'accuracy' is not supported; return from the function"),
        ({"resources_per_trial": {"gpu": 1}}, "this machine has none"),
        ({"resources_per_trial": {"gpu": 0.5}}, "--workers-per-gpu"),
        ({"num_samples": -1}, "num_samples=-1"),
        ({"config": None}, "space={}"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(
    changes: dict[str, Any], said: str, made: list[tuple[Experiment, dict[str, Any]]]
) -> None:
    with pytest.raises(SpecificationError, match=said):
        search(**{"metric": None, **changes})
    assert made == []


def test_a_function_that_workers_cannot_find_is_refused() -> None:
    with pytest.raises(SpecificationError, match="define it with `def` at the top"):
        tune.run(lambda config: None, config={"lr": 1}, metric="a", mode="min")


def test_names_that_ray_has_and_this_has_not_say_what_to_use() -> None:
    with pytest.raises(SpecificationError, match="write a function of the config"):
        _ = tune.Trainable
    with pytest.raises(SpecificationError, match="ASHAScheduler, or FIFOScheduler"):
        _ = schedulers.PopulationBasedTraining
    assert not hasattr(tune, "no_such_name")
    with pytest.raises(SpecificationError, match="leave time_attr out"):
        ASHAScheduler(time_attr="epoch")
    with pytest.raises(SpecificationError, match="give a higher max_t"):
        ASHAScheduler(stop_last_trials=False)


def test_a_search_without_a_name_is_called_after_its_function_and_the_time() -> None:
    assert tuner._new_name(train_fn).startswith("train_fn_20")


def test_a_checkpoint_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("7")
    checkpoint = tune.Checkpoint.from_directory(tmp_path)
    with checkpoint.as_directory() as folder:
        assert Path(folder, "state").read_text() == "7"
    copied = checkpoint.to_directory(tmp_path / "copy")
    assert Path(copied, "state").read_text() == "7"
    with pytest.raises(SpecificationError, match="is no folder"):
        tune.Checkpoint.from_directory(tmp_path / "absent")


def test_reports_outside_of_a_search_say_so() -> None:
    with pytest.raises(AshaQueueError, match="no trial is trained in this process"):
        tune.report(accuracy=1.0)
    with pytest.raises(AshaQueueError, match="no trial is trained in this process"):
        tune.get_checkpoint()


def test_a_search_without_checkpoints_is_told_how_ray_saves_them(
    made: list[tuple[Experiment, dict[str, Any]]],
) -> None:
    result = search().result
    for trial in result.trials:
        for rung in trial.results:
            rung.checkpoint = None  # what is simulated saves
    (note,) = notes(result)
    assert "tune.report(metrics, checkpoint=…)" in note
