"""Whether a program saves checkpoints, as far as its text tells."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from asha_queue.specification import Specification
from asha_queue.training import programs

#: What stands in every program that saves one, in whichever dialect.
WORDS: Final = ("save", "checkpoint")


def may_save(specification: Specification, roots: Sequence[Path]) -> bool:
    """False only for a program, resolved, that names neither saving nor checkpoints anywhere."""
    if specification.command and "{save}" in specification.command:
        return True
    texts = [path.read_text("utf-8", "replace").lower() for path in _files(specification, roots)]
    return not texts or any(word in text for text in texts for word in WORDS)


def _files(specification: Specification, roots: Sequence[Path]) -> Iterator[Path]:
    if specification.command is None:
        yield programs.locate(str(specification.train), roots)
        return
    yield from (roots[0] / specification.folder / name for name in specification.files)
