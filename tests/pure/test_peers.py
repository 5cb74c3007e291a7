"""How peers are played, with schedulers that are simple: the peers themselves are not installed."""

import json
import logging
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.quality import __main__ as command
from tests.benchmarks.quality.measures import measure
from tests.benchmarks.quality.methods import player
from tests.benchmarks.quality.peers.__main__ import main
from tests.benchmarks.quality.peers.curves import Kept, kept
from tests.benchmarks.quality.peers.stepwise import Nearest, Stepwise
from tests.benchmarks.quality.play import World, play
from tests.benchmarks.quality.samplers import Shuffled
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


def test_what_was_played_is_kept_and_shown_beside_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "rising.npz", rising().metric, np.ones((1, 4)), np.ones((12, 0)), [])
    [table] = load_all(tmp_path)
    world, curves = World(), tmp_path / "curves"
    file = Kept(curves, "peer-sh", "1.0", world)
    for seed in range(2):
        run = player("random").play(table, seed, world)
        assert not file.has(table, seed)
        file.add(table, measure(run), np.linspace(1, 0, 201))
    file.save()
    again = Kept(curves, "peer-sh", "1.0", world)
    assert again.has(table, 1)
    assert not again.has(rising(rows=13), 1)
    # another version of the peer, or another world, is played anew
    assert not Kept(curves, "peer-sh", "1.1", world).has(table, 1)
    assert not Kept(curves, "peer-sh", "1.0", World(workers=5)).has(table, 1)
    assert [name for name, _, _ in kept(curves, world, [table], 1)] == ["peer-sh"]
    assert not [*kept(curves, World(drop=0.1), [table], 1)]
    arguments = ["--tables", str(tmp_path), "--methods", "random", "--peers", str(curves)]
    assert command.main([*arguments, "--seeds", "2", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    against = told["methods"]["peer-sh"]["against"]["random"]
    assert (against["pairs"], against["difference"]) == (2, 0.0)


def test_peers_that_were_never_played_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "rising.npz", rising().metric, np.ones((1, 4)), np.ones((12, 0)), [])
    assert command.main(["--tables", str(tmp_path), "--peers", str(tmp_path / "none")]) == 2
    assert "none: is no folder; `make bench-peers` makes it" in capsys.readouterr().err


def test_a_peer_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "syne_tune", None)  # as if it were not installed
    given = ["syne-tune", "--tables", str(tmp_path), "--into", str(tmp_path)]
    assert main(given) == 2
    assert capsys.readouterr().err.startswith("syne-tune: cannot be imported here (")
    # who imports a peer goes on to log
    assert logging.getLogger("coordinator").isEnabledFor(logging.WARNING)
