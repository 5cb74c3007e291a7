"""What the segments of a trial tell that was trained to be measured."""

import pytest

from asha_queue.training.tryout import Trained, measured


def test_reports_tell_what_a_step_takes_and_the_second_segment_its_startup() -> None:
    # 3 s to load, 2 s to restore and save; each step 10 s.
    first = Trained(0, 1, 3 + 2 + 10, [(1, 14.0)], 500)
    second = Trained(1, 4, 2 + 30, [(2, 11.0), (3, 21.0), (4, 31.0)], 600)
    found = measured([first, second], 1.5, {"x": 1})
    assert (found.per_unit, found.startup, found.apart) == (10.0, 2.0, True)
    assert (found.once, found.checkpoint_bytes) == (1.5 + 3, 600)
    assert found.segments == ((0, 1, 15.0), (1, 4, 32.0))


def test_segments_of_different_length_tell_it_where_each_reports_once() -> None:
    first = Trained(0, 10, 5 + 10 * 2.0, [(10, 24.0)], None)
    second = Trained(10, 40, 5 + 30 * 2.0, [(40, 64.0)], None)
    found = measured([first, second], 0.0, {})
    assert (found.per_unit, found.startup, found.once) == (2.0, 5.0, 0.0)
    assert found.checkpoint_bytes is None


def test_what_cannot_be_told_apart_is_not() -> None:
    found = measured([Trained(0, 5, 20.0, [(5, 20.0)], None)], 1.0, {})
    assert (found.per_unit, found.startup, found.apart, found.once) == (4.0, 0.0, False, 1.0)
    # A first segment that takes longer than the second one, for it loads data: the steps of both.
    slow = measured(
        [Trained(0, 1, 9.0, [(1, 9.0)], None), Trained(1, 4, 3.0, [(4, 3.0)], 1)], 0, {}
    )
    assert (slow.per_unit, slow.apart) == (1.0, False)


def test_a_program_that_trains_from_nothing_again_is_measured_by_its_steps() -> None:
    first = Trained(0, 2, 4.0, [(1, 2.0), (2, 4.0)], None)
    second = Trained(0, 8, 16.0, [(step, 2.0 * step) for step in range(1, 9)], None)
    assert measured([first, second], 0.0, {}).per_unit == pytest.approx(2.0)
