"""Tables by real trainings, of so few configurations that they take a second."""

import math
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.quality import make_table
from tests.benchmarks.quality.make_table import NAMES, Data, curve, drawn, main, trained
from tests.benchmarks.quality.tables import load


def test_a_table_of_real_trainings_can_be_played_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "made" / "wine.npz"
    assert main([str(path), "--data", "wine", "--rows", "6", "--epochs", "5"]) == 0
    table = load(path)
    assert table.metric.shape == (6, 5)
    assert table.names == NAMES
    # something was learned: guessing among three kinds of wine costs ln 3
    assert table.best < 0.7 < math.log(3)
    assert table.elapsed.shape == (6, 6)
    assert "6 configurations" in capsys.readouterr().out


def test_the_same_seed_trains_the_same_curves() -> None:
    data, config = Data("wine"), drawn(3, 1)
    first, again = (trained(data, config, 3, 1, equal=True) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1].shape == (1, 1)


def test_no_value_is_told_from_where_a_training_diverged() -> None:
    config = drawn(1, 0)[0]
    config[NAMES.index("log_lr")], config[NAMES.index("adam")] = 300.0, 0
    config[NAMES.index("relu")] = 1
    with np.errstate(all="ignore"):
        values = curve(Data("wine"), config, 4, 0)
    assert np.isnan(values).all()


def test_ended_early_what_is_complete_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def interrupted(*arguments: object) -> np.ndarray:
        ran.append(arguments)
        if len(ran) == 3:
            raise KeyboardInterrupt
        return np.ones(4)

    monkeypatch.setattr(make_table, "curve", interrupted)
    path = tmp_path / "wine.npz"
    assert main([str(path), "--data", "wine", "--rows", "9", "--epochs", "4"]) == 130
    assert load(path).rows == 2
    assert "ended early: what is complete is written" in capsys.readouterr().err


def test_a_file_of_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["wine.csv"])
    assert "'wine.csv' does not end with .npz" in capsys.readouterr().err
