"""How peers are played, with schedulers that are simple: the peers themselves are not installed."""

import json
import logging
import math
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from asha_queue.search.ladder import Ladder
from tests.benchmarks.quality import __main__ as command
from tests.benchmarks.quality.measures import measure
from tests.benchmarks.quality.methods import RULES, player
from tests.benchmarks.quality.peers.__main__ import main
from tests.benchmarks.quality.peers.curves import Kept, kept
from tests.benchmarks.quality.peers.stepwise import BEYOND, Stepwise
from tests.benchmarks.quality.play import Segment, World, play
from tests.benchmarks.quality.rules import (
    GoesOn,
    Promotion,
    alike,
    by_level,
    optuna_goes_on,
    ray_goes_on,
    syne_cut,
    syne_goes_on,
)
from tests.benchmarks.quality.samplers import Nearest, Shuffled
from tests.benchmarks.quality.tables import Task, load_all, save, task


def rising(rows: int = 12, steps: int = 4) -> Task:
    return task("rising", np.arange(1, rows + 1)[:, None] + 1 / np.arange(1, steps + 1))


class Stops:
    """Stops odd trials after their second step; even ones are paused there, for one more trial."""

    def __init__(self) -> None:
        self.told: list[tuple[int, int, float]] = []
        self.paused: list[int] = []

    def suggest(self, trial: int) -> int | None:
        return self.paused.pop() if self.paused and trial > self.paused[0] + 1 else trial

    def report(self, trial: int, step: int, value: float) -> bool:
        self.told.append((trial, step, value))
        if step == 2 and trial % 2 == 0:
            self.paused.append(trial)
        return step != 2


def test_trials_are_stopped_paused_and_resumed_as_the_scheduler_says() -> None:
    table, scheduler = rising(), Stops()
    play(table, 0, Stepwise(scheduler, table), Shuffled(table, 0), World(workers=1, horizon=3))
    assert [(trial, step) for trial, step, _ in scheduler.told] == [
        *((0, 1), (0, 2)),
        *((1, 1), (1, 2)),
        *((0, 3), (0, 4)),
        *((2, 1), (2, 2)),
        *((3, 1), (3, 2)),
        *((2, 3), (2, 4)),
    ]


def test_a_scheduler_is_asked_for_no_more_trials_than_there_are_rows() -> None:
    table, scheduler = rising(rows=3), Stops()
    method = Stepwise(scheduler, table)
    run = play(table, 0, method, Shuffled(table, 0), World(workers=2, horizon=99))
    assert run.started == 3
    assert method.decide() is None


def test_what_is_lost_is_told_as_nan() -> None:
    table, scheduler = rising(), Stops()
    world = World(horizon=20, drop=0.9, lost=True)
    play(table, 0, Stepwise(scheduler, table), Shuffled(table, 0), world)
    assert any(math.isnan(value) for _, _, value in scheduler.told)


def test_the_nearest_unused_row_is_taken_by_ranks_of_parameters() -> None:
    config = np.array([[1e-4, 5], [1e-3, 6], [1e-2, 7], [1e-1, 8]])
    rows = Nearest(task("x", np.ones((4, 1)), 1.0, config, ["lr", "n"]))
    assert rows.take(np.array([0.4, 0.4])) == 1
    assert rows.take(np.array([0.4, 0.4])) == 2
    assert rows.take(np.array([0.4, 0.4])) == 0
    assert rows.take(np.array([0.0, 0.0])) == 3


# The rules of peers


def place(goes_on: GoesOn, before: int, share: Fraction) -> int:
    """How many of the places that a new result can have among those before let it go on."""
    results = [float(n) for n in range(before)]
    # just better than the result whose place it takes, or worse than all
    news = [n - 1e-9 for n in results] + [float(before)]
    let = [goes_on(results, value, share) for value in news]
    assert let == sorted(let, reverse=True)
    return sum(let)


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_by_each_rule_so_many_go_on_as_its_tuner_says(eta: int) -> None:
    share = Fraction(1, eta)
    for n in range(2, 50):
        assert place(optuna_goes_on, n - 1, share) == max(1, n // eta)
        assert place(ray_goes_on, n - 1, share) == (n - 2) // eta + 1
        assert place(syne_goes_on, n - 1, share) == (n - 1) // eta + 1 == syne_cut(n, share)
    assert all(place(goes, 0, share) == 1 for goes in (ray_goes_on, syne_goes_on))
    assert syne_cut(1, share) == 0
    # what diverged does not count to Optuna: of one beside these none but the best goes on
    assert not optuna_goes_on([], BEYOND, share)
    assert not optuna_goes_on([0.1] + [BEYOND] * (2 * eta - 2), 0.3, share)
    assert optuna_goes_on([0.1] + [0.5] * (2 * eta - 2), 0.3, share)
    # of equal values all go on
    assert syne_goes_on([0.5] * 9, 0.5, share)


def test_the_share_of_syne_tune_follows_from_its_levels() -> None:
    assert by_level(Ladder(1, 50, 4)) == [Fraction(1, 4), Fraction(1, 4), Fraction(16, 50)]
    assert alike(Ladder(1, 50, 4)) == [Fraction(1, 4)] * 3


@pytest.mark.parametrize("name", RULES)
def test_a_rule_trains_each_trial_from_level_to_level_and_none_twice(name: str) -> None:
    table = rising(rows=40, steps=27)
    method = RULES[name](Ladder(1, 27, 3), table.rows)
    levels: dict[int, list[int]] = {}
    told: list[Segment] = []
    while segment := method.decide():
        levels.setdefault(segment.trial, []).append(segment.target)
        told.append(segment)
        method.complete(segment, float(table.metric[segment.trial, segment.target - 1]))
    assert sorted(levels) == list(range(40))
    assert all(reached == [1, 3, 9, 27][: len(reached)] for reached in levels.values())
    assert [*levels[0]] == [1, 3, 9, 27]


def test_promotion_takes_the_best_of_a_rung_at_most_once_and_the_higher_rung_first() -> None:
    method = Promotion(syne_cut, alike(Ladder(1, 9, 3)), Ladder(1, 9, 3), 9)
    for value in (0.5, 0.2):
        segment = method.decide()
        assert segment is not None
        method.complete(segment, value)
    # of two the best
    assert method.decide() == Segment(1, 1, 3)
    assert method.decide() == Segment(2, 0, 1)
    method.complete(Segment(1, 1, 3), 0.2)
    method.complete(Segment(2, 0, 1), 0.3)
    assert method.decide() == Segment(3, 0, 1)
    method.complete(Segment(3, 0, 1), math.nan)
    # (4 - 1) / 3 + 1 of four, the best but one; in the rung above there is one
    assert method.decide() == Segment(2, 1, 3)


def test_what_was_played_is_kept_and_shown_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "rising.npz", rising().metric, np.ones((1, 4)), np.ones((12, 0)), [])
    [table] = load_all(tmp_path)
    world, curves = World(), tmp_path / "curves"
    file = Kept(curves, "peer-sh/eta=3", "1.0", world)
    for seed in range(2):
        run = player("random").play(table, seed, world)
        assert not file.has(table, seed)
        file.add(table, measure(run), np.linspace(1, 0, 201))
    file.save()
    again = Kept(curves, "peer-sh/eta=3", "1.0", world)
    assert again.has(table, 1)
    assert not again.has(rising(rows=13), 1)
    # another version of the peer, or another world, is played anew
    assert not Kept(curves, "peer-sh/eta=3", "1.1", world).has(table, 1)
    assert not Kept(curves, "peer-sh/eta=3", "1.0", World(workers=5)).has(table, 1)
    assert [name for name, _, _ in kept(curves, world, [table], 1)] == ["peer-sh/eta=3"]
    assert not [*kept(curves, World(drop=0.1), [table], 1)]
    arguments = ["--tables", str(tmp_path), "--methods", "random", "--peers", str(curves)]
    assert command.main([*arguments, "--seeds", "2", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    against = told["methods"]["peer-sh/eta=3"]["against"]["random"]
    assert (against["pairs"], against["difference"]) == (2, 0.0)


def test_a_rule_is_compared_with_the_class_that_has_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "rising.npz", rising().metric, np.ones((1, 4)), np.ones((12, 0)), [])
    [table] = load_all(tmp_path)
    file = Kept(tmp_path / "curves", "optuna-sh/eta=3", "1.0", World())
    for seed in range(2):
        run = player("rule-of-optuna-sh/eta=3").play(table, seed, World())
        file.add(table, measure(run), np.linspace(1, 0, 201))
    file.save()
    arguments = ["--tables", str(tmp_path), "--methods", "random,rule-of-optuna-sh/eta=3"]
    assert command.main([*arguments, "--seeds", "2", "--peers", str(tmp_path / "curves")]) == 0
    assert capsys.readouterr().out.strip().splitlines()[-1].split()[:4] == [
        "rule-of-optuna-sh/eta=3",
        "optuna-sh/eta=3",
        "2",
        "1.000",
    ]


def test_peers_that_were_never_played_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "rising.npz", rising().metric, np.ones((1, 4)), np.ones((12, 0)), [])
    assert command.main(["--tables", str(tmp_path), "--peers", str(tmp_path / "none")]) == 2
    assert "none: is no folder; `make bench-quality-peers` makes it" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "syne_tune", None)  # as if it were not installed
    given = ["syne-tune", "--tables", str(tmp_path), "--into", str(tmp_path)]
    assert main(given) == 2
    assert capsys.readouterr().err.startswith("syne-tune: cannot be imported here (")
    # who imports a peer goes on to log
    assert logging.getLogger("coordinator").isEnabledFor(logging.WARNING)
