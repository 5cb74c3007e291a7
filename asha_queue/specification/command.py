"""The command of an experiment: a line for /bin/sh with placeholders.

Rules

* It is a line for a shell, and no list of arguments: people write pipes, variables and `cd x && …`.
* A value never becomes part of the shell's text. It is handed over as a positional parameter, and
  its placeholder becomes `"${1}"`; so quotes, `;` or `$(…)` in a value are nothing but characters.
* Single quotes keep the shell from replacing anything: a placeholder inside them is refused.
* `{name}` is a placeholder, `${name}` the shell's own, and `{{name}}` the text `{name}`.
* `[--resume {checkpoint}]`, after a blank, vanishes when a value in it is empty: there is nothing
  to resume from, or the option that has this hyperparameter was not taken.
"""

import json
import re
import warnings
from collections.abc import Iterable, Mapping
from typing import Any

from asha_queue.errors import SpecificationError

#: What a command is told beside its hyperparameters; as ASHA_QUEUE_NAME in its environment, too.
GIVEN = (
    *("python", "experiment", "trial", "start", "target", "checkpoint", "save", "device"),
    *("devices", "config"),
)

_PART = re.compile(
    r"(?P<shell>\$\{[^}]*\}|\\.)|\{\{(?P<text>[A-Za-z_][\w.-]*)\}\}|\{(?P<name>[A-Za-z_][\w.-]*)\}"
    r"|(?P<quote>['\"])",
    re.DOTALL,
)
_GROUP = re.compile(r"(?<!\S)\[(?![\s\[])([^\[\]\n]*\{[A-Za-z_][^\[\]\n]*)\]")


def check(command: str, names: Iterable[str]) -> None:
    """Raises SpecificationError unless every placeholder is one of GIVEN or of the space's names,
    and stands where the shell replaces it."""
    known = dict.fromkeys([*GIVEN, *names, *(f"config.{name}" for name in names)])
    clash = set(GIVEN) & set(names)
    quote = ""
    for part in _PART.finditer(command):
        if mark := part["quote"]:
            quote = "" if quote == mark else quote or mark
        if not (name := part["name"]):
            continue
        if name not in known:
            there = ", ".join(one for one in known if not one.startswith("config."))
            raise SpecificationError(
                f"command: {{{name}}} is no placeholder; there are {there} (and {{{{{name}}}}} is "
                f"the text itself)"
            )
        if name in clash:
            raise SpecificationError(
                f"command: {{{name}}} may be the hyperparameter or what each command is told; "
                f"write {{config.{name}}} for the hyperparameter, or rename it"
            )
        if quote == "'":
            raise SpecificationError(
                f"command: {{{name}}} stands in single quotes, where the shell replaces nothing; "
                f"use double quotes, or none: values need no quotes"
            )


def check_pattern(pattern: str, metrics: Iterable[str]) -> None:
    """Raises SpecificationError unless it compiles and has a group for each metric."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what may be meant otherwise some day
            groups = re.compile(pattern).groupindex
    except (re.error, RecursionError, OverflowError) as error:
        raise SpecificationError(f"pattern={pattern!r}: no regular expression: {error}") from None
    for metric in metrics:
        if metric not in groups:
            raise SpecificationError(
                f"pattern={pattern!r}: has no group for the metric; write (?P<{metric}>…). Its "
                f"groups: {', '.join(groups) or 'none'}"
            )


def rendered(command: str, values: Mapping[str, Any]) -> tuple[str, list[str]]:
    """The shell's line, and its positional parameters."""

    def kept(group: re.Match[str]) -> str:
        names = [part["name"] for part in _PART.finditer(group[1]) if part["name"]]
        return group[1] if all(_text(values, name) for name in names) else ""

    parameters: list[str] = []
    quote = ""

    def replaced(part: re.Match[str]) -> str:
        nonlocal quote
        if mark := part["quote"]:
            quote = "" if quote == mark else quote or mark
            return mark
        if part["text"]:
            return "{" + part["text"] + "}"
        if part["shell"]:
            return part["shell"]
        parameters.append(_text(values, part["name"]))
        place = f"${{{len(parameters)}}}"
        return place if quote == '"' else f'"{place}"'

    line = _PART.sub(replaced, _GROUP.sub(kept, command))
    return line, parameters


def _text(values: Mapping[str, Any], name: str) -> str:
    """A value as it is written: a text as it is, nothing for None or what is absent, else JSON."""
    value: Any = values.get(name)
    if name not in values:
        value = values["config"]
        for step in name.removeprefix("config.").split("."):
            value = value.get(step) if isinstance(value, Mapping) else None
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
