"""Trackers: the runs of an experiment in MLflow, Weights & Biases, TensorBoard or one's own.

Rules

* A tracker never harms a trial, a decision or another tracker: each runs in a process of its own,
  which the leader starts, and which reads the journal. The journal is its queue: it is never full,
  and what could not be delivered is delivered later, in order.
* A tracker is told of a segment when that has ended, with all points of its curve (64 at most).
* Being told again has no second effect: how far a tracker is stands in `trackers/` of the
  experiment's folder, written after each delivery, and what was on its way when a process was
  killed is found by what the tracker already has (runs by uid and trial, points by step, files by
  entry). A class of one's own, and W&B offline, may be told that one entry again.
* A tracker that cannot be reached (OSError) is tried for as long as it takes. Any other error is
  taken as that of the news alone, which is left out after TRIES and counted, so that a class with
  a bug gets what comes after. Either is said once.
* Its process ends with the leader: by the end of its standard input, in any case within a second.
* A class of one's own is loaded from the folders that its coordinator loads programs from: those of
  a `run`, the working directory of a service. Its file is not compared with what was submitted: it
  decides nothing, and may be mended while the experiment runs.
"""

import importlib.util
from collections.abc import Sequence

from asha_queue.errors import SpecificationError

#: What has to be importable for a tracker.
NEEDS = {"mlflow": ("mlflow",), "tensorboard": ("tensorboardX",), "wandb": ("wandb",)}


def require(trackers: Sequence[str]) -> None:
    """Raises SpecificationError, with the command that installs it, for what is missing here."""
    for tracker in trackers:
        kind = tracker.partition(":")[0]
        for module in NEEDS.get(kind, ()):
            if importlib.util.find_spec(module) is None:
                raise SpecificationError(
                    f"trackers={tracker!r}: needs {module}, which is not installed; "
                    f"pip install 'asha-queue[{kind}]'"
                )
