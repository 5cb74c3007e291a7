"""What is trained next: the order in which a search looks for segments (`asha.py`, rule 1)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asha_queue.search.brackets import Brackets
from asha_queue.search.hedge import Hedge
from asha_queue.search.ladder import Ladder
from asha_queue.search.rooms import Rooms
from asha_queue.search.variants import AnyRung


@dataclass(frozen=True, slots=True)
class Decision:
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
    pays: Callable[[int, int], bool],
) -> list[Decision]:
    """The segments to train next, in their order, for which there is room: first tests, then of
    each level from below the `top` down what is promotable, then new trials up to `num_trials`.

    `pays(trial, target)` says whether the budget lets a segment be scheduled beside those before
    it; the first of a rung that it does not let ends what is taken out of that rung.
    """
    found: list[Decision] = []
    levels = ladder.levels

    def take(trial: int, bracket: int, rung: int) -> bool:
        target = ladder.target(bracket, rung)
        if rooms.at(target) <= 0 or not pays(trial, target):
            return False
        rooms.take(target, 1)
        found.append(Decision(trial, bracket, rung, target))
        return True

    if rooms.left <= 0:
        return found
    tests = hedges[0].tests(rooms.left)  # nobody hedges with several brackets
    tests = [(trial, rung) for trial, rung in tests if take(trial, 0, rung + 1)]
    for level in range(top - 1, -1, -1):
        for bracket in range(min(level + 1, brackets.number)):
            room, rung = rooms.at(levels[level + 1]), level - bracket
            if room <= 0:
                continue
            everyone = hedges[bracket].open(rung)
            for trial in rungs[bracket][rung].promotable(room + len(tests), everyone):
                if (trial, rung) not in tests and not take(trial, bracket, rung + 1):
                    break
    room = min(rooms.left, num_trials - len(brackets))
    if brackets.number == 1:
        room = min(room, rooms.at(levels[0]))
    for trial, bracket in enumerate(brackets.next(room), len(brackets)):
        if not take(trial, bracket, 0):
            break
    return found
