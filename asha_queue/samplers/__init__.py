"""Which configuration each new trial gets."""

from asha_queue.samplers.suggestions import Suggestions, require

__all__ = ["Suggestions", "require"]
