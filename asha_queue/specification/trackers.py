"""How trackers are named: `KIND`, `KIND:WHERE`, or `file.py:Class` for one's own."""

import difflib
import re
from typing import Any

from asha_queue.errors import SpecificationError
from asha_queue.specification.program import reference
from asha_queue.urls import holds_secret

#: The trackers that are known by name.
KINDS = ("mlflow", "tensorboard", "wandb")
OWN = re.compile(r"^[^:]+\.py:[A-Za-z_]\w*$")


def named(trackers: Any) -> Any:
    """The list with each class as the text by which it is found again; raises SpecificationError
    for a tracker that is unknown."""
    if not isinstance(trackers, list):
        return trackers  # which its type refuses
    return [_named(one, f"trackers[{i}]={one!r:.200}") for i, one in enumerate(trackers)]


def _named(tracker: Any, shown: str) -> Any:
    if isinstance(tracker, type):
        return reference(tracker, what="trackers")
    if not isinstance(tracker, str) or OWN.match(tracker):
        return tracker
    kind, _, where = tracker.partition(":")
    if kind not in KINDS:
        close = difflib.get_close_matches(kind, KINDS, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise SpecificationError(
            f"{shown}: tracker unknown; it must be one of {', '.join(KINDS)}, or a class of your "
            f"own as 'file.py:Class'{hint}"
        )
    if holds_secret(where):
        raise SpecificationError(
            f"trackers: {kind} is given a password, which every page and journal would show; "
            f"leave it out here and set it in the coordinator's environment (for mlflow: "
            f"MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or all of MLFLOW_TRACKING_URI)"
        )
    return tracker
