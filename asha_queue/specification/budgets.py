"""The fields that end an experiment early, as they may be written and extended."""

import math
import re
from collections.abc import Mapping
from typing import Any, Final

from asha_queue.errors import SpecificationError
from asha_queue.settings import LARGEST

_UNITS: Final = {"d": 86400, "h": 3600, "min": 60, "m": 60, "s": 1}
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(d|h|min|m|s)(?![a-z])\s*")


def seconds(given: Any) -> Any:
    """The seconds that a text such as "2h", "90min", "1h 30min" or "5400" means; anything else as
    it is."""
    if not isinstance(given, str):
        return given
    if re.fullmatch(r"\d+(\.\d+)?", given):
        return float(given)
    total, at = 0.0, 0
    while found := _PART.match(given, at):
        total, at = total + float(found[1]) * _UNITS[found[2]], found.end()
    return total if given and at == len(given) else given


def aims(given: Any, metric: str | list[str]) -> Any:
    """What `stop_at` holds: a value for each metric that has one, in the order of the metrics.

    Raises SpecificationError for what cannot be meant.
    """
    if given is None:
        return None
    names = [metric] if isinstance(metric, str) else metric
    if not isinstance(given, dict):
        if len(names) > 1:
            raise SpecificationError(
                f"stop_at={given!r}: there are {len(names)} metrics; give a dict, such as "
                f"{{{names[0]!r}: {given!r}}}"
            )
        given = {names[0]: given}
    for name, value in given.items():
        if name not in names:
            raise SpecificationError(
                f"stop_at[{name!r}]={value!r}: trials are not ranked by that, but by "
                + ", ".join(names)
            )
        if type(value) not in (int, float) or not math.isfinite(value):
            raise SpecificationError(f"stop_at[{name!r}]={value!r}: must be a finite number")
    if not given:
        raise SpecificationError("stop_at={}: names no metric; leave it out")
    return {name: float(given[name]) for name in names if name in given}


def extension(given: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """New values of an experiment's fields, as they may be written, as an `extended` entry holds
    them; metrics of `stop_at` that are not named keep their values.

    Raises SpecificationError for what cannot be meant.
    """
    changed = dict(given)
    for name, value in given.items():
        if name == "stop_at":
            changed[name] = (fields[name] or {}) | (aims(value, fields["metric"]) or {})
            continue
        number = seconds(value) if name == "time_budget" else value
        timed = name == "time_budget"
        if type(number) not in ((int, float) if timed else (int,)) or not 0 < number < math.inf:
            such = "number above 0, or a text such as '90min'" if timed else "whole number above 0"
            raise SpecificationError(f"{name}={value!r}: must be a {such}")
        if number > LARGEST:
            raise SpecificationError(f"{name}={value}: must be at most {LARGEST}")
        changed[name] = number
    return changed
