"""A node that can train nothing sets itself aside: no trial fails, and others lose no time."""

from pathlib import Path

import pytest

from tests.chaos.misfits import another_program, broken_device


@pytest.mark.slow
def test_a_node_with_another_program_costs_the_others_no_time(tmp_path: Path) -> None:
    cost = another_program(tmp_path)
    print(f"\n{cost}")
    assert cost.violations == []
    assert "not found" in cost.said
    assert (cost.failed, cost.in_vain) == (0, 0)
    assert cost.longest_wait < 3


@pytest.mark.slow
def test_no_trial_fails_for_a_broken_device(tmp_path: Path) -> None:
    cost = broken_device(tmp_path)
    print(f"\n{cost}")
    assert cost.violations == []
    assert "in a row" in cost.said
    assert cost.failed == 0
    assert 3 <= cost.in_vain <= 10
    assert cost.longest_wait < 3
