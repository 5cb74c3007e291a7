"""Asynchronous successive halving (ASHA) on a Celery queue: hyperparameter tuning for a fleet.

Names are imported when they are first used, so `import asha_queue` is fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asha_queue.errors import AshaQueueError as AshaQueueError
    from asha_queue.errors import TrialStopped as TrialStopped
    from asha_queue.experiment import Experiment as Experiment
    from asha_queue.handle import Handle as Handle
    from asha_queue.result import Result as Result
    from asha_queue.search.space import choice as choice
    from asha_queue.search.space import grid_search as grid_search
    from asha_queue.search.space import lograndint as lograndint
    from asha_queue.search.space import loguniform as loguniform
    from asha_queue.search.space import normal as normal
    from asha_queue.search.space import qloguniform as qloguniform
    from asha_queue.search.space import quniform as quniform
    from asha_queue.search.space import randint as randint
    from asha_queue.search.space import uniform as uniform
    from asha_queue.simulation import simulate as simulate
    from asha_queue.training.trial import Trial as Trial

#: Public names, by the module that has them.
_PUBLIC = {
    "asha_queue.experiment": ["Experiment"],
    "asha_queue.handle": ["Handle"],
    "asha_queue.training.trial": ["Trial"],
    "asha_queue.result": ["Result"],
    "asha_queue.simulation": ["simulate"],
    "asha_queue.search.space": [
        "uniform",
        "loguniform",
        "quniform",
        "qloguniform",
        "randint",
        "lograndint",
        "normal",
        "choice",
        "grid_search",
    ],
    "asha_queue.errors": ["AshaQueueError", "TrialStopped"],
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_HOME)  # noqa: PLE0605  one table instead of two


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'asha_queue' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
