"""Valid inputs, made invalid as files, messages and people do it: dropped, doubled, of another
type, nested, huge. What is near to something valid finds more than what is random."""

import copy
import json
from collections.abc import Callable
from random import Random
from typing import Any

#: Levels of nesting beyond which Python's own recursion ends.
DEEP = 3000


def nested(levels: int, kind: Callable[[Any], Any]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = kind(value)
    return value


#: Makers of values that no field expects, or none of its sort.
ODD: list[Callable[[], Any]] = [
    lambda: None,
    lambda: True,
    lambda: "",
    lambda: "x",
    lambda: "9" * 100_000,
    lambda: "../../../../tmp/outside",
    lambda: "/tmp/outside",
    lambda: "a\0b",
    lambda: "\ud800",
    lambda: "NaN",
    lambda: "-Infinity",
    lambda: "\N{ARABIC-INDIC DIGIT FIVE}",
    lambda: 0,
    lambda: -1,
    lambda: 1.5,
    lambda: 2**31,
    lambda: 2**63,
    lambda: 2**64 + 1,
    lambda: 10**400,
    lambda: 10**4200,
    lambda: 1e308,
    lambda: 5e-324,
    lambda: float("nan"),
    lambda: float("inf"),
    list,
    dict,
    lambda: [None],
    lambda: [[1, 2], [3, 4]],
    lambda: {"": {}},
    lambda: {"self": 1, "\0": 2, "a.b": 3, "__class__": 4},
    lambda: {"uniform": [0, 1]},
    lambda: {"choice": [{"uniform": [float("nan"), 1]}]},
    lambda: nested(60, lambda inner: [inner]),
    lambda: nested(300, lambda inner: {"a": inner}),
]


def mutated(value: Any, random: Random) -> Any:
    """A copy of a tree of dicts and lists with one to three changes."""
    tree = [copy.deepcopy(value)]
    for _ in range(random.randint(1, 3)):
        _change(tree, random)
    return tree[0]


def _change(tree: Any, random: Random) -> None:
    place: Any = tree
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = random.choice(keys)
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or random.random() < 0.2:
            break
        place = inner
    how = random.choice(("drop", "double", "odd", "odd", "odd", "nest", "swap", "name"))
    other = place[random.choice(keys)]
    if how == "odd" or (place is tree and how != "nest"):
        place[key] = random.choice(ODD)()
    elif how == "nest":
        place[key] = random.choice([[inner], {"x": inner}, [inner, inner]])
    elif how == "swap":
        place[key] = copy.deepcopy(other)
    elif how == "drop":
        del place[key]
    elif isinstance(place, list):
        place.insert(key, copy.deepcopy(inner))
    elif how == "name":
        name = random.choice(ODD)()
        place[name if isinstance(name, str) else str(key) + "2"] = place.pop(key)
    else:
        place[f"{key}2"] = copy.deepcopy(inner)


def garbled(text: str, random: Random) -> str:
    """A text with one to three changes: cut, doubled, with something put in, or nested deeply."""
    parts = [
        "",
        " ",
        "\n",
        "\0",
        "\ud800",
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        "\\",
        "//",
        "/../",
        "@",
        ":",
    ]
    parts += ["%", "%00", "#", "?", "=", "&", "$", "${x}", "{lr}", "1e999", "NaN", "9" * 5000]
    parts += ["[" * DEEP, '{"a":' * DEEP, "é", "℀", "٥", "=[[", ",,", "-1", "true", "1979-05-27"]
    for _ in range(random.randint(1, 3)):
        start = random.randint(0, len(text))
        end = random.randint(start, min(len(text), start + 12))
        how = random.randint(0, 3)
        middle = {0: random.choice(parts), 1: "", 2: text[start:end] * 2}.get(how, "")
        if how == 3:
            middle = random.choice(parts) + text[start:end]
        text = text[:start] + middle + text[end:]
    return text


def text_of(value: Any) -> str:
    """JSON as an untidy writer has it: with NaN, and with half pairs of surrogates."""
    try:
        return json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return "{}"
