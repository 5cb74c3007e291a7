import pytest

from asha_queue.errors import SpecificationError
from asha_queue.search.ladder import Ladder


@pytest.mark.parametrize(
    ("grace_period", "max_t", "eta", "levels"),
    [
        (1, 9, 3, (1, 3, 9)),
        (1, 16, 4, (1, 4, 16)),
        (1, 1000, 10, (1, 10, 100, 1000)),
        (1, 243, 3, (1, 3, 9, 27, 81, 243)),
        (1, 10, 2, (1, 2, 4, 8, 10)),
        (9, 9, 3, (9,)),
        (1, 1, 2, (1,)),
        (2, 3, 4, (2, 3)),
        (1, 10**18, 10, tuple(10**k for k in range(19))),
    ],
)
def test_levels_are_powers_below_max_t_and_then_max_t(
    grace_period: int, max_t: int, eta: int, levels: tuple[int, ...]
) -> None:
    assert Ladder(grace_period, max_t, eta).levels == levels


def test_a_bracket_begins_at_its_own_level() -> None:
    ladder = Ladder(1, 16, 4)
    assert [ladder.rungs(bracket) for bracket in range(3)] == [3, 2, 1]
    assert ladder.target(0, 0) == 1
    assert ladder.target(1, 1) == 16


@pytest.mark.parametrize(
    ("max_t", "tops", "levels"),
    [
        (9, [27], (1, 3, 9, 27)),
        (9, [10], (1, 3, 9, 10)),
        (10, [100], (1, 3, 9, 10, 30, 90, 100)),
        (9, [20, 20, 70], (1, 3, 9, 20, 60, 70)),
        (1, [3], (1, 3)),
    ],
)
def test_an_extended_ladder_keeps_its_levels_and_goes_on_from_the_old_top(
    max_t: int, tops: list[int], levels: tuple[int, ...]
) -> None:
    ladder = Ladder(1, max_t, 3)
    for top in tops:
        ladder = ladder.extended(top)
    assert (ladder.levels, ladder.max_t) == (levels, levels[-1])
    assert Ladder(1, max_t, 3).with_levels(levels) == ladder


def test_a_ladder_that_was_extended_is_another_one_than_that_of_its_top() -> None:
    assert Ladder(1, 10, 3).extended(27) != Ladder(1, 27, 3)


def test_a_ladder_does_not_shrink() -> None:
    with pytest.raises(SpecificationError, match="max_t=8: must be at least 9"):
        Ladder(1, 9, 3).extended(8)


@pytest.mark.parametrize(("grace_period", "max_t", "eta"), [(0, 9, 3), (10, 9, 3), (1, 9, 1)])
def test_a_ladder_without_steps_is_refused(grace_period: int, max_t: int, eta: int) -> None:
    with pytest.raises(SpecificationError, match=f"max_t={max_t}"):
        Ladder(grace_period, max_t, eta)
