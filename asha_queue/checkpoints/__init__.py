"""Checkpoints of trials on a file system, each with a manifest that is written last."""

from asha_queue.checkpoints.folders import Checkpoints, Draft, Restored

__all__ = ["Checkpoints", "Draft", "Restored"]
