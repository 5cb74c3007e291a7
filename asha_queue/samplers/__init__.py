"""Which configuration each new trial gets."""

from asha_queue.samplers.suggestions import Suggestions, prepare, require

__all__ = ["Suggestions", "prepare", "require"]
