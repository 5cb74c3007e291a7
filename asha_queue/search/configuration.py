"""A configuration as people read it: one level of dotted names, in one line."""

from collections.abc import Mapping
from typing import Any


def short(config: Mapping[str, Any]) -> str:
    """A configuration in one line: `lr=0.0131 net.hidden=64`."""
    return " ".join(f"{name}={brief(value)}" for name, value in flatten(config).items())


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A nested configuration as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def brief(value: object) -> str:
    """A value of a parameter, a float in four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
