"""The quality benchmark against tables so small that their answers are known."""

import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asha_queue.search.ladder import Ladder
from asha_queue.search.space import grid_search
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from tests.benchmarks.quality import __main__ as command
from tests.benchmarks.quality import baselines
from tests.benchmarks.quality.functions import function
from tests.benchmarks.quality.measures import (
    AT,
    Mean,
    Measures,
    area,
    compare,
    measure,
    regret,
    summary,
)
from tests.benchmarks.quality.methods import METHODS, MethodError, player
from tests.benchmarks.quality.play import Method, Run, Segment, World, incumbents, play
from tests.benchmarks.quality.samplers import Shuffled
from tests.benchmarks.quality.tables import TableError, Task, load, load_all, save, task

STEPS = 27


def steady(rows: int = 60, steps: int = STEPS, **changes: Any) -> Task:
    """A task in which no rank ever changes: row k is better than row k + 1 at each step."""
    metric = np.arange(1, rows + 1)[:, None] / rows + 1 / np.arange(1, steps + 1)
    return task("steady", **{"metric": metric, **changes})


class Recorded:
    """Passes everything on to a method and notes what it decides and is told."""

    def __init__(self, method: Method) -> None:
        self.method = method
        self.decided: list[Segment] = []
        self.told: list[tuple[int, int, float]] = []
        self.failed: list[Segment] = []

    def decide(self) -> Segment | None:
        segment = self.method.decide()
        self.decided += [segment] if segment else []
        return segment

    def complete(self, segment: Segment, value: float) -> None:
        self.told.append((segment.trial, segment.target, value))
        self.method.complete(segment, value)

    def fail(self, segment: Segment) -> None:
        self.failed.append(segment)
        self.method.fail(segment)


class InOrder:
    """Rows as the table lists them."""

    def __init__(self) -> None:
        self._row = -1

    def draw(self) -> int:
        self._row += 1
        return self._row

    def observe(self, row: int, step: int, value: float) -> None: ...


def recorded(name: str, table: Task, eta: int = 3) -> Recorded:
    return Recorded(METHODS[name](Ladder(1, table.steps, eta), table.rows))


# What is played


@pytest.mark.parametrize("workers", [1, 4, 25])
def test_the_same_segments_are_played_in_the_same_order_as_by_the_simulator(workers: int) -> None:
    rng = np.random.default_rng(5)
    table = task("random", rng.uniform(size=(80, STEPS)), 1 + rng.uniform(size=(80, 1)))
    rows = [Shuffled(table, 3) for _ in range(2)]
    order = [rows[0].draw() for _ in range(table.rows)]
    experiment = Specification(
        name="same",
        train="same.py:train",
        space={"row": grid_search(order)},
        metric="loss",
        mode="min",
        max_t=STEPS,
        reduction_factor=3,
        hedge=False,
        num_samples=1,
        seed=0,
    )
    simulated = simulate(
        experiment,
        lambda config, t: {"loss": float(table.metric[config["row"], t - 1])},
        lambda config, start, target: float(
            table.until(config["row"])[target] - table.until(config["row"])[start]
        ),
        workers=workers,
    )
    method = recorded("asha", table)
    run = play(table, 3, method, rows[1], World(workers=workers, horizon=1000))
    entries = [entry for entry in simulated.journal if entry["type"] == "scheduled"]
    assert [(s.trial, s.rung, s.target) for s in method.decided] == [
        (entry["trial"], entry["rung"], entry["target"]) for entry in entries
    ]
    assert len(run.finished) == simulated.rungs[-1].results >= 2


def test_where_ranks_never_change_the_best_row_is_trained_to_the_end_by_all_but_few() -> None:
    table = steady()
    for name in ("asha/eta=3", "sha/eta=3", "hyperband/eta=3", "one-epoch", "random"):
        run = player(name).play(table, 0, World(horizon=1000))
        assert run.started == table.rows, name
        assert run.values[-1] == table.best, name
        assert measure(run).regret[-1] == 0, name


def test_random_search_trains_one_row_after_the_other_to_its_end() -> None:
    table = steady(rows=5)
    method = recorded("random", table)
    run = play(table, 0, method, InOrder(), World(workers=1, horizon=3.5))
    assert [(s.trial, s.target) for s in method.decided] == [(n, STEPS) for n in range(4)]
    assert run.finished == (27.0, 54.0, 81.0)
    assert run.busy == pytest.approx(1.0)


def test_synchronous_halving_waits_for_its_rungs_and_begins_another_bracket_meanwhile() -> None:
    table = steady(rows=60, steps=9)
    method = recorded("sha", table)
    play(table, 0, method, InOrder(), World(workers=1, horizon=9))
    bracket = [*range(9)]
    assert [s.trial for s in method.decided[:13]] == [*bracket, 0, 1, 2, 0]
    assert [s.target for s in method.decided[:13]] == [1] * 9 + [3] * 3 + [9]
    assert method.decided[13].trial == 9
    many = recorded("sha", table)
    play(table, 0, many, InOrder(), World(workers=10, horizon=1))
    assert [s.trial for s in many.decided[:10]] == [*bracket, 9]


def test_brackets_of_hyperband_begin_at_each_level_with_about_the_same_budget() -> None:
    rule = baselines.hyperband(Ladder(1, 81, 3))
    # Table 1 of the paper
    assert [next(rule) for _ in range(5)] == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]
    assert next(rule)[0] == (81, 1)


def test_the_best_after_one_epoch_are_trained_to_the_end_and_nothing_else() -> None:
    table = steady(rows=60, steps=9)
    method = recorded("one-epoch", table)
    play(table, 0, method, InOrder(), World(workers=1, horizon=7))
    assert [(s.trial, s.target) for s in method.decided[27:30]] == [(0, 9), (1, 9), (2, 9)]
    assert {s.target for s in method.decided[:27]} == {1}


def test_of_equal_values_the_earlier_trial_goes_on() -> None:
    table = task("ties", np.ones((30, 9)))
    for name in ("sha", "asha"):
        method = recorded(name, table)
        play(table, 0, method, InOrder(), World(workers=1, horizon=2))
        assert [s.trial for s in method.decided if s.rung == 1][:3] == [0, 1, 2]


@pytest.mark.parametrize("name", METHODS)
def test_diverged_rows_are_seen_by_nobody_and_never_promoted(name: str) -> None:
    metric = steady(rows=40).metric.copy()
    metric[::2] = math.nan
    table = task("half", metric)
    method = recorded(name, table)
    run = play(table, 0, method, InOrder(), World(horizon=1000))
    assert run.started == 40
    assert all(s.trial % 2 for s in method.decided if s.rung > 0)
    assert not np.isnan(run.values).any()
    assert run.values[-1] == table.best == metric[1, -1]


@pytest.mark.parametrize("name", METHODS)
def test_no_row_is_trained_for_two_trials_and_no_step_twice(name: str) -> None:
    table = steady()
    method, drawn = recorded(name, table), Shuffled(table, 1)
    run = play(table, 1, method, drawn, World(workers=7, horizon=1000, straggler=0.5))
    assert sorted(Shuffled(table, 1)._rows) == list(range(60))
    segments = [(s.trial, s.target) for s in method.decided]
    assert len(set(segments)) == len(segments)
    assert run.started == 60
    # each trial was told once per level, in the order of levels
    for trial in range(60):
        levels = [target for number, target, _ in method.told if number == trial]
        assert levels == sorted(levels)


# Time


def test_stragglers_take_longer_by_the_mean_of_a_folded_normal_deviate() -> None:
    table = steady(rows=3000, steps=1)
    run = player("random").play(table, 0, World(workers=1, horizon=2000, straggler=0.5))
    spent = np.diff(np.array(run.finished))
    assert spent.min() >= 1
    assert spent.mean() == pytest.approx(1 + 0.5 * math.sqrt(2 / math.pi), abs=0.03)


def test_a_dropped_segment_is_trained_again_by_its_worker_until_it_is_through() -> None:
    table = steady(rows=2000, steps=1)
    run = player("random").play(table, 0, World(workers=1, horizon=1000, drop=0.5))
    # the time of an attempt that is dropped at rate ln 2 per unit: (e^rate - 1) / rate in the mean
    assert 1000 / len(run.finished) == pytest.approx(1 / math.log(2), abs=0.1)
    assert run.started == len(run.finished) + 1


@pytest.mark.parametrize("name", METHODS)
def test_what_is_lost_fails_and_the_search_goes_on(name: str) -> None:
    table = steady()
    method = recorded(name, table)
    world = World(horizon=1000, drop=0.9, lost=True)
    run = play(table, 0, method, InOrder(), world)
    assert len(method.failed) > 5
    assert len(method.decided) == len(method.told) + len(method.failed)
    failed = {segment.trial for segment in method.failed}
    assert len(failed) == len(method.failed)
    assert run.started == table.rows


def test_steps_that_ended_before_a_drop_were_seen() -> None:
    table = steady(rows=1, steps=1000)
    world = World(workers=1, horizon=0.99, drop=0.9)
    run = player("random").play(table, 0, world)
    assert not run.finished
    assert 0 < len(run.times) < 990
    assert run.values[-1] == table.metric[0, len(run.times) - 1]


def test_from_scratch_a_segment_begins_with_the_first_step() -> None:
    table = steady(rows=9, steps=9)
    resumed, scratch = (
        play(table, 0, recorded("sha", table), InOrder(), World(1, 100, scratch=scratch))
        for scratch in (False, True)
    )
    assert resumed.finished == (9 + 3 * 2 + 6,)
    assert scratch.finished == (9 + 3 * 3 + 9,)


def test_what_is_seen_is_what_has_ended_by_the_horizon() -> None:
    seen = [(np.array([1.0, 3.0]), np.array([5.0, 2.0])), (np.array([2.0]), np.array([math.nan]))]
    seen.append((np.array([1.0, 2.0, 9.0]), np.array([4.0, 4.0, 1.0])))
    times, values = incumbents(seen, 8.0)
    assert times.tolist() == [1.0, 3.0]
    assert values.tolist() == [4.0, 2.0]
    assert incumbents([], 8.0)[0].tolist() == []


def test_decisions_are_charged_where_a_training_takes_no_time() -> None:
    table = steady()
    free, charged = (
        player("asha").play(table, 0, World(horizon=2, training=training))
        for training in (None, 1e-4)
    )
    assert charged.started < free.started
    assert charged.decision > 0


def test_runs_are_equal_if_all_is_and_differ_by_seed_and_by_task() -> None:
    world = World(straggler=0.3, drop=0.1)
    one, same, other = (player("asha").play(steady(), seed, world) for seed in (1, 1, 2))
    assert one.times.tolist() == same.times.tolist()
    assert one.times.tolist() != other.times.tolist()
    a, b = (task(name, np.ones((50, 2))) for name in ("a", "b"))
    assert [*Shuffled(a, 1)._rows] == [*Shuffled(a, 1)._rows] != [*Shuffled(b, 1)._rows]


# Measures


def run_of(times: list[float], values: list[float]) -> Run:
    # the best is 0, and half of the rows begin with 1
    table = task("known", [[1.0, 0.0], [1.0, 1.0], [1.0, 1.0], [1.5, 1.5]])
    return Run(table, 0, 10.0, np.array(times), np.array(values), (4.0,), 2, 0.5, 0.0)


def test_area_is_the_mean_of_regret_over_time() -> None:
    assert area(run_of([], [])) == 1.0
    assert area(run_of([0.0], [0.0])) == 0.0
    # 1 for 2, then 0.5 for 3, then 0 for 5
    assert area(run_of([2.0, 5.0], [0.5, 0.0])) == pytest.approx(0.35)
    # worse than usual is no worse than knowing nothing
    assert area(run_of([2.0, 5.0], [7.0, 0.0])) == pytest.approx(0.5)


def test_regret_is_told_at_shares_of_the_horizon_and_the_top_in_full_trainings() -> None:
    run = run_of([1.0, 5.0], [0.5, 0.0])
    assert AT == (0.1, 0.25, 0.5, 1.0)
    assert regret(run, np.array([0.0, 0.99])).tolist() == [1.0, 1.0]
    found = measure(run)
    assert found.regret == (0.5, 0.5, 0.0, 0.0)
    assert found.top == 2.5  # R is 2 s
    assert found.full == 1
    assert measure(run_of([1.0], [0.5])).top is None


def test_where_all_rows_are_alike_there_is_nothing_to_regret() -> None:
    assert measure(player("asha").play(task("ties", np.ones((30, 9))), 0, World())).area < 0.02


def measured(seed: int, area: float, top: float | None = 1.0, name: str = "a") -> Measures:
    return Measures(name, seed, area, (area,) * 4, top, 1, 1, 1.0, 0.0)


def test_a_summary_tells_means_errors_the_tail_and_the_share_at_the_top() -> None:
    told = summary([measured(n, n / 20, top=None if n < 5 else 2.0) for n in range(20)])
    assert told.area.mean == pytest.approx(0.475)
    assert told.area.error == pytest.approx(np.std(np.arange(20) / 20, ddof=1) / math.sqrt(20))
    assert told.tail == pytest.approx((18 + 19) / 40)
    assert told.share == 0.75
    assert told.top == Mean(2.0, 0.0)
    assert math.isnan(summary([measured(0, 0.1, top=None)]).top.mean)


def test_methods_are_compared_in_pairs_of_one_task_and_seed() -> None:
    rng = np.random.default_rng(0)
    noise = rng.uniform(size=40)
    others = [measured(n, noise[n], name="ab"[n % 2]) for n in range(40)]
    better = [measured(n, noise[n] - 0.01 * (n % 4), name="ab"[n % 2]) for n in range(40)]
    found = compare(better, others[::-1], 10)
    assert found.pairs == 40
    assert found.difference == pytest.approx(-0.015)
    assert -0.021 < found.low < -0.015 < found.high < -0.009
    assert found.wins == pytest.approx(0.75 + 0.25 / 2)
    # seeds that only one of them has are no pair, and one pair of a task has no interval
    few = compare(better[:3], others, 10)
    assert few.pairs == 3
    assert math.isnan(few.low)
    assert math.isnan(few.area.low)


def test_ratios_are_geometric_means_over_tasks_of_what_is_a_mean_over_runs() -> None:
    # of task a half of the other's area, of task b twice as much in four runs of the same size
    ours = [measured(n, area, name="a") for n, area in enumerate([0.1, 0.3])]
    ours += [measured(n, 0.8, top=2.0, name="b") for n in range(4)]
    theirs = [measured(n, area, name="a") for n, area in enumerate([0.6, 0.2])]
    theirs += [measured(n, 0.1, top=None if n == 0 else 1.0, name="b") for n in range(4)]
    found = compare(ours, theirs, horizon=5)
    assert found.area.mean == pytest.approx(math.sqrt(0.5 * 8))
    assert found.area.worst == pytest.approx(8)
    assert found.area.low <= found.area.mean <= found.area.high
    # at the top: 1 and 1, then 2 and the mean of 5, which is the horizon, and three times 1
    assert found.top.mean == pytest.approx(math.sqrt(1 * (2 / 2)))
    assert (found.share, found.other_share) == (1.0, 5 / 6)
    back = compare(theirs, ours, horizon=5)
    assert back.area.mean == pytest.approx(1 / found.area.mean)


# Tables


def test_a_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    table = steady(cost=np.full((1, STEPS), 2.0), config=np.ones((60, 2)), names=("lr", "beta"))
    save(tmp_path / "x.npz", table.metric, np.full((1, STEPS), 2.0), table.config, table.names)
    [found] = load_all(tmp_path)
    assert found.name == "x"
    assert found.names == ("lr", "beta")
    assert found.full == 2 * STEPS
    np.testing.assert_allclose(found.metric, table.metric, rtol=1e-6)
    costs = task("each", table.metric, np.arange(1, 61)[:, None])
    assert costs.until(1).tolist() == [2.0 * n for n in range(STEPS + 1)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": np.ones(3)}, r"`metric` is of shape \(3,\): it must be configurations × steps"),
        ({"metric": np.full((4, 2), np.nan)}, "NaN throughout"),
        ({"metric": np.full((4, 2), np.inf)}, "has infinities: write NaN where"),
        ({"cost": np.ones(3)}, r"`cost` is of shape \(3,\): it must fit `metric`"),
        ({"cost": np.zeros((1, 2))}, "not above 0: they are seconds of a step"),
        ({"config": np.ones((3, 1))}, "a row for each of the 4 of `metric` and a column for each"),
        ({"names": np.array(["a", "b"])}, "for each of the 2 of `names`"),
        ({"metric": np.array([["a", "b"]] * 4)}, "holds something other than numbers"),
        ({"metric": None}, "has no `metric`, only config, cost, names"),
    ],
)
def test_a_bad_table_is_refused_with_its_name_and_what_is_wrong(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    good = {"metric": np.ones((4, 2)), "cost": np.ones((1, 2)), "config": np.ones((4, 1))}
    arrays: dict[str, Any] = {**good, "names": np.array(["a"]), **changes}
    path = tmp_path / "bad.npz"
    np.savez(path, **{name: held for name, held in arrays.items() if held is not None})
    with pytest.raises(TableError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_what_is_no_table_at_all_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("nothing of the kind")
    np.save(tmp_path / "lone.npy", np.ones(3))
    (tmp_path / "lone.npy").rename(tmp_path / "lone.npz")
    for name in ("text.npz", "lone.npz", "none.npz"):
        with pytest.raises(TableError, match=name):
            load(tmp_path / name)
    with pytest.raises(TableError, match="is no folder; .* `make bench-table TABLES="):
        load_all(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        TableError, match="holds no `.npz` tables; `make bench-table TABLES=.* makes one"
    ):
        load_all(tmp_path / "empty")


# Names and the command line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ahsa", "no method is named 'ahsa'; there are asha, asha-hedged, sha,"),
        ("asha/mu=3", "asha has no option 'mu'; it takes eta, from, brackets"),
        ("random/eta=3", "random has no option 'eta'; it takes sampler"),
        ("asha/eta=1", "eta must be a whole number of at least 2"),
        ("asha/from=x", "from must be a whole number of at least 1"),
        ("asha/sampler=best", "no sampler is named 'best'; there are random"),
    ],
)
def test_a_method_that_does_not_exist_is_refused(name: str, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        player(name)


def test_the_default_is_that_of_an_experiment() -> None:
    fields = Specification.model_fields
    assert player("asha").eta == fields["reduction_factor"].default
    assert player("asha").first == fields["grace_period"].default
    found = player("asha/from=9/eta=3/sampler=random")
    assert (found.first, found.eta) == (9, 3)
    run = found.play(steady(), 0, World(workers=1, horizon=1))
    assert run.started == 3


def written(folder: Path) -> Path:
    table = steady()
    save(folder / "steady.npz", table.metric, np.ones((1, STEPS)), table.config, [])
    return folder


def test_the_command_prints_a_table_with_each_method_and_plots_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "plot.html"
    arguments = ["--tables", str(written(tmp_path)), "--seeds", "3", "--methods", "asha,random"]
    assert command.main([*arguments, "--workers", "1,4", "--plot", str(plot)]) == 0
    out, err = capsys.readouterr()
    assert "1 workers, 40 R" in out
    assert "4 workers, 10 R" in out
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("random")] == [
        ["random", "3"],
        ["random", "3"],
    ]
    # how far the first method is ahead
    assert len(re.findall(r"^asha +random +3 +\d\.\d{3} \(", out, re.MULTILINE)) == 2
    assert "4 workers: 6 of 6 runs" in err
    assert "asha used up all 60 rows of steady" in err
    page = plot.read_text()
    assert page.count("Plotly.newPlot(") == 2
    assert "normalised regret" in page


def test_the_command_prints_json_without_nan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--tables", str(written(tmp_path)), "--seeds", "1", "--methods", "sha,one-epoch"]
    assert command.main([*arguments, "--drops", "0.2", "--stragglers", "0.1", "--json"]) == 0
    [told] = json.loads(capsys.readouterr().out)
    assert told["world"]["drop"] == 0.2
    assert told["methods"]["one-epoch"]["against"]["sha"]["pairs"] == 1
    assert told["methods"]["one-epoch"]["against"]["sha"]["area"]["mean"] > 0
    assert told["methods"]["sha"]["summary"]["area"]["error"] is None
    assert len(told["methods"]["sha"]["runs"]) == 1


def test_ended_early_the_command_prints_what_there_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    played = []

    def interrupted(run: Run) -> Measures:
        played.append(run)
        if len(played) == 4:
            raise KeyboardInterrupt
        return measure(run)

    monkeypatch.setattr(command, "measure", interrupted)
    arguments = ["--tables", str(written(tmp_path)), "--methods", "asha,random"]
    assert command.main(arguments) == 130
    out, err = capsys.readouterr()
    assert [line.split()[1] for line in out.splitlines() if line.startswith("random")] == ["1"]
    assert "ended early" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to play on: name a folder of tables by --tables, or --functions"),
        (["--tables", "no/such"], "no/such: is no folder"),
        (["--tables", ".", "--methods", "ahsa"], "no method is named 'ahsa'"),
    ],
)
def test_a_mistake_gets_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(arguments) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert not out
    assert err.count("\n") == 1


def test_a_function_without_mf_prior_bench_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "mfpbench", None)  # as if it were not installed
    with pytest.raises(TableError, match="mfh3_bad: .*`pip install mf-prior-bench`"):
        function("mfh3_bad")
