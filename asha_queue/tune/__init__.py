"""Ray Tune's names over `Experiment`: a script runs with only its imports changed.

What differs from Ray, by intent: the search is ASHA as its paper has it (promotion, so that a trial
that is PAUSED may still go on), everything runs on a queue that survives the death of any process,
and metrics are numbers.
"""

from asha_queue.errors import SpecificationError
from asha_queue.search.space import (
    choice,
    grid_search,
    lograndint,
    loguniform,
    qloguniform,
    quniform,
    randint,
    uniform,
)
from asha_queue.search.space import normal as randn
from asha_queue.tune.analysis import ExperimentAnalysis, ResultGrid
from asha_queue.tune.checkpoint import Checkpoint
from asha_queue.tune.session import get_checkpoint, report
from asha_queue.tune.tuner import RunConfig, TuneConfig, Tuner, run, with_resources

__all__ = [
    "Checkpoint",
    "ExperimentAnalysis",
    "ResultGrid",
    "RunConfig",
    "TuneConfig",
    "Tuner",
    "choice",
    "get_checkpoint",
    "grid_search",
    "lograndint",
    "loguniform",
    "qloguniform",
    "quniform",
    "randint",
    "randn",
    "report",
    "run",
    "uniform",
    "with_resources",
]

#: Names of Ray Tune that are not there, and what to use instead.
_INSTEAD = {
    "Trainable": "write a function of the config that calls tune.report",
    "with_parameters": "load the data inside of the function, behind functools.cache",
    "sample_from": "compute dependent values inside of the function, or nest them in tune.choice",
    "checkpoint_dir": "tune.report(metrics, checkpoint=tune.Checkpoint.from_directory(folder))",
    "run_experiments": "call tune.run for each of them",
    "Callback": "follow a run in Flower, with asha-queue status, or in its journal.jsonl",
    "CLIReporter": "leave it out: verbose=1 prints progress and the trials, verbose=0 nothing",
    "JupyterNotebookReporter": "leave it out",
    "Stopper": "return from the function to end a trial, or set max_t",
    "qrandint": "tune.quniform, or tune.choice of the numbers",
    "qlograndint": "tune.qloguniform, or tune.choice of the numbers",
    "qrandn": "tune.randn, rounded inside of the function",
}


def __getattr__(name: str) -> object:
    if name in _INSTEAD:
        raise SpecificationError(f"tune.{name} is not supported; instead: {_INSTEAD[name]}")
    raise AttributeError(f"module 'asha_queue.tune' has no attribute {name!r}")
