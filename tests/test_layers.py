"""The order of the rooms: each imports only those below it, imports inside functions included."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import asha_queue

PACKAGE = Path(__file__).parent.parent / "asha_queue"

#: From the top down. `__main__` is the command line started as a module.
ORDER = [
    "__main__",
    "__init__",
    "celery",
    "cli",
    "tune",
    "experiment",
    "running",
    "outlook",
    "prior",
    "study",
    "local",
    "terminal",
    "dashboard",
    "handle",
    "logs",
    "models",
    "node",
    "training",
    "coordinator",
    "trackers",
    "doctor",
    "report",
    "views",
    "queue",
    "checkpoints",
    "store",
    "planning",
    "simulation",
    "samplers",
    "selection",
    "result",
    "figures",
    "importance",
    "troubles",
    "tally",
    "specification",
    "objectives",
    "search",
    "storage",
    "where",
    "urls",
    "tls",
    "sentinel",
    "formats",
    "alive",
    "settings",
    "errors",
]
#: (room, room it never imports): both sides of the queue meet in `store` only.
APART = [("coordinator", "training"), ("coordinator", "node"), ("training", "coordinator")]
#: Clock, I/O, environment, logging and global randomness have no place in `search`.
NOT_IN_SEARCH = {
    *("asyncio", "datetime", "io", "logging", "multiprocessing", "os", "pathlib", "random"),
    *("secrets", "shutil", "socket", "subprocess", "tempfile", "threading", "time", "uuid"),
}
#: Lines of a module, at most.
LONGEST = 400

MODULES = sorted(PACKAGE.rglob("*.py"))


class Import(NamedTuple):
    """An import: the module it is in, the dotted name imported and the line."""

    path: Path
    name: str
    line: int

    @property
    def top(self) -> str:
        return self.name.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.path.relative_to(PACKAGE.parent)}:{self.line} imports {self.name}"


def room(name: str) -> str:
    """The room of a dotted name that begins with `asha_queue`."""
    return f"{name}.__init__".split(".")[1]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path, source: str | None = None) -> Iterator[Import]:
    """All imports in a file, wherever they stand; for `from a import b` both `a` and `a.b`."""
    package = ("asha_queue", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(source or path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) + 1 - node.level]) if node.level else []
            base += [node.module] if node.module else []
            names = [".".join([*base, alias.name]) for alias in node.names]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            names = [_constant(node.args[0])]
        else:
            continue
        for name in names:
            yield Import(path, name, node.lineno)


def _constant(argument: ast.expr) -> str:
    """The module that `import_module` is called with, as far as it can be read."""
    if isinstance(argument, ast.JoinedStr):  # the text before the first {placeholder}
        argument = argument.values[0]
    return str(argument.value) if isinstance(argument, ast.Constant) else ""


def climbs(found: Import) -> bool:
    """Whether an import goes up, or to what is no room: public names are for users only."""
    own, used = room_of(found.path), room(found.name)
    if found.top != "asha_queue" or own == used:
        return False
    return used not in ORDER or own not in ORDER or ORDER.index(own) > ORDER.index(used)


def all_imports() -> list[Import]:
    return [found for path in MODULES for found in imports(path)]


def test_every_room_has_its_place_in_the_order() -> None:
    unknown = sorted({room_of(path) for path in MODULES} - set(ORDER))
    assert not unknown, (
        f"asha_queue has new rooms: {', '.join(unknown)}. Put each of them into ORDER in "
        f"{Path(__file__).name}, above all that it imports and below all that import it."
    )


def test_each_room_imports_only_rooms_below_it() -> None:
    assert [str(found) for found in all_imports() if climbs(found)] == []


@pytest.mark.parametrize(("one", "other"), APART)
def test_rooms_that_meet_in_the_store_only_do_not_import_each_other(one: str, other: str) -> None:
    met = [
        str(found)
        for found in all_imports()
        if room_of(found.path) == one and found.top == "asha_queue" and room(found.name) == other
    ]
    assert met == []


def test_no_room_has_a_public_name() -> None:
    """Once imported it would be what `from asha_queue import choice` brings."""
    assert {room_of(path) for path in MODULES} & {*asha_queue.__all__} == set()


def test_search_is_pure_standard_library_and_numpy() -> None:
    allowed = (set(sys.stdlib_module_names) - NOT_IN_SEARCH) | {"numpy"}
    impure = [
        str(found)
        for found in all_imports()
        if room_of(found.path) == "search" and found.top not in {*allowed, "asha_queue"}
    ]
    assert impure == []


def test_redis_is_imported_in_the_store_only() -> None:
    elsewhere = [
        str(found)
        for found in all_imports()
        if found.top in {"redis", "hiredis", "valkey"} and room_of(found.path) != "store"
    ]
    assert elsewhere == []


def test_no_module_is_longer_than_it_may_be() -> None:
    lengths = {str(p.relative_to(PACKAGE)): len(p.read_text().splitlines()) for p in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("def f():\n    from asha_queue.training import task", "asha_queue.training.task"),
        ("if TYPE_CHECKING:\n    import asha_queue.cli.run", "asha_queue.cli.run"),
        ("from ..node import launcher", "asha_queue.node.launcher"),
        ("from .. import experiment", "asha_queue.experiment"),
        ("importlib.import_module('asha_queue.local')", "asha_queue.local"),
        ("import_module(f'asha_queue.cli.{verb}')", "asha_queue.cli."),
        ("from asha_queue import Experiment", "asha_queue.Experiment"),
    ],
)
def test_an_import_upwards_is_seen_in_whatever_form_it_has(source: str, name: str) -> None:
    found = list(imports(PACKAGE / "store" / "server.py", source))
    assert [one.name for one in found] == [name]
    assert climbs(found[0])


@pytest.mark.parametrize(
    "source",
    [
        "from asha_queue import settings",
        "from asha_queue.search.asha import Asha",
        "from . import keys",
        "from .keys import journal",
        "import redis",
    ],
)
def test_an_import_downwards_or_within_the_room_is_none_upwards(source: str) -> None:
    found = list(imports(PACKAGE / "store" / "server.py", source))
    assert len(found) == 1
    assert not climbs(found[0])
