"""The garbage collector, kept from looking at what a journal adds up to.

Rules

* What is folded from a journal is in no cycle, and lives as long as its coordinator. A collection
  would look at all of it, for seconds at a million results, in which nothing is decided.
* So nothing is collected while very many objects are made, and what has been made is set aside.
* When a coordinator ends all of it is looked at again: what has become garbage meanwhile must go.
"""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """While very many objects are made."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def set_aside() -> None:
    """Lets no collection look at what there is now."""
    gc.collect(1)  # not with what is garbage already
    gc.freeze()


def look_again() -> None:
    """Lets collections look at everything."""
    gc.unfreeze()
