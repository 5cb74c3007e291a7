"""Plans of faults."""

from itertools import pairwise

from tests.chaos.faults import BOUNDARIES, KINDS, LONG
from tests.chaos.plan import mixed, repeated


def test_the_same_seed_gives_the_same_faults() -> None:
    kinds = list(KINDS)
    assert mixed(7, 300, kinds) == mixed(7, 300, kinds)
    assert mixed(7, 300, kinds) != mixed(8, 300, kinds)
    assert repeated(7, 20, kinds, (1, 3)) == repeated(7, 20, kinds, (1, 3))


def test_a_minute_has_every_short_kind_and_one_long_one_that_is_over_in_time() -> None:
    planned = mixed(7, 60, list(KINDS))
    assert {fault.kind for fault in planned} >= set(KINDS) - set(LONG)
    [long] = [fault for fault in planned if fault.kind in LONG]
    assert long.at + LONG[long.kind] < 60
    assert [fault.at for fault in planned] == sorted(fault.at for fault in planned)


def test_long_kinds_follow_each_other_and_never_overlap() -> None:
    planned = [fault for fault in mixed(7, 600, list(KINDS)) if fault.kind in LONG]
    assert {fault.kind for fault in planned} == set(LONG)
    for before, after in pairwise(planned):
        assert after.at > before.at + LONG[before.kind]


def test_so_many_faults_come_in_turn_and_so_far_apart() -> None:
    planned = repeated(7, 4, BOUNDARIES[:2], (1.0, 3.0))
    assert [fault.kind for fault in planned] == BOUNDARIES[:2] * 2
    for before, after in pairwise(planned):
        assert 1.0 <= after.at - before.at <= 3.0
