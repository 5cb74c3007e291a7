"""What of a specification is stored, so that earlier versions can read it: see `formats.py`."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

#: The fields that every version knows: these are stored always. No field is ever added here.
EVERYBODYS: Final = frozenset(
    {
        *("name", "train", "dialect", "space", "metric", "mode", "constraints"),
        *("max_t", "grace_period", "reduction_factor", "variant", "brackets", "hedge"),
        *("num_samples", "seed", "sampler", "initial_configs", "warm_start", "prior"),
        *("retries", "segment_timeout", "report_timeout", "weight", "max_concurrent", "queue"),
        *("storage", "trackers", "keep_checkpoints", "keep_bytes"),
        *("command", "pattern", "files", "folder", "digest"),
    }
)


def stored(specification: BaseModel) -> dict[str, Any]:
    """The fields with their values, without those of later versions that ask for nothing."""
    fields = type(specification).model_fields
    return {
        name: value
        for name, value in specification.model_dump().items()
        if name in EVERYBODYS or value != fields[name].get_default(call_default_factory=True)
    }


def later(fields: Mapping[str, Any]) -> list[str]:
    """Those of a stored specification's fields that not every version knows."""
    return sorted(fields.keys() - EVERYBODYS)
