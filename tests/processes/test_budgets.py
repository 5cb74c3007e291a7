"""Budgets of real runs: they end with everything saved, and go on from there."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from functools import partial

import pytest

from asha_queue.search.rules import check
from asha_queue.store import connect
from asha_queue.store.contract import Json, Store
from tests.conftest import wait_until
from tests.processes.directory import Directory

PROGRAM = """
import time
from asha_queue import Experiment, Trial, uniform

def train(trial: Trial) -> None:
    for step in trial.steps():
        time.sleep(0.1)
        trial.report(loss=trial.config["x"] + 1 / step)
    with trial.save() as folder:
        (folder / "step").write_text(str(step))

experiment = Experiment(
    name="quick", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=10_000, grace_period=10_000, num_samples=4, seed=1, time_budget="3s", sampler="random",
)
"""


class Fleet:
    """Two workers and two coordinators of a broker, which are there before the time runs."""

    def __init__(self, directory: Directory, broker: str) -> None:
        self._directory = directory
        self._broker = broker
        self.store: Store = connect(broker)
        self.coordinators: list[subprocess.Popen[str]] = []
        directory.write("exp.py", PROGRAM)
        directory.serve("worker", "--cpus", "2", "--broker", broker)
        for _ in range(2):
            self.coordinators.append(directory.start("coordinator", "--broker", broker))
        wait_until(lambda: len(self.store.workers()) == 2, "both workers are there", 60)
        wait_until(lambda: len(self.store.attendants()) == 2, "both coordinators are there", 60)

    def call(self, *arguments: str, expect: int = 0) -> str:
        return self._directory.call(*arguments, "--broker", self._broker, expect=expect)

    def journal(self) -> list[Json]:
        uid = self.store.uid("quick")
        return self.store.read(uid, "", 10_000).entries if uid else []

    def more(self, seconds: float) -> str:
        """Extends the time budget to so much more than was used."""
        (budget,) = json.loads(self.call("status", "quick", "--json"))["budgets"]
        wanted = f"{budget['used'] + seconds:.3f}s"
        return self.call("extend", "quick", "--time-budget", wanted)

    def count(self, kind: str) -> int:
        return [entry["type"] for entry in self.journal()].count(kind)

    def ended_after(self, times: int) -> bool:
        """Whether it has ended more often than that."""
        return self.count("finished") > times


@pytest.fixture
def fleet(directory: Directory, broker: str) -> Iterator[Fleet]:
    made = Fleet(directory, broker)
    yield made
    made.store.close()


@pytest.mark.slow
def test_a_time_budget_saves_what_runs_and_more_of_it_goes_on_though_coordinators_are_killed(
    fleet: Fleet,
) -> None:
    fleet.call("submit", "exp.py")
    wait_until(lambda: fleet.count("finished") == 1, "the time is used", 60)
    while fleet.count("suspended") < 2:  # a slow machine has not begun within 3 s
        another = partial(fleet.ended_after, fleet.count("finished"))
        fleet.more(3.0)
        wait_until(another, "the time is used", 60)
    journal = fleet.journal()
    assert check(journal) == []
    suspended = {e["trial"]: e for e in journal if e["type"] == "suspended"}
    assert {*suspended} == {0, 1}
    assert all(end["checkpoint"]["resource"] == end["reached"] for end in suspended.values())
    assert re.match(r"time_budget of [0-9.]+ s is used: ", journal[-1]["reason"])
    view = json.loads(fleet.call("status", "quick", "--json"))
    assert (view["state"], view["reason"]) == ("finished", journal[-1]["reason"])
    (budget,) = view["budgets"]
    assert (budget["name"], budget["limit"] <= budget["used"]) == ("time_budget", True)
    shown = fleet.call("status", "quick")
    assert budget["text"] in shown
    assert f"finished: {view['reason']}" in shown

    refused = fleet.call("extend", "quick", "--time-budget", "2s", expect=2)
    assert f"time_budget=2.0: experiment quick has {budget['limit']}, and can only be" in refused
    refused = fleet.call("extend", "quick", "--resource-budget", "9", expect=2)
    assert "resource_budget=9: experiment quick has none that could be raised" in refused
    refused = fleet.call("extend", "quick", "--time-budget", "soon", expect=2)
    assert "time_budget='soon': must be a number above 0, or a text such as '90min'" in refused
    ends, starts = fleet.count("finished"), fleet.count("started")
    assert "time_budget: " in fleet.more(5.0)
    wait_until(lambda: fleet.count("started") == starts + 2, "both go on", 60)
    again = {e["trial"]: e for e in fleet.journal() if e["type"] == "started" and e["attempt"] > 1}
    assert {t: e["start"] for t, e in again.items()} == {
        t: end["reached"] for t, end in suspended.items()
    }
    leader = fleet.store.describe(fleet.store.uid("quick") or "").leader
    (leads,) = [one for one in fleet.coordinators if f":{one.pid}:" in leader]
    os.kill(leads.pid, signal.SIGKILL)
    wait_until(lambda: fleet.count("finished") == ends + 1, "the other one ends it", 60)
    assert check(fleet.journal()) == []
