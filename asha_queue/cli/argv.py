"""Passwords on the command line, where every user of the machine can read them.

They are taken as they are given, and overwritten at once in the memory from which the kernel shows
them, so that no command shows one for as long as it runs. Where that cannot be done (it is Linux's
way) they stay. What is begun with them is told by the environment.
"""

import ctypes
import re
from pathlib import Path
from typing import Final

#: What is hidden: between `://` and the last `@`, after `password=`, and logins and keys of Flower.
_SECRETS: Final = (
    re.compile(rb"(://)([^\0]+)(?=@)"),
    re.compile(rb"([?&]\w*password=)([^&\0]+)"),
    re.compile(rb"(--(?:basic_auth|cookie_secret|oauth2_secret)[=\0])([^\0]+)"),
)


def hide_passwords() -> bool:
    """Overwrites the passwords in this process's command line; whether there were any."""
    try:
        shown = Path("/proc/self/cmdline").read_bytes()
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    hidden = covered(shown)
    if hidden == shown:
        return False
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, see proc(5)
    if start and end - start == len(shown) and ctypes.string_at(start, len(shown)) == shown:
        ctypes.memmove(start, hidden, len(hidden))
    return True


def covered(line: bytes) -> bytes:
    """A command line of the same length with stars for passwords."""
    for secret in _SECRETS:
        line = secret.sub(lambda found: found[1] + b"*" * len(found[2]), line)
    return line
