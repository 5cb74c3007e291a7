"""The space of an objective, found by calling it: what it suggests until it reports.

Rules

* The objective is called with a trial that records what is asked for and answers with values of
  its own. A call ends at the first report, `should_prune` or `save`: what is suggested after that
  is not seen. An objective that never reports is trained in full each time, so give its `space`.
* It is called until every option of each choice was taken, and both ends of each range of whole
  numbers, and QUIET further calls at random have brought nothing new. So what is suggested under
  one condition is seen, and what depends on several at once most likely.
* The answers are random with a seed: the same objective has the same space each time.
* The space is flat: what is suggested under a condition is drawn in every trial, and without
  meaning where the objective does not ask for it. A name has one domain: one whose bounds depend on
  other values has to be given in `space`.
"""

import inspect
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asha_queue.errors import SpecificationError
from asha_queue.objectives.calls import Call
from asha_queue.objectives.pruned import pruned
from asha_queue.objectives.suggesting import Suggesting

#: Calls in a row that bring nothing new, after which there is nothing more to expect.
QUIET = 4
#: Calls of an objective, at most.
MOST = 200
_INSTEAD = "give `space` instead"


def space_of(objective: Callable[[Any], object]) -> dict[str, Any]:
    """What the objective suggests, as the space of an experiment.

    Raises SpecificationError, naming the objective and the call, when it fails before it reports,
    suggests nothing, or suggests one name in two ways.
    """
    named = getattr(objective, "__name__", repr(objective))
    seen = _Seen(random.Random(0))
    quiet = 0
    for _ in range(MOST):
        known = len(seen.calls)
        _call(objective, named, seen)
        quiet = quiet + 1 if len(seen.calls) == known and not seen.open() else 0
        if quiet == QUIET:
            break
    if not seen.calls:
        raise SpecificationError(
            f"space: is left out, and {named} suggests nothing before it reports; {_INSTEAD}"
        )
    return {name: call.domain() for name, call in seen.calls.items()}


def _call(objective: Callable[[Any], object], named: str, seen: "_Seen") -> None:
    try:
        objective(Recorded(seen))
    except _Enough:
        pass
    except SpecificationError as error:
        raise SpecificationError(
            f"space: is left out, and {named} cannot be asked for it: {error}"
        ) from None
    except (Exception, SystemExit) as error:
        if pruned(error):
            return
        where = _line(objective, error)
        raise SpecificationError(
            f"space: is left out, and {named} cannot be asked for it, as it fails before it "
            f"reports: {type(error).__name__}: {error}{where}; correct that, or {_INSTEAD}"
        ) from error


def _line(objective: Callable[..., object], error: BaseException) -> str:
    """Where in the objective's file it has failed."""
    code = getattr(inspect.unwrap(objective), "__code__", None)
    file = code.co_filename if code else ""
    found, trace = "", error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == file:
            found = f" (line {trace.tb_lineno} of {Path(file).name})"
        trace = trace.tb_next
    return found


class _Enough(BaseException):
    """Ends a call of the objective."""


class _Seen:
    """What was asked for in all calls so far, and the answers that have to be given yet."""

    def __init__(self, rng: random.Random) -> None:
        self.calls: dict[str, Call] = {}
        self._rng = rng
        self._untried: dict[str, list[Any]] = {}

    def open(self) -> bool:
        """Whether some option, or end of a range, was never taken."""
        return any(self._untried.values())

    def answer(self, call: Call) -> Any:
        """One of the values that it allows, and the untried first."""
        untried = self._untried.setdefault(call.name, call.telling())
        return untried.pop(0) if untried else call.at(self._rng.random())

    def know(self, call: Call) -> None:
        """Raises SpecificationError when its name was asked for in another way."""
        before = self.calls.setdefault(call.name, call)
        if before != call:
            raise SpecificationError(
                f"it suggests {call.name} in two ways, {before} and {call}; make both the same, "
                f"give them two names, or {_INSTEAD}"
            )


class Recorded(Suggesting):
    """What the objective is called with: the first trial of an experiment, from its start."""

    number = 0
    start = 0
    target = 1
    rung = 0
    attempt = 1
    experiment = ""
    device = "cpu"
    devices = 1
    checkpoint = None
    draining = False

    def __init__(self, seen: _Seen) -> None:
        self._seen = seen
        self.params: dict[str, Any] = {}
        self.user_attrs: dict[str, Any] = {}
        self.constraints: dict[str, float] = {}

    def _suggest(self, call: Call) -> Any:
        self._seen.know(call)
        if call.name not in self.params:
            self.params[call.name] = call.taken(self._seen.answer(call))
        return self.params[call.name]

    def set_user_attr(self, key: str, value: Any) -> None:
        self.user_attrs[key] = value

    def set_constraint(self, key: str, value: float) -> None:
        self.constraints[key] = value

    def report(self, value: float, step: int) -> None:
        raise _Enough

    def should_prune(self) -> bool:
        raise _Enough

    def save(self, step: int | None = None) -> Any:
        raise _Enough

    def steps(self) -> list[int]:
        return [1]
