"""Clocks that are off: a library that real processes load first and that moves what they read.

Only wall clocks: time that is waited or measured goes as it does, as on a machine whose clock was
set wrong. Where the library is not installed (it is built for one platform), there is none of that.
"""

import importlib.util
from pathlib import Path


def library() -> Path | None:
    """The library to be loaded first, where there is one."""
    found = importlib.util.find_spec("libfaketime")
    if found is None or found.origin is None:
        return None
    return next(Path(found.origin).parent.rglob("libfaketime.so.1"), None)


def environment(seconds: int) -> dict[str, str]:
    """The variables by which a process and all that it starts see a clock that is off."""
    preload = library()
    assert preload, "libfaketime is not installed"
    return {"LD_PRELOAD": str(preload), "FAKETIME": f"{seconds:+d}", "DONT_FAKE_MONOTONIC": "1"}
