"""Which trials the page of an experiment shows, as its address says."""

from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Query:
    """Which trials the page of an experiment shows, see `selection`; pages count from 1."""

    state: str = ""
    search: str = ""
    sort: str = ""
    descending: bool = False
    page: int = 1

    def but(self, **changed: Any) -> str:
        """The query of an address with something changed, on its first page unless that is what
        changed; without what is left at its default."""
        other = replace(self, **{"page": 1, **changed})
        given = {
            "state": other.state,
            "search": other.search,
            "sort": other.sort,
            "order": "desc" if other.descending else "",
            "page": other.page if other.page > 1 else "",
        }
        return urlencode({name: value for name, value in given.items() if value})


#: All of them, the best first.
EVERYTHING: Final = Query()
