"""What a function calls while it is trained; `training/ray.py` says how reports are counted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asha_queue.errors import ReportError
from asha_queue.training.ray import reports
from asha_queue.tune.checkpoint import Checkpoint


def report(
    metrics: Mapping[str, Any] | None = None,
    *,
    checkpoint: Checkpoint | None = None,
    **named: Any,
) -> None:
    """Reports metrics, in a dict or by name, and what to go on from with them.

    The report that reaches the trial's target ends the function.
    """
    if metrics is not None and not isinstance(metrics, Mapping):
        raise ReportError(f"tune.report({metrics!r:.80}): give a dict, or each metric by its name")
    if checkpoint is not None and not isinstance(checkpoint, Checkpoint):
        raise ReportError(
            f"tune.report(checkpoint={checkpoint!r:.80}): give a tune.Checkpoint.from_directory(…)"
        )
    reports().report({**(metrics or {}), **named}, Path(checkpoint.path) if checkpoint else None)


def get_checkpoint() -> Checkpoint | None:
    """What the trial is to go on from, or None when it begins; ask before the first report."""
    folder = reports().checkpoint
    return Checkpoint(folder) if folder else None
