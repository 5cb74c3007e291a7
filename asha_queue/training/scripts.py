"""The files of a command: found and digested when it is submitted, compared where it runs.

Rules

* A command runs in its folder: that of the file which defines it, if that is no program, else the
  one that it was submitted from. On another node that is where the folder is by its path below one
  of the worker's folders, else one of these themselves: the first that has all of its files.
* Its files are its words that are files below its folder, up to LARGEST bytes: what is larger is
  data.
* A command is run by workers that were told so alone (COMMANDS): whoever may write to their broker
  could have them run anything.
"""

import hashlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from asha_queue.errors import ProgramDiffers, ProgramError

#: Variable that lets a worker run commands: "1".
COMMANDS = "ASHA_QUEUE_COMMANDS"
#: Bytes of a file that is compared.
LARGEST = 16 * 2**20
_SCRIPT = re.compile(r"[\w./-]+\.(py|sh|R|jl|js|pl|rb)")


def resolve(folder: Path, cwd: Path) -> tuple[str, list[Path]]:
    """The path by which workers find the folder of a command, and the root that it is below on
    this machine: `cwd`, or the folder itself where it is not below that."""
    path, root = (cwd / folder).resolve(), cwd.resolve()
    if not path.is_relative_to(root):
        root = path
    return str(path.relative_to(root)), [root]


def files(command: str, folder: Path) -> dict[str, str]:
    """The SHA-256 of each file of a command, by its path below `folder`.

    Raises ProgramError for a script that is missing, or is started and not executable.
    """
    words = list(_words(command))
    if not any(word == "cd" for word in words):
        for place, word in enumerate(words):
            missing = _SCRIPT.fullmatch(word) and not Path(word).is_absolute() and place < 2
            if missing and not (folder / word).is_file():
                raise ProgramError(f"command: {word} is not a file in {folder}")
    if words and "/" in words[0] and (folder / words[0]).is_file():
        if not os.access(folder / words[0], os.X_OK):
            raise ProgramError(
                f"command: {words[0]} is not executable; chmod +x {words[0]}, or write the "
                f"interpreter before it, such as `python {words[0]}`"
            )
    found = {}
    for word in dict.fromkeys(words):
        path = folder / word
        if Path(word).is_absolute() or not path.resolve().is_relative_to(folder.resolve()):
            continue
        if path.is_file() and path.stat().st_size <= LARGEST:
            found[word] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def folder_of(wanted: Mapping[str, str], folder: str, roots: Sequence[Path]) -> Path:
    """Where the command runs that has these files; ProgramDiffers if they are others there."""
    if os.environ.get(COMMANDS) != "1":
        raise ProgramError(
            f"this worker runs no commands, as whoever may write to its broker could have it run "
            f"anything; if that is all right, start it as `asha-queue worker --commands`, or with "
            f"{COMMANDS}=1"
        )
    for below in dict.fromkeys((folder, ".")):
        for root in roots:
            path = (root / below).resolve()
            if not path.is_dir() or not path.is_relative_to(root.resolve()):
                continue
            if all((path / name).is_file() for name in wanted):
                _compare(wanted, path)
                return path
    looked = ", ".join(str(root) for root in roots) or "no folder at all"
    what = f"not all of {', '.join(wanted)}" if wanted else f"the folder {folder} is not"
    raise ProgramError(f"{what} found: looked in {looked}; start the worker with --programs DIR")


def _compare(wanted: Mapping[str, str], folder: Path) -> None:
    for name, digest in wanted.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
            raise ProgramDiffers(
                f"program {folder / name} differs from the one submitted; copy the same file here, "
                f"or submit the experiment anew"
            )


def _words(command: str) -> Iterator[str]:
    """Words without placeholders; after VARIABLE=value in front."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = [word for word in lexer if "{" not in word or word == "{python}"]
    except ValueError:  # a quote that the shell will complain of
        words = command.split()
    while words and re.fullmatch(r"\w+=.*", words[0]):
        del words[0]
    yield from words
