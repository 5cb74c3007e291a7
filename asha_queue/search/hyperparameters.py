"""The hyperparameters of a space, described such that a model can read and write configurations.

Rules

* A hyperparameter is one domain of the space. Its key leads to it: the keys of dicts and, inside a
  choice, the number of the option, such as `("optimizer", 1, "lr")` for the `lr` of the second
  option of `optimizer`. Its path is the key without the numbers, and leads to its value in a
  configuration. Hyperparameters of two options may share a path, never a key or a name.
* A choice with an option that holds domains is a hyperparameter too: that of the option's number.
  Its domain is the choice of the numbers 0, 1, …; `labels` are what people call its options.
* A hyperparameter inside an option is active in the configurations only whose choice has taken
  that option, which is its condition. That choice may be inside an option itself: all conditions
  must hold. Without a condition it is always active.
* `Space.values(config)` are the values of the active ones by key, each one of its domain;
  `Space.filled(values)` is its inverse and passes over the values of inactive ones. So a model may
  have a column per hyperparameter, leave out (or set to one fixed value) what is inactive when it
  reads a configuration, and give a value to all of them when it writes one.
* A configuration is plain and does not say which option was taken. It is recognised: the first
  that fits as a whole, constants equal and values within their domains.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from asha_queue.search.domain import Domain
from asha_queue.search.domains import Choice, shown

#: The keys that lead to a value in a configuration.
Path = tuple[str, ...]
#: Leads to a domain of the space: keys, and numbers of options.
Key = tuple[str | int, ...]
#: What a configuration has of a hyperparameter that is not active in it; None may be a value.
INACTIVE: Any = object()


class Condition(NamedTuple):
    """That a choice, given by its key, has taken the option of that number."""

    choice: Key
    option: int


@dataclass(frozen=True)
class Hyperparameter:
    """A domain of the space, as a model should read it."""

    key: Key
    name: str
    domain: Domain
    #: Names of the options whose numbers the domain is a choice of; None for any other domain.
    labels: tuple[str, ...] | None = None

    @property
    def path(self) -> Path:
        return tuple(step for step in self.key if isinstance(step, str))

    @property
    def condition(self) -> Condition | None:
        """What must hold, besides the condition of that choice, for it to be active."""
        for place in range(len(self.key) - 1, -1, -1):
            if isinstance(option := self.key[place], int):
                return Condition(self.key[:place], option)
        return None


def hyperparameters(tree: dict[str, Any]) -> list[Hyperparameter]:
    """Those of a space in the order in which they were written, a choice before its options'."""
    found = list(_found(tree, ()))
    shared = Counter(one.path for one in found)
    labels = {one.key: one.labels for one in found if one.labels}
    return [
        replace(one, name=_name(one, labels)) if shared[one.path] > 1 and one.condition else one
        for one in found
    ]


def _found(tree: Any, key: Key) -> Iterator[Hyperparameter]:
    if isinstance(tree, dict):
        for name, inside in tree.items():
            yield from _found(inside, (*key, name))
    elif isinstance(tree, Domain):
        plain = Hyperparameter(key, "", tree)
        plain = replace(plain, name=".".join(plain.path))
        if not isinstance(tree, Choice) or not tree.conditional:
            yield plain
            return
        numbers = type(tree)(range(len(tree.options)))
        yield replace(plain, domain=numbers, labels=_labels(tree.options))
        for number, option in enumerate(tree.options):
            yield from _found(option, (*key, number))


def _labels(options: Sequence[Any]) -> tuple[str, ...]:
    """Different names of options: a dict's is the text under a key that tells all of them apart,
    such as `kind`."""
    names = {number: shown(option) for number, option in enumerate(options)}
    dicts = {number: option for number, option in enumerate(options) if isinstance(option, dict)}
    for key in next(iter(dicts.values()), {}):
        telling = {number: option.get(key) for number, option in dicts.items()}
        texts = {number: one for number, one in telling.items() if isinstance(one, str)}
        if len(set(texts.values())) == len(dicts):
            names |= texts
            break
    common = Counter(names.values())
    return tuple(
        name if common[name] == 1 else f"{name} ({number})" for number, name in names.items()
    )


def _name(one: Hyperparameter, labels: Mapping[Key, tuple[str, ...]]) -> str:
    """The dotted path with the option after each choice: `optimizer[sgd].lr`, `x[1]`."""
    name = ""
    for place, step in enumerate(one.key):
        if isinstance(step, str):
            name += f".{step}" if name else step
            continue
        label = labels[one.key[:place]][step]
        name += f"[{label if label.isidentifier() else step}]"
    return name
