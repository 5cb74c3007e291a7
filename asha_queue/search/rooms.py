"""How many segments may be scheduled: in all, and for each class of machines.

Rules

* A class is the queue that the segments of a level go to (`queues={1: "cpu", 16: "gpu"}`). Slots
  are free per class: an experiment may be at its limit on one and hungry on another.
* `decide` asks level by level, from the top down, and passes over a level whose class has no room.
  So the order of the paper, the highest rung first, holds within each class. What is passed over
  stays promotable and is judged again when there is room: it is promoted if it is among the best
  floor(n / eta) then. So every promotion is one that plain ASHA could have made at that moment.
* Nothing waits for another class but where order is the rule. New trials come in the order of their
  brackets (`brackets.py`), so with several brackets one whose class is full holds up those behind
  it. In the stopping variant those that go on come before new trials of the same class only.
* Decisions depend on the fold and on the room, and on nothing else: same room, same decisions. With
  one class it is as if there were none.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

#: The queue of experiments that name none.
QUEUE: Final = "asha"


def queues_of(experiment: Mapping[str, Any]) -> list[str]:
    """The queues of an experiment, given by its fields as JSON: each once, that of the first level
    first."""
    queues = experiment.get("queues") or {}
    return [*dict.fromkeys(queues.values() or [str(experiment.get("queue", QUEUE))])]


def queue_of(experiment: Mapping[str, Any], level: int) -> str:
    """The queue of segments that train up to `level`."""
    queue = str(experiment.get("queue", QUEUE))
    for lowest, named in (experiment.get("queues") or {}).items():
        if int(lowest) <= level:
            queue = named
    return queue


class Rooms:
    """Room for `total` segments, of which each class has its own; `class_of` is the class of a
    level. Without `classes` there is only the total."""

    def __init__(
        self,
        total: int,
        classes: Mapping[str, int] | None = None,
        class_of: Callable[[int], str] = str,
    ) -> None:
        self.left = total
        self._classes = None if classes is None else dict(classes)
        self._class_of = class_of

    def at(self, level: int) -> int:
        """Room for segments that train up to `level`."""
        if self._classes is None:
            return self.left
        return min(self.left, self._classes.get(self._class_of(level), 0))

    def take(self, level: int) -> None:
        """Takes room for a segment that trains up to `level`."""
        self.left -= 1
        if self._classes is not None:
            self._classes[self._class_of(level)] -= 1
