"""Which checkpoints may go: those of trials that are too far below the cut, and no others."""

import random
from typing import Any

import pytest

from asha_queue.search.asha import Asha
from asha_queue.search.goal import Goal
from asha_queue.search.holdings import Holdings, Surplus
from asha_queue.search.ladder import Ladder
from asha_queue.search.plan import Plan


class Played:
    """A search whose checkpoints are evicted as soon as they may be, one decision at a time."""

    def __init__(self, plan: Plan, workers: int = 25, seed: int = 0, **limits: Any) -> None:
        self.search = Asha(plan)
        self.holdings = Holdings(plan, **limits)
        self.plan, self.workers, self.rng = plan, workers, random.Random(seed)
        #: Newest resource on the record by trial, the largest number there ever was.
        self.newest: dict[int, int] = {}
        self.peak = self.spent = self.repeated = self.evicted = 0
        self.paths: dict[int, dict[str, int]] = {}
        self.talent: dict[int, float] = {}
        self.running: list[Any] = []

    def write(self, **entry: Any) -> None:
        self.search.apply(entry)
        self.holdings.apply(entry)

    def run(self) -> "Played":
        while True:
            for decision in self.search.decide(self.workers - len(self.running)):
                fields = {"trial": decision.trial, "rung": decision.rung, "attempt": 1}
                place = {"bracket": decision.bracket, "target": decision.target}
                self.write(type="scheduled", **fields, **place)
                self.running.append(decision)
            if not self.running:
                return self
            self.complete(self.running.pop(self.rng.randrange(len(self.running))))
            self.evict()
            self.peak = max(self.peak, sum(map(len, self.paths.values())))

    def complete(self, decision: Any) -> None:
        trial, target = decision.trial, decision.target
        held = self.paths.setdefault(trial, {})
        start = max(held.values(), default=0)
        below = self.plan.ladder.target(0, decision.rung - 1) if decision.rung else 0
        self.spent += target - start
        self.repeated += below - start
        talent = self.talent.setdefault(trial, self.rng.random())
        loss = talent + self.rng.gauss(0, 0.3 / target)
        path = f"{trial}/{target}"
        held[path] = target
        self.write(
            type="completed",
            trial=trial,
            rung=decision.rung,
            metrics={"loss": loss},
            checkpoint={"path": path, "bytes": 10, "resource": target},
        )

    def evict(self) -> None:
        surplus = self.holdings.surplus(self.search)
        for one in surplus:
            held = self.paths[one.trial]
            gone = [*held][: max(0, len(held) - one.newest)]
            for path in gone:
                del held[path]
            if gone:
                self.evicted += len(gone)
                left = max(held.values(), default=0)
                where = {"trial": one.trial, "rung": one.rung}
                self.write(type="evicted", checkpoints=gone, left=left, **where)
        self.holdings.asked(surplus)


def plan(trials: int = 1000, top: int = 64, eta: int = 4, **more: Any) -> Plan:
    return Plan(Ladder(1, top, eta), Goal("loss", "min"), trials, **more)


@pytest.mark.parametrize("top", [64, 256])
@pytest.mark.parametrize("hedge", [False, True])
def test_a_thousand_trials_need_a_fifth_of_the_disk(top: int, hedge: bool) -> None:
    played = Played(plan(top=top, hedge=hedge)).run()
    repeated = played.repeated / played.spent
    print(
        f"1,000 trials to {top}, hedge={hedge}: at most {played.peak} checkpoints instead of "
        f"1,000, {repeated:.2%} of the training repeated"
    )
    assert played.peak * 5 <= 1000
    assert repeated < 0.01
    assert played.holdings.count == sum(map(len, played.paths.values()))


def test_the_best_of_the_top_rung_stay_for_an_extension() -> None:
    played = Played(plan(200)).run()
    played.write(type="finished")
    played.write(type="extended", changed={"max_t": 256})
    promoted = played.search.decide(100)
    assert promoted
    assert all(64 in played.paths[decision.trial].values() for decision in promoted)


def test_of_a_few_results_none_goes_that_may_well_be_promoted() -> None:
    """The second of two is promoted in one of nine cases, as the worst of five in one of 243."""
    played = Played(plan(5, top=9, eta=3))
    for decision in played.search.decide(5):
        fields = {"trial": decision.trial, "rung": 0, "attempt": 1}
        saved = {"path": str(decision.trial), "bytes": 10, "resource": 1}
        played.write(type="scheduled", **fields, bracket=0, target=1)
        played.write(type="completed", **fields, metrics={"loss": decision.trial}, checkpoint=saved)
        kept = {one.trial: one.newest for one in played.holdings.surplus(played.search)}
        assert all(kept.values()) == (decision.trial < 4)
    assert kept[4] == 0


def test_stopped_trials_keep_nothing() -> None:
    played = Played(plan(100, variant="stopping")).run()
    held = {trial for trial, paths in played.paths.items() if paths}
    assert held
    assert all(
        played.search.goes_on(trial, rung)
        for trial in held
        for rung in [
            max(r for r in range(4) if played.plan.ladder.levels[r] in played.paths[trial].values())
        ]
    )


@pytest.mark.parametrize(("limits", "most"), [({"most": 40}, 40), ({"most_bytes": 300}, 30)])
def test_a_limit_is_exceeded_by_what_runs_only(limits: dict[str, int], most: int) -> None:
    played = Played(plan(300), workers=5, **limits).run()
    assert played.peak <= most + 2 * 5
    assert played.holdings.count <= most
    assert played.search.finished


def test_the_worst_of_the_lowest_rung_go_first() -> None:
    of = plan(8, eta=2)
    search, holdings = Asha(of), Holdings(of, most=2)
    entries: list[dict[str, Any]] = []
    for trial in range(4):
        place = {"trial": trial, "bracket": 0, "rung": 0, "target": 1, "attempt": 1}
        entries.append({"type": "scheduled", **place})
    for trial, loss in enumerate([0.4, 0.2, 0.1, 0.3]):
        saved = {"path": f"/{trial}", "bytes": 1}
        done = {"trial": trial, "rung": 0, "metrics": {"loss": loss}, "checkpoint": saved}
        entries.append({"type": "completed", **done})
    for entry in entries:
        search.apply(entry)
        holdings.apply(entry)
    asked = holdings.surplus(search, keep={"/0"})
    assert {one.trial: one.newest for one in asked if one.newest == 0}.keys() == {0, 3}
    assert Surplus(0, 0, 0, ("/0",)) in asked
    holdings.asked(asked)
    assert holdings.surplus(search, keep={"/0"}) == []


def test_a_look_at_some_finds_what_came_to_rest_and_in_turn_all_others() -> None:
    plan = Plan(Ladder(1, 9, 3), Goal("loss", "min"), num_trials=100)
    search, holdings = Asha(plan), Holdings(plan)
    for trial in range(60):
        fields = {"trial": trial, "rung": 0, "attempt": 1}
        ended = {"metrics": {"loss": float(trial)}, "checkpoint": {"path": f"{trial}"}}
        for entry in (
            {"type": "scheduled", **fields, "bracket": 0, "target": 1},
            {"type": "completed", **fields, **ended},
        ):
            search.apply(entry)
            holdings.apply(entry)
        if trial == 49:
            holdings.surplus(search, (), 1)
    new = {one.trial for one in holdings.surplus(search, (), 1)}
    assert set(range(50, 60)) <= new
    all_of_them = {one.trial for one in holdings.surplus(search)}
    looks = [holdings.surplus(search, (), 10) for _ in range(8)]
    assert {one.trial for look in looks for one in look} == all_of_them
    assert max(map(len, looks)) <= 10
