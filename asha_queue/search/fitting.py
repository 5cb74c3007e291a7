"""What of a configuration fits a space: whole, or as the part of one that a user gives."""

import copy
import difflib
from collections.abc import Mapping
from typing import Any

from asha_queue.errors import SpecificationError
from asha_queue.search.domain import Domain, plain, text
from asha_queue.search.domains import Choice, domains_in, shown


def option_of(choice: Choice, value: Any) -> int | None:
    """The number of the first option that a value of a conditional choice fits as a whole; of the
    only one that it is a part of, if there is no such one."""
    for number, option in enumerate(choice.options):
        if _whole(option, value):
            return number
    possible = _possible(choice, value)
    return possible[0] if len(possible) == 1 else None


def accepted(tree: Any, given: Any, path: str) -> Any:
    """What `given`, standing at `path`, says about the hyperparameters of `tree`, with the values
    as they would be drawn.

    Raises SpecificationError naming the path and the value of what is wrong.
    """
    if isinstance(tree, dict):
        if not isinstance(given, Mapping):
            raise SpecificationError(f"{path}={given!r}: must be a dict of hyperparameters")
        return {
            key: accepted(_under(tree, key, value, path), value, f"{path}.{key}")
            for key, value in given.items()
        }
    value = plain(given, path)
    if isinstance(tree, Choice) and tree.conditional:
        return accepted(tree.options[_taken(tree, value, path)], value, path)
    try:
        if isinstance(tree, Domain):
            return copy.deepcopy(tree.accepted(value))
        if text(value) == text(tree):
            return value
        raise ValueError
    except (ValueError, OverflowError):
        constant = not isinstance(tree, Domain)
        allowed = f"{tree!r}, a constant of the space" if constant else tree.allowed
        raise SpecificationError(f"{path}={value!r}: must be {allowed}") from None


def lacking(tree: Any, part: Any) -> str:
    """The dotted name of the first hyperparameter or constant that a part leaves open; empty if it
    is whole."""
    if isinstance(tree, Choice) and tree.conditional:
        option = option_of(tree, part)
        return "" if option is None else lacking(tree.options[option], part)
    if not isinstance(tree, dict):
        return ""
    for key, inside in tree.items():
        if key not in part:
            return str(key)
        if name := lacking(inside, part[key]):
            return f"{key}.{name}"
    return ""


def apart(one: Any, other: Any) -> bool:
    """Whether no value fits both trees; False where that cannot be told at once."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() != other.keys() or any(apart(one[key], other[key]) for key in one)
    if isinstance(one, Choice) and one.conditional:
        return all(apart(option, other) for option in one.options)
    if isinstance(other, Choice) and other.conditional:
        return apart(other, one)
    if isinstance(other, Domain):
        one, other = other, one
    if isinstance(one, Domain):
        constant = next(domains_in(other), None) is None
        return constant and not _whole(one, other)
    return isinstance(one, dict) or isinstance(other, dict) or text(one) != text(other)


def _under(tree: dict[str, Any], key: Any, value: Any, path: str) -> Any:
    if key in tree:
        return tree[key]
    close = difflib.get_close_matches(str(key), tree, n=1)
    hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(tree)}"
    raise SpecificationError(f"{path}.{key}={value!r}: the space has no such key; {hint}")


def _whole(tree: Any, value: Any) -> bool:
    """Whether a plain value is one that would be drawn from a tree, with nothing left open."""
    if isinstance(tree, dict):
        return (
            isinstance(value, dict)
            and tree.keys() == value.keys()
            and all(_whole(inside, value[key]) for key, inside in tree.items())
        )
    if isinstance(tree, Choice) and tree.conditional:
        return any(_whole(option, value) for option in tree.options)
    if isinstance(tree, Domain):
        try:
            tree.accepted(value)
        except (ValueError, OverflowError):
            return False
        return True
    if isinstance(tree, str):  # what tells most options apart, at a tenth of the cost
        return isinstance(value, str) and value == tree
    return text(value) == text(tree)


def _possible(choice: Choice, value: Any) -> list[int]:
    """The numbers of the options that a value may be a part of."""
    found = []
    for number, option in enumerate(choice.options):
        try:
            accepted(option, value, "")
        except SpecificationError:
            continue
        found.append(number)
    return found


def _taken(choice: Choice, value: Any, path: str) -> int:
    if (number := option_of(choice, value)) is not None:
        return number
    options = [shown(option) for option in choice.options]
    if possible := _possible(choice, value):
        several = " and ".join(options[number] for number in possible)
        raise SpecificationError(
            f"{path}={value!r}: may be a part of {several}; give what tells them apart, or all of "
            f"one"
        )
    meant = [n for n, option in enumerate(choice.options) if _meant(option, value)]
    if len(meant) == 1:
        accepted(choice.options[meant[0]], value, path)
    raise SpecificationError(f"{path}={value!r}: must be one of {', '.join(options)}")


def _meant(option: Any, value: Any) -> bool:
    """Whether a dict agrees with an option in its constants, and in one at least."""
    if not isinstance(option, dict) or not isinstance(value, dict):
        return False
    constants = {key: one for key, one in option.items() if not isinstance(one, dict | Domain)}
    given = constants.keys() & value.keys()
    return bool(given) and all(text(value[key]) == text(constants[key]) for key in given)
