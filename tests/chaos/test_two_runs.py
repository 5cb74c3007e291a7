"""Two runs in one directory, one of them killed and started again at once."""

from pathlib import Path

import pytest

from tests.chaos.two_runs import kill_and_start


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_one_of_two_runs_killed_and_started_again_loses_nothing(tmp_path: Path) -> None:
    seen = kill_and_start(tmp_path, times=3, seed=7)
    print(f"\n{seen.kills} kills, {seen.entries} entries, {seen.servers} server at once")
    assert seen.found.violations == []
    assert seen.kills == 3
