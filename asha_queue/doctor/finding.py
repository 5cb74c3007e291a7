"""What a check has found."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report.

    "error": something does not work, or what was finished may be lost. "warning": it works, but not
    as well or as safely as it should; `do` is the next step then.
    """

    what: str
    state: State
    says: str
    do: str = ""
