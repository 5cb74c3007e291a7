"""Classes of machines: which queue the segments of a level go to.

Rules

* `queues` names a queue for each level from which on it is used: `{1: "cpu", 16: "gpu"}`. A segment
  goes to the queue of the largest key that is not above its target. So what a segment's queue is
  follows from the specification and its record alone, also after a restore, and what lies above the
  highest key, `extend` included, goes to the last class.
* Keys need not be levels, which depend on three other fields: 10 means "from the first level that
  is at least 10". But a class that no level falls into is a mistake, and is refused.
* The smallest key must cover the first level. With `queues` there is no `queue` beside it.
* In JSON and TOML keys are texts, so they are texts in the specification, too.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from asha_queue.errors import SpecificationError
from asha_queue.search.rooms import QUEUE
from asha_queue.settings import NAME

_LEVEL = re.compile(r"[1-9][0-9]{0,15}")


def named(given: Any) -> Any:
    """What a user gives as `queues`, in one form: levels as texts, the lowest first; what is no
    dict is left to others."""
    if not isinstance(given, Mapping):
        return given
    found: dict[int, str] = {}
    for key, queue in given.items():
        if isinstance(key, bool) or not _LEVEL.fullmatch(str(key)):
            raise SpecificationError(
                f"queues: {key!r} is no level; keys are whole numbers of at least 1, from which "
                f"level on a queue is used, as in {{1: 'cpu', 16: 'gpu'}}"
            )
        if not isinstance(queue, str) or not re.fullmatch(NAME, queue):
            raise SpecificationError(
                f"queues[{key}]={queue!r}: must be the name of a queue: 1 to 64 letters, digits, "
                f"'_' or '-', beginning with a letter or a digit"
            )
        if int(key) in found:
            raise SpecificationError(f"queues: level {int(key)} is given twice")
        found[int(key)] = queue
    return {str(level): found[level] for level in sorted(found)}


def misfit(queues: Mapping[str, str], queue: str, levels: Sequence[int]) -> str:
    """What is wrong with `queues` beside `queue` and the ladder, as a sentence; empty if nothing
    is."""
    if not queues:
        return ""
    if queue != QUEUE:
        return f"queue={queue!r}: cannot go with queues, which names them all; leave out one"
    bounds = [int(level) for level in queues]
    shown = ", ".join(map(str, levels))
    if bounds[0] > levels[0]:
        return (
            f"queues={dict(queues)!r}: must say where the first level goes, which is {levels[0]}; "
            f"the levels are {shown}"
        )
    for lower, upper in pairwise([*bounds, levels[-1] + 1]):
        if not any(lower <= level < upper for level in levels):
            until = "on" if lower > levels[-1] else f"to {upper - 1}"
            return (
                f"queues={dict(queues)!r}: nothing would go to {queues[str(lower)]!r}, as there is "
                f"no level from {lower} {until}; the levels are {shown}"
            )
    return ""
