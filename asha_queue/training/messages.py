"""What a queue's message says, read before anything is done with it.

Whoever may write to the broker may put anything into a queue. A message is a hint, so one that is
none costs a line in the worker's log and nothing else: no segment, and no training process.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from asha_queue.errors import MessageError
from asha_queue.settings import NAME
from asha_queue.training.site import Message

#: The highest number of a trial, a rung or an attempt that is believed.
HIGHEST: Final = 10**9


def read_message(said: Mapping[str, Any], task: str) -> Message:
    """The segment that a message names by its uid, trial, rung and attempt, which no format
    changes; raises MessageError for what is none of ours."""
    uid = said.get("uid")
    if not isinstance(uid, str) or not re.fullmatch(NAME, uid):
        raise MessageError(f"the message has uid={uid!r:.80}, which no experiment can have")
    trial, rung, attempt, v = (_number(said, name) for name in ("trial", "rung", "attempt", "v"))
    return Message(uid, trial, rung, attempt, task, v)


def _number(said: Mapping[str, Any], name: str) -> int:
    value = said.get(name)
    if type(value) is not int or not 0 <= value <= HIGHEST:
        shown = f"{value!r:.80}" if type(value) is not int else "one out of range"
        raise MessageError(f"the message has as {name} no number but {shown}")
    return value
