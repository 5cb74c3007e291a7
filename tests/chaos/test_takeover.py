"""Taking over: the next coordinator goes on where the killed one was, and soon."""

from pathlib import Path

import pytest

from asha_queue.settings import LEADER_LEASE
from tests.chaos.takeover import take_over


@pytest.mark.slow
def test_a_killed_leader_is_replaced_before_its_lease_is_over(tmp_path: Path) -> None:
    seconds = take_over(tmp_path, trials=100, times=1)
    print(f"\n100 trials taken over {seconds}")
    assert max(seconds.standby) < LEADER_LEASE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_an_experiment_of_a_hundred_thousand_trials_is_taken_over_from_its_snapshot(
    tmp_path: Path,
) -> None:
    seconds = take_over(tmp_path, trials=100_000, times=2)
    print(f"\n100,000 trials taken over {seconds}")
    assert seconds.longest < 10  # about 2 on a machine with nothing else to do
