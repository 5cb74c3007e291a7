"""How workers find a program again."""

import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from asha_queue.errors import SpecificationError


def reference(function: Callable[..., Any], directory: str | Path | None = None) -> str:
    """The text `file.py:function` by which workers find `function` again.

    The file is relative to `directory` (default: the working directory) when it is below it, else
    absolute. Raises SpecificationError for what a file's top level does not hold under a name.
    """
    original = inspect.unwrap(function)
    code = getattr(original, "__code__", None)
    name = getattr(original, "__qualname__", "")
    if code is None or not name.isidentifier() or not code.co_filename.endswith(".py"):
        raise SpecificationError(
            f"train={function!r}: workers cannot find it by name; define it with `def` at the top "
            f"of a .py file"
        )
    directory = os.path.abspath(directory or Path.cwd())
    file = Path(directory, code.co_filename)
    shown = file.relative_to(directory) if file.is_relative_to(directory) else file
    return f"{shown.as_posix()}:{name}"
