"""Everything at once: a cluster under all faults, from one seed."""

import pytest

from tests.chaos.__main__ import default_kinds
from tests.chaos.driver import Driver, Load
from tests.chaos.plan import mixed
from tests.chaos.report import facts, table

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


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_ten_minutes_of_all_faults_lose_and_double_nothing() -> None:
    chaos(minutes=10)
