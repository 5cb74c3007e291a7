"""What a program is called with: each dialect makes its function one of a `Trial`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from asha_queue.training import objective, programs, ray, scripts
from asha_queue.training.command import Command
from asha_queue.training.trial import Trial


def program(specification: Mapping[str, Any], roots: Sequence[Path]) -> Callable[[Trial], object]:
    """What trains a segment of this experiment, found in `roots`; ProgramError if it is not."""
    if specification.get("command"):
        folder = specification.get("folder", ".")
        return Command(specification, scripts.folder_of(specification["files"], folder, roots))
    function = programs.load(specification["train"], roots, specification["digest"])
    if specification.get("dialect") == "ray":
        return ray.program(function, specification["metric"])
    if specification.get("dialect") == "optuna":
        return objective.program(function, specification)
    return function
