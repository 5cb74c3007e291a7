"""Many experiments on one fleet, on a virtual clock: shares, turns, lending, and what it costs.

Leaders, slots, search and the store's twin are the real ones; see `tests/benchmarks/fairness.py`,
which plays 50 experiments on 1,000 workers.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tests.benchmarks.fairness import Play, World, ideal


def error(play: Play, queue: str = "asha") -> float:
    return abs(play.error(queue))


def test_an_ideal_share_is_the_weight_s_part_of_what_others_leave() -> None:
    weights = {"a": 1.0, "b": 2.0, "c": 1.0}
    assert ideal(9, {"a": 9, "b": 1, "c": 9}, weights) == pytest.approx({"a": 4, "b": 1, "c": 4})
    assert ideal(9, {"a": 1, "b": 2, "c": 3}, weights) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_more_experiments_than_slots_take_turns_in_worker_time(processes: int) -> None:
    """Five on one slot, whose segments are as 1 to 100."""
    units = [0.03, 1.0, 0.01, 0.3, 0.1]
    plays = [
        Play(f"e{i}", unit, weight)
        for i, (unit, weight) in enumerate(zip(units, (1, 1, 2, 2, 1), strict=True))
    ]
    world = World(plays, {"asha": 1}, processes)
    world.measures_from = 20.0
    world.run(600.0)
    errors = {play.name: round(play.error("asha"), 3) for play in plays}
    assert max(map(abs, errors.values())) <= 0.05, errors
    used = sum(play.trained["asha"] for play in plays) / 580
    assert used > 0.98, "turns cost next to nothing"
    waits = {play.name: play.waited["asha"] for play in plays}
    assert max(waits.values()) < 60, waits  # a segment of 5 s is a share of one in seven for 35 s


@pytest.mark.slow
def test_stragglers_limits_and_classes_leave_everyone_its_share() -> None:
    plays = [
        Play("plain", 0.5),
        Play("heavy", 2.0, weight=3.0, straggler=2.0),
        Play("limited", 1.0, limit=3, straggler=1.0),
        Play("late", 4.0, joins=60.0),
        Play("short", 0.1, leaves=200.0),
        Play("both", 0.7, queues={1: "asha", 4: "gpu"}),
        Play("gpu-too", 2.0, weight=2.0, queues={1: "asha", 4: "gpu"}),
    ]
    world = World(plays, {"asha": 21, "gpu": 2})
    world.measures_from = 20.0
    world.run(320.0)
    errors = {play.name: play.error("asha") for play in plays}
    assert max(map(abs, errors.values())) <= 0.05, errors
    classes = {play.name: play.error("gpu") for play in plays if play.ideal["gpu"]}
    assert classes.keys() == {"both", "gpu-too"}
    assert max(map(abs, classes.values())) <= 0.05, classes


@pytest.mark.parametrize("how", ["joins", "comes back"])
def test_lent_slots_come_back_as_each_running_segment_of_the_others_ends(how: str) -> None:
    borrower, owner = Play("borrower", 10.0), Play("owner", 1.0)
    if how == "joins":
        owner.joins = 200.0
    world = World([borrower, owner], {"asha": 20})
    if how == "comes back":
        world.at(100.0, lambda: world.pause(owner))
        world.at(200.0, lambda: world.resume(owner))
    world.run(199.9)
    assert world.running(borrower) == 20
    assert world.running(owner) == 0
    lent = sorted(world.ends.values())
    world.run(201.5)
    seen = []
    for end in lent:  # one by one, to the owner until it has its half
        world.run(max(end + 0.01, 201.5))
        seen.append((world.running(borrower), world.running(owner)))
        assert world.running(owner) >= min(10, sum(one <= world.now for one in lent) - 1)
    assert seen[-1] == (10, 10)
    world.run(world.now + 100)
    assert (world.running(borrower), world.running(owner)) == (10, 10)


def test_what_one_leaves_goes_to_the_others_at_once() -> None:
    plays = [Play("a", 1.0), Play("b", 1.0), Play("c", 1.0, leaves=100.0)]
    world = World(plays, {"asha": 12})
    world.run(99.0)
    assert [world.running(play) for play in plays] == [4, 4, 4]
    world.run(107.0)  # its longest segment has ended
    assert [world.running(play) for play in plays] == [6, 6, 0]


class Counting:
    """A store that counts its calls."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls = Counter[str]()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self.calls[name] += 1
        found: Callable[..., Any] = getattr(self.store, name)
        return found


def test_looks_at_the_fleet_do_not_grow_with_the_experiments() -> None:
    def calls(experiments: int) -> Counter[str]:
        plays = [Play(f"e{i}", 100.0, joins=1.0) for i in range(experiments)]
        world = World(plays, {"asha": 40}, processes=1)
        counting = Counting(world.store)
        for fleet in world._fleets:
            fleet._store = counting
        world.run(1.5)
        for coordinator in world.coordinators.values():
            coordinator._store = counting
            coordinator.leadership._store = counting
        counting.calls.clear()
        world.run(21.5)
        return counting.calls

    few, many = calls(2), calls(20)
    for once in ("workers", "claimants"):
        assert many[once] <= 45, "at most twice a second and process"
        assert few[once] <= 45
    for each in ("lead", "reap", "refusals"):
        assert many[each] == pytest.approx(20 * 20, rel=0.1), "once a tick for each experiment"
