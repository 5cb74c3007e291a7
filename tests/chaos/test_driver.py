"""Everything at once: a cluster under all faults, from one seed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.chaos.__main__ import default_kinds
from tests.chaos.driver import Driver, Load
from tests.chaos.plan import mixed
from tests.chaos.report import facts, table
from tests.conftest import wait_until
from tests.processes.lab import alive

SEED = 7


def chaos(minutes: float) -> None:
    kinds = default_kinds()
    plan = mixed(SEED, minutes * 60, kinds)
    print(f"\nseed {SEED}: {len(plan)} faults in {minutes:g} min")
    with Driver(plan, minutes * 60, Load(), print) as driver:
        outcome = driver.run()
    numbers = facts(outcome)
    print(table(numbers))
    assert numbers["violations"] == [], f"the evidence is in {outcome.folder}"
    # a few find no victim in time, and a minute is too short for both of the long ones
    assert len(set(kinds) - set(numbers["faults"])) <= 3, "many faults were not done"
    assert numbers["segments"] > 50 * minutes, "hardly anything was trained"


@pytest.mark.timeout(300)
def test_a_minute_of_all_faults_loses_and_doubles_nothing() -> None:
    chaos(minutes=1)


@pytest.mark.timeout(120)
def test_ctrl_c_ends_everything_that_was_started() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--only", "training"]
    driver = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
    )
    with driver:
        root = psutil.Process(driver.pid)
        # the server, two launchers, two coordinators, four workers, and theirs
        wait_until(lambda: len(root.children(recursive=True)) >= 13, "the cluster runs", 60)
        started = root.children(recursive=True)
        driver.send_signal(signal.SIGINT)
        assert driver.wait(timeout=60) == 130
        assert driver.stderr
        assert driver.stderr.read().endswith(b"ended; nothing is left\n")
    assert [process for process in started if alive(process.pid)] == []
    assert list(Path(os.environ["TMPDIR"]).glob("asha-chaos-*")) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_minutes_of_all_faults_lose_and_double_nothing() -> None:
    chaos(minutes=10)
