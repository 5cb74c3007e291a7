"""What a program is called with: each dialect makes its function one of a `Trial`.

What only some experiments need is imported for these: every worker's main process has this module.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asha_queue.training import programs, ray, scripts
from asha_queue.training.trial import Trial


def program(specification: Mapping[str, Any], roots: Sequence[Path]) -> Callable[[Trial], object]:
    """What trains a segment of this experiment, found in `roots`; ProgramError if it is not."""
    if specification.get("command"):
        from asha_queue.training.command import Command

        folder = specification.get("folder", ".")
        return Command(specification, scripts.folder_of(specification["files"], folder, roots))
    function = programs.load(specification["train"], roots, specification["digest"])
    if specification.get("dialect") == "ray":
        return ray.program(function, specification["metric"])
    if specification.get("dialect") == "optuna":
        from asha_queue.training import objective

        return objective.program(function, specification)
    return function
