"""What is wrong with a field, in one line."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from asha_queue.errors import SpecificationError
from asha_queue.search.combinations import SMALL
from asha_queue.search.domains import shown
from asha_queue.search.space import Space

#: Fields that nobody writes: submission fills them.
FILLED = ("digest", "files", "folder", "prior")


def told(read: Callable[[], Any]) -> Any:
    """What `read` returns; what it refuses, as pydantic wants to be told."""
    try:
        return read()
    except SpecificationError as error:
        raise ValueError(str(error)) from None


def line(model: type[BaseModel], given: Mapping[str, Any], detail: ErrorDetails) -> str:
    """One line for one of pydantic's errors: the field, its value and what is allowed."""
    if detail["type"] == "value_error":  # raised by a validator above, whose text says it all
        return str(detail["ctx"]["error"])
    if not detail["loc"]:  # a name that is no text of Unicode
        return f"{detail['input']!r:.80}: there is no such field"
    field = str(detail["loc"][0])
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field, model.model_fields, n=1)
        fields = ", ".join(name for name in model.model_fields if name not in FILLED)
        hint = f"did you mean {close[0]}?" if close else f"the fields are {fields}"
        return f"{field}={given[field]!r}: there is no such field; {hint}"
    allowed = model.model_fields[field].description
    if detail["type"] == "missing":
        return f"{field}: is missing; it must be {allowed}"
    options = list(choices(model.model_fields[field].annotation))
    close = difflib.get_close_matches(str(given[field]), options, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f"{field}={given[field]!r}: must be {allowed}{hint}"


def choices(annotation: Any) -> Iterator[str]:
    """The texts that a field may be."""
    for one in get_args(annotation):
        if isinstance(one, str):
            yield one
        else:
            yield from choices(one)


def no_grid(space: Space) -> str:
    """Why a space has no grid of all its combinations."""
    if not space.unlisted:
        return (
            f"sampler='grid': the space has more than {SMALL:,} combinations; use fewer values, or "
            "sampler='random'"
        )
    domains = ", ".join(f"space.{one.name} = {shown(one.domain)}" for one in space.unlisted)
    return (
        f"sampler='grid': takes every combination of discrete domains, which {domains} cannot give "
        "(or has too many values for); use choice, randint or quniform there, or sampler='random'"
    )
