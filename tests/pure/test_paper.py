"""The paper's simulation, in repeats so few that it takes seconds."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import paper
from tests.benchmarks.quality.measures import Mean


def test_synchronous_halving_trains_no_more_than_its_brackets_and_asha_more() -> None:
    [sha, asha] = paper.cells(["resumed"], [0.1], [0.0], 2)
    assert (sha.method, asha.method) == ("SHA", "ASHA")
    # a bracket is 1,024 units; 25 workers have 50,000 in 2,000, less stragglers and waiting
    assert 36 <= sha.trained.mean <= 50_000 / 1_024
    assert asha.trained.mean > sha.trained.mean
    # five rungs one after the other take R and what stragglers add
    assert 256 < asha.first.mean < 350


def test_each_treatment_of_drops_keeps_more_than_the_one_before() -> None:
    lost, again, resumed = (
        paper.cell(way, "ASHA", 0.1, 0.005, [paper.simulated(n) for n in range(2)])
        for way in paper.WAYS
    )
    assert 0 < lost.trained.mean < 0.7 * again.trained.mean
    assert again.trained.mean < resumed.trained.mean


def test_the_command_prints_a_table_or_json_and_plots(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--repeats", "1", "--sigmas", "1.33", "--drops", "0.01", "--ways", "lost"]
    plot = tmp_path / "paper.html"
    assert paper.main([*few, "--plot", str(plot)]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["drops", "lost", "p", "=", "0.01"]
    assert "σ = 1.33" in out
    assert "→" in out
    assert "ASHA" in plot.read_text()
    assert paper.main([*few, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["method"] for one in told] == ["SHA", "ASHA"]
    assert told[0]["trained"]["error"] is None


@pytest.mark.parametrize(
    ("option", "value"), [("--drops", "1"), ("--sigmas", "x"), ("--repeats", "0"), ("--ways", "x")]
)
def test_a_mistake_is_told_with_its_value(
    option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        paper.main([option, value])
    assert f"argument {option}: '{value}'" in capsys.readouterr().err


def test_a_row_of_the_table_is_one_sigma_and_an_absent_cell_a_dash() -> None:
    cells = [
        paper.Cell("again", "SHA", 0.1, 0.0, 2, Mean(30.0, 0.5), Mean(300.0, 1.0)),
        paper.Cell("again", "ASHA", 0.1, 0.0, 2, Mean(40.0, 1.0), Mean(300.0, 1.0)),
        paper.Cell("again", "SHA", 0.24, 0.0, 2, Mean(25.0, 0.5), Mean(300.0, 1.0)),
    ]
    assert paper.table(cells).splitlines() == [
        "drops again                    p = 0",
        "σ = 0.10     30.0 ± 0.5 → 40.0 ± 1.0",
        "σ = 0.24              25.0 ± 0.5 → –",
    ]
