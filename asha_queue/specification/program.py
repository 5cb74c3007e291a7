"""How workers find a program again."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asha_queue.errors import SpecificationError


def reference(
    function: Callable[..., Any], directory: str | Path | None = None, what: str = "train"
) -> str:
    """The text `file.py:function` by which workers find `function`, or a class, again.

    The file is relative to `directory` (default: the working directory) when it is below it, else
    absolute. Raises SpecificationError for what a file's top level does not hold under a name.
    """
    original = inspect.unwrap(function)
    code = getattr(original, "__code__", None)
    name = getattr(original, "__qualname__", "")
    source = code.co_filename if code else _file(original)
    if not name.isidentifier() or not source.endswith(".py"):
        who = "workers" if what == "train" else "a coordinator"
        kind = "class" if isinstance(function, type) else "def"
        raise SpecificationError(
            f"{what}={function!r}: {who} cannot find it by name; define it with `{kind}` at "
            f"the top of a .py file"
        )
    directory = os.path.abspath(directory or Path.cwd())
    file = Path(directory, source)
    shown = file.relative_to(directory) if file.is_relative_to(directory) else file
    return f"{shown.as_posix()}:{name}"


def _file(thing: Any) -> str:
    """The file of a class; nothing for what is none."""
    try:
        return inspect.getfile(thing) if isinstance(thing, type) else ""
    except (TypeError, OSError):
        return ""
