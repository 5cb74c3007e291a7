"""What an experiment learns from a study of Optuna."""

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest

from asha_queue import prior
from asha_queue.errors import SpecificationError
from asha_queue.search.space import choice, loguniform, uniform
from asha_queue.specification import Specification
from asha_queue.store.contract import Store
from asha_queue.study import Trained, results
from tests.server.test_coordinator import store as store

SPACE = {"lr": loguniform(1e-4, 1.0), "kind": choice(["a", "b"])}


def specification(*sources: str, **changes: Any) -> Specification:
    fields: dict[str, Any] = {"name": "new", "train": "p.py:f", "space": SPACE, "metric": "loss"}
    fields |= {"mode": "min", "max_t": 81, "seed": 1, "warm_start": list(sources)}
    return Specification(**fields | changes)


def objective(trial: optuna.Trial) -> float:
    lr: float = trial.suggest_float("lr", 1e-4, 10.0, log=True)
    trial.suggest_categorical("kind", ["a", "b"])
    if trial.number == 4:
        raise optuna.TrialPruned  # nothing reported
    if trial.number == 3:
        return lr  # neither
    for step in range(0, 9, 2):
        trial.report(lr + step, step)
        if step == 4 and trial.number == 2:
            raise optuna.TrialPruned
    return lr


PARAMS = [
    {"lr": 0.1, "kind": "a"},
    {"lr": 0.2, "kind": "b"},
    {"lr": 0.3, "kind": "a"},
    {"lr": 0.4, "kind": "a"},
    {"lr": 0.5, "kind": "a"},
    {"lr": 5.0, "kind": "a"},
]


def study_in(storage: Any, direction: str = "minimize", name: str = "mine") -> optuna.Study:
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    for params in PARAMS:
        study.enqueue_trial(params)
    study.optimize(objective, n_trials=len(PARAMS))
    optuna.logging.set_verbosity(verbosity)
    return study


@pytest.fixture(scope="module")
def sqlite(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The storage of a study called `mine`."""
    url = f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/study.db"
    storage = optuna.storages.RDBStorage(url)
    study_in(storage)
    storage.remove_session()
    storage.engine.dispose()
    return url


def test_complete_and_pruned_trials_count_with_what_they_reported_last(
    store: Store, sqlite: str
) -> None:
    source = f"optuna:{sqlite}/mine"
    made, said = prior.informed(store, specification(source))
    assert made.prior == [
        {"config": PARAMS[3], "resource": 81, "value": 0.4},
        {"config": PARAMS[0], "resource": 9, "value": 0.1},
        {"config": PARAMS[1], "resource": 9, "value": 0.2},
        {"config": PARAMS[2], "resource": 5, "value": 4.3},
    ]
    assert said == (
        f"warm start: knows 4 results of {source}; 1 trial does not fit the space and count for "
        f"nothing"
    )


def test_an_objective_counts_its_reports(sqlite: str) -> None:
    made = specification(dialect="optuna")
    resources = [one.resource for one in results(f"optuna:{sqlite}?timeout=9/mine", made)]
    assert resources == [5, 5, 3, 81, 5]


def test_what_an_objective_asks_for_at_times_is_given_some_value(tmp_path: Path) -> None:
    path = tmp_path / "log"
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.create_study(storage=storage, study_name="s")
    drawn = optuna.distributions.FloatDistribution(0.0, 1.0)
    for params in ({"x": 0.5}, {"x": 0.25, "y": 0.75}):
        study.add_trial(
            optuna.create_trial(
                params=params, distributions=dict.fromkeys(params, drawn), value=1.0
            )
        )
    space = {"x": uniform(0, 1), "y": uniform(0, 1)}
    first, second = results(f"optuna:{path}/s", specification(space=space, dialect="optuna"))
    assert first.config["x"] == 0.5
    assert 0 <= first.config["y"] <= 1
    assert second == Trained({"x": 0.25, "y": 0.75}, 81, 1.0)
    [plain, _] = results(f"optuna:{path}/s", specification(space=space))
    assert plain.config == {"x": 0.5}
    space |= {"new": uniform(0, 1)}
    [lacking, _] = results(f"optuna:{path}/s", specification(space=space, dialect="optuna"))
    assert "new" not in lacking.config


def test_a_journal_in_redis_is_a_storage_too(broker: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        backend = optuna.storages.journal.JournalRedisBackend(broker)
    study_in(optuna.storages.JournalStorage(backend))
    assert len(results(f"optuna:{broker}/mine", specification())) == 5
    backend._redis.flushdb()
    backend._redis.close()


def test_what_cannot_be_learnt_from_is_told_in_one_line(tmp_path: Path, sqlite: str) -> None:
    def refusal(source: str, **changes: Any) -> str:
        with pytest.raises(SpecificationError) as raised:
            results(source, specification(**changes))
        assert "\n" not in str(raised.value)
        return str(raised.value)

    assert refusal(f"optuna:{sqlite}/other") == (
        f"warm_start='optuna:{sqlite}/other': no study of {sqlite!r} is called 'other'; there "
        f"are: mine. Write optuna:STORAGE/STUDY"
    )
    assert "is MINIMIZE, and 'new' has mode='max'" in refusal(f"optuna:{sqlite}/mine", mode="max")
    several = {"metric": ["a", "b"], "mode": "min"}
    assert "'new' has the metrics a, b" in refusal(f"optuna:{sqlite}/mine", **several)
    for place in (f"sqlite:///{tmp_path}/none.db", f"{tmp_path}/none.log", "sqlite://"):
        told = refusal(f"optuna:{place}/mine")
        assert f"the storage {place!r} cannot be opened: there is no file" in told
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "text").write_text("no database")
    assert "cannot be opened" in refusal(f"optuna:sqlite:///{tmp_path}/text/mine")
    assert "cannot be opened" in refusal("optuna:redis://127.0.0.1:1/0/mine")
    assert "pip install 'asha-queue[optuna]'" in refusal("optuna:mysql://host/db/mine")


def test_a_password_is_named_and_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecificationError, match=r"user:\$PASSWORD@host") as raised:
        results("optuna:redis://u:geheim@127.0.0.1:1/0/mine", specification())
    assert "geheim" not in str(raised.value)
    monkeypatch.setenv("SECRET_OF_IT", "geheim")
    with pytest.raises(SpecificationError, match="cannot be opened") as raised:
        results("optuna:redis://u:$SECRET_OF_IT@127.0.0.1:1/0/mine", specification())
    assert "geheim" not in str(raised.value)


def test_without_optuna_it_is_told_what_to_install(tmp_path: Path) -> None:
    """In a process where Optuna cannot be imported."""
    script = (
        "import sys\n"
        "sys.modules['optuna'] = None\n"
        "from asha_queue.specification import Specification\n"
        "from asha_queue.study import results\n"
        "made = Specification(name='n', train='p.py:f', space={'x': {'uniform': [0, 1]}},"
        " metric='loss', mode='min', max_t=9)\n"
        "try:\n"
        "    results('optuna:log/s', made)\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, error)\n"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout
    assert told.startswith("SpecificationError warm_start='optuna:log/s': cannot be read here")
    assert "pip install 'asha-queue[optuna]'" in told


def test_the_field_takes_studies_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="or optuna:STORAGE/STUDY"):
        specification("optuna:mine")
    file = tmp_path / "new.toml"
    file.write_text(
        'name = "new"\ntrain = "p.py:train"\nmetric = "loss"\nmode = "min"\nmax_t = 9\n'
        'warm_start = ["optuna:sqlite:///s.db/s.jsonl"]\n[space]\nx = {uniform = [0, 1]}\n'
    )
    assert Specification.from_toml(file).warm_start == ["optuna:sqlite:///s.db/s.jsonl"]
