"""What random search needs, and what many workers gain, on tables whose answers are known."""

import math
from pathlib import Path

import numpy as np
import pytest

from asha_queue.search.variants import VARIANTS
from tests.benchmarks.quality import budget, fleet, settled
from tests.benchmarks.quality.budget import BUDGETS, needs
from tests.benchmarks.quality.fleet import earliest, until_top
from tests.benchmarks.quality.methods import player
from tests.benchmarks.quality.settled import chosen
from tests.benchmarks.quality.tables import Task, save, task

STEPS = 27


def steady(rows: int = 500) -> Task:
    """Row k is better than row k + 1 at each step, and each is best at its last."""
    return task("steady", np.arange(1, rows + 1)[:, None] + 1 / np.arange(1, STEPS + 1))


def test_random_search_needs_what_it_had_or_less_and_halving_far_less_of_much() -> None:
    found = needs([player("random"), player("asha")], [steady()], range(6), workers=2)
    for size in BUDGETS:
        assert found["random", size].shape == (1, 6)
        assert (found["random", size] <= size).all()
        # where no rank ever changes, the best of so many configurations is among as many
        assert np.median(found["asha", size]) < size / (2 if size < 100 else 5)
    # a larger budget finds what is better, which takes no less
    assert (found["asha", 400] >= found["asha", 20]).all()


def test_what_was_never_found_is_infinite() -> None:
    # only training of all rows finds the last value, and one step of each says nothing
    metric = np.ones((400, 9))
    metric[:, -1] = np.linspace(1, 0, 400)
    found = needs([player("one-epoch")], [task("late", metric)], range(2), workers=4)
    assert math.isinf(found["one-epoch", 400].max())


def test_no_number_of_workers_is_faster_than_the_earliest_step_that_is_top() -> None:
    table = steady()
    # five of 500 rows are top, and by their first step all but the fifth are: 5 + 1 > 5 + 1 / 27
    assert earliest(table) == pytest.approx(1 / STEPS)
    one, many = (until_top(player("asha"), table, range(5), number) for number in (1, 200))
    assert earliest(table) <= many < one
    late = np.ones((300, 10))
    late[:3, 6] = 0
    assert earliest(task("late", late, np.full((300, 1), 2.0))) == pytest.approx(0.7)


def test_a_run_that_never_gets_there_counts_with_its_end() -> None:
    # the three best of 300 rows are the worst in their first step, which is all that is looked at
    metric = np.ones((300, 9))
    metric[:3, 0] = 2
    metric[:3, -1] = 0
    hidden = task("hidden", metric)
    assert until_top(player("one-epoch"), hidden, range(2), 300) == fleet.LEAST
    assert until_top(player("random"), hidden, range(2), 300) == 1


def test_the_commands_print_a_row_for_each_method(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = steady(60)
    save(tmp_path / "steady.npz", table.metric, np.ones((1, STEPS)), table.config, [])
    given = ["--tables", str(tmp_path), "--methods", "asha,random", "--seeds", "2"]
    assert budget.main(given) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 workers, 2 runs"
    assert [line.split()[:2] for line in lines[3:]] == [
        [name, str(number)] for name in ("asha", "random") for number in BUDGETS
    ]
    assert fleet.main([*given, "--workers", "1,8"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[2:8] == ["W", "=", "1", "W", "=", "8"]
    assert [line.split()[0] for line in lines[1:]] == ["asha", "asha", "random", "random"]
    assert lines[2].split()[1:3] == ["geometric", "mean"]
    for command in (budget, fleet):
        assert command.main(["--tables", str(tmp_path), "--methods", "ahsa"]) == 2
        assert "no method is named 'ahsa'" in capsys.readouterr().err


def test_where_ranks_never_change_pasha_chooses_the_best_with_less_training() -> None:
    full, pasha = (chosen(variant, steady(), 0, workers=4) for variant in ("promotion", "pasha"))
    assert (full[0], full[2]) == (pasha[0], 1.0)
    assert pasha[1] < full[1] / 1.5
    assert pasha[2] <= 1 / 2


def test_what_variants_choose_is_told_for_each_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = steady(30)
    save(tmp_path / "steady.npz", table.metric, np.ones((1, STEPS)), table.config, [])
    assert settled.main(["--tables", str(tmp_path), "--seeds", "2"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["steady", variant] for variant in VARIANTS
    ]
    assert settled.main(["--tables", str(tmp_path / "none")]) == 2
