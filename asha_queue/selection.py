"""Trials chosen from an experiment: those in a state, those that a search finds, in some order.

Rules

* A search is words, all of which must hold. A word `name=value` (also !=, <, <=, >, >=) compares a
  column, a parameter or a metric; any other is a text that a parameter's name or value contains as
  they are shown, in capitals or not. What has blanks stands in quotes: `layers="[16, 32]"`.
* Names are those of COLUMNS, then of parameters (nested ones dotted), then of metrics in the last
  result, then "steps", which is the resource. `value` is the last result's.
* Larger and smaller compare numbers; what is missing or no number is neither. Equal is what is the
  same number, or the text that is shown for it; unequal is what is not equal.
* Sorted by a name, what is missing or NaN comes last in either direction, and of equal trials the
  lower number comes first. Without a name the best come first: the highest rung reached, and there
  what violates constraints least, then the best value of the first metric; those without a result
  last.
* What cannot be meant is one error that names the word, and the names there are.
"""

import heapq
import math
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from asha_queue.errors import ChoiceError
from asha_queue.result import Result, TrialResult
from asha_queue.search.configuration import brief, flatten

#: States of a trial, as they are offered for choice.
STATES: Final = (
    *("running", "queued", "waiting", "done", "stopped", "diverged", "failed", "cancelled"),
)

Get = Callable[[TrialResult], Any]
Holds = Callable[[TrialResult], bool]

#: What every trial has.
COLUMNS: Final[Mapping[str, Get]] = {
    "trial": lambda trial: trial.number,
    "value": lambda trial: trial.results[-1].value if trial.results else None,
    "rung": lambda trial: trial.rung,
    "resource": lambda trial: trial.resource,
    "state": lambda trial: trial.state,
}
_ALIASES: Final = {"steps": "resource"}

_WORDS = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_WORD = re.compile(r"([^<>=!]+)(<=|>=|!=|<|>|=)(.*)", re.DOTALL)
#: What the text of a number may contain.
_IN_NUMBERS = re.compile(r"[-+.0-9einfa]+")
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def choose(
    result: Result,
    *,
    state: str = "",
    search: str = "",
    sort: str = "",
    descending: bool = False,
    offset: int = 0,
    limit: int | None = None,
) -> tuple[list[TrialResult], int]:
    """At most `limit` of the trials that match, after the first `offset` of them, and how many
    match. Raises ChoiceError for a state, a name or a word that is none."""
    if state and state not in STATES:
        raise ChoiceError(f"state={state!r}: the states are {', '.join(STATES)}")
    key = _getter(result, sort, f"sort={sort!r}") if sort else None
    words = (found.replace('"', "") for found in _WORDS.findall(search))
    conditions = [_condition(result, word) for word in words if word]
    found: Sequence[TrialResult] = result.trials
    if state:
        found = [trial for trial in found if trial.state == state]
    for holds in conditions:
        found = [trial for trial in found if holds(trial)]
    end = len(found) if limit is None else offset + limit
    if key:
        ordered = _sorted(found, key, descending)
    else:
        ordered = _best_first(found, result.specification.leading.mode == "min", descending, end)
    return ordered[offset:end], len(found)


def row(trial: TrialResult) -> dict[str, Any]:
    """A trial as the row of a table."""
    return {name: get(trial) for name, get in COLUMNS.items()} | {"config": trial.config}


def names(result: Result) -> list[str]:
    """What trials can be searched and sorted by."""
    parameters: dict[str, None] = {}
    metrics: dict[str, None] = dict.fromkeys(result.specification.metrics)
    for trial in result.trials:
        parameters |= dict.fromkeys(flatten(trial.config))
        metrics |= dict.fromkeys(trial.metrics)
    return list(dict.fromkeys([*COLUMNS, *parameters, *metrics]))


def _best_first(
    trials: Iterable[TrialResult], smaller: bool, descending: bool, end: int
) -> list[TrialResult]:
    sign = 1 if smaller else -1

    def place(trial: TrialResult) -> tuple[float, float, float, int]:
        if not trial.results:
            return math.inf, 0.0, 0.0, trial.number
        last = trial.results[-1]
        loss = math.inf if math.isnan(last.value) else sign * last.value
        return -last.rung, last.violation, loss, trial.number

    if descending:
        some = sorted((t for t in trials if t.results), key=place, reverse=True)
        return some + [trial for trial in trials if not trial.results]
    return heapq.nsmallest(end, trials, key=place)


def _sorted(trials: Iterable[TrialResult], get: Get, descending: bool) -> list[TrialResult]:
    numbers: list[tuple[float, TrialResult]] = []
    texts: list[tuple[str, TrialResult]] = []
    missing: list[TrialResult] = []
    for trial in trials:
        value = get(trial)
        if isinstance(value, int | float):
            if math.isnan(value):
                missing.append(trial)
            else:
                numbers.append((value, trial))
        elif value is None:
            missing.append(trial)
        else:
            texts.append((str(value), trial))
    numbers.sort(key=operator.itemgetter(0), reverse=descending)
    texts.sort(key=operator.itemgetter(0), reverse=descending)
    return [trial for _, trial in [*numbers, *texts]] + missing


def _condition(result: Result, word: str) -> Holds:
    parted = _WORD.fullmatch(word)
    if parted is None:
        if word[0] in "<>=!":
            raise ChoiceError(f"search {word!r}: no name before {word[0]!r}")
        text = word.casefold()
        in_numbers = _IN_NUMBERS.fullmatch(text) is not None
        return lambda trial: _contains(trial.config, text, in_numbers)
    name, sign, value = parted.groups()
    get = _getter(result, name, f"search {word!r}")
    if not value:
        raise ChoiceError(f"search {word!r}: no value after {sign!r}")
    number = _number(value)
    if sign in ("=", "!="):
        if name == "state" and value not in STATES:
            raise ChoiceError(f"search {word!r}: the states are {', '.join(STATES)}")
        text, equal = value.casefold(), sign == "="
        return lambda trial: _equal(get(trial), text, number) == equal
    if number is None or math.isnan(number):
        raise ChoiceError(f"search {word!r}: {value!r} is no number")
    compare, than = _COMPARE[sign], number

    def holds(trial: TrialResult) -> bool:
        found = get(trial)
        return (
            isinstance(found, int | float) and not isinstance(found, bool) and compare(found, than)
        )

    return holds


def _contains(config: Mapping[str, Any], text: str, in_numbers: bool, prefix: str = "") -> bool:
    """Whether a text is in a name or a value of `short(config)`, without making that."""
    for name, value in config.items():
        if isinstance(value, dict):
            if _contains(value, text, in_numbers, f"{prefix}{name}."):
                return True
        elif text in f"{prefix}{name}".casefold():
            return True
        elif isinstance(value, str):
            if text in value.casefold():
                return True
        elif (in_numbers or not isinstance(value, float)) and text in brief(value).casefold():
            return True
    return False


def _equal(found: Any, text: str, number: float | None) -> bool:
    if found is None:
        return text == "none"
    if number is not None and isinstance(found, int | float) and found == number:
        return True
    return brief(found).casefold() == text


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _getter(result: Result, name: str, wanted: str) -> Get:
    """Reads what a name stands for; `wanted` begins the error when it is nothing."""
    if name in COLUMNS:
        return COLUMNS[name]
    path = next((path for trial in result.trials if (path := _path(trial.config, name))), None)
    if path:
        return _parameter(path)
    if name in result.specification.metrics or any(name in t.metrics for t in result.trials):
        return lambda trial: trial.metrics.get(name)
    if name in _ALIASES:
        return COLUMNS[_ALIASES[name]]
    if name in result.specification.parameters.names:  # of an option that no trial has taken
        return lambda trial: None
    raise ChoiceError(f"{wanted}: there is no {name!r}; there are {', '.join(names(result))}")


def _parameter(path: Sequence[str]) -> Get:
    if len(path) == 1:
        [name] = path
        return lambda trial: trial.config.get(name)

    def get(trial: TrialResult) -> Any:
        value: Any = trial.config
        for name in path:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return get


def _path(config: Mapping[str, Any], name: str) -> tuple[str, ...] | None:
    """The keys that lead to a dotted name, some of which may have dots themselves."""
    return next(_paths(config, name), None)


def _paths(config: Mapping[str, Any], name: str) -> Iterator[tuple[str, ...]]:
    if name in config and not isinstance(config[name], Mapping):
        yield (name,)
    for key, value in config.items():
        if isinstance(value, dict) and name.startswith(f"{key}."):
            for rest in _paths(value, name[len(key) + 1 :]):
                yield (key, *rest)
