"""What is trained next: the order in which a search looks for segments (`asha.py`, rule 1)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from asha_queue.search.brackets import Brackets
from asha_queue.search.hedge import Hedge
from asha_queue.search.ladder import Ladder
from asha_queue.search.rooms import Rooms
from asha_queue.search.variants import AnyRung


class Decision(NamedTuple):
    """A segment to schedule: train `trial` up to `target`. Rung 0 is a new trial, the first of its
    bracket's rungs."""

    trial: int
    bracket: int
    rung: int
    target: int


def decisions(
    ladder: Ladder,
    top: int,
    brackets: Brackets,
    rungs: Sequence[Sequence[AnyRung]],
    hedges: Sequence[Hedge],
    num_trials: int,
    rooms: Rooms,
    pays: Callable[[int, int], bool] | None,
) -> list[Decision]:
    """The segments to train next, in their order, for which there is room: first tests, then of
    each level from below the `top` down what is promotable, then new trials up to `num_trials`.

    `pays(trial, target)` says whether the budget lets a segment be scheduled beside those before
    it, None that any may; the first of a rung that it does not let ends what is taken out of it.
    """
    found: list[Decision] = []
    levels, number = ladder.levels, brackets.number

    def take(trial: int, bracket: int, rung: int) -> bool:
        target = levels[bracket + rung]
        if rooms.at(target) <= 0 or not (pays is None or pays(trial, target)):
            return False
        rooms.take(target)
        found.append(Decision(trial, bracket, rung, target))
        return True

    if rooms.left <= 0:
        return found
    tests: list[tuple[int, int]] = []
    if hedged := hedges[0].tested:  # nobody does with several brackets
        tests += [one for one in hedges[0].tests(rooms.left) if take(one[0], 0, one[1] + 1)]
    for level in range(top - 1, -1, -1):
        for bracket in range(number if number <= level else level + 1):
            rung = level - bracket
            everyone = hedged and hedges[bracket].open(rung)
            # as a rule there are none, which is the cheapest to find out
            for trial in rungs[bracket][rung].promotable(rooms.left + len(tests), everyone):
                if (trial, rung) not in tests and not take(trial, bracket, rung + 1):
                    break
            if rooms.left <= 0:
                return found
    begun = len(brackets.of)
    room = min(rooms.left, num_trials - begun)
    if number == 1:
        room = min(room, rooms.at(levels[0]))
    for trial, bracket in enumerate(brackets.next(room), begun):
        if not take(trial, bracket, 0):
            break
    return found
