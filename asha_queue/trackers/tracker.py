"""The protocol of trackers, and which one a text names."""

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from asha_queue.errors import ProgramError
from asha_queue.trackers.news import News


class About(NamedTuple):
    """The experiment that is tracked; `folder` is its own in the storage, `roots` those that a
    class of one's own is loaded from."""

    uid: str
    name: str
    folder: Path
    roots: Sequence[Path]


class Tracker(Protocol):
    """What is told of trials. Being told again what it was told already has no second effect.

    Raises OSError when it cannot be reached at present.
    """

    def tell(self, news: News) -> None:
        """Takes what an entry of the journal says of a trial."""


class Own:
    """A class of the user's: `Class(experiment)`, `start(trial, config)`,
    `report(trial, step, metrics)`, `end(trial, state)`.

    `start` comes first for a trial in each process, so again after a takeover.
    """

    def __init__(self, reference: str, about: About) -> None:
        self._tracker: Any = _load(reference, about.roots)(about.name)
        self._started: set[int] = set()

    def tell(self, news: News) -> None:
        if news.trial not in self._started:
            self._tracker.start(news.trial, news.config)
            self._started.add(news.trial)
        for point in news.points:
            self._tracker.report(news.trial, point.step, point.metrics)
        if news.ended:
            self._tracker.end(news.trial, news.state)


def opened(tracker: str, about: About) -> Tracker:
    """The tracker that a text of the specification names."""
    kind, _, where = tracker.partition(":")
    if kind == "mlflow":
        from asha_queue.trackers.mlflow import Mlflow

        return Mlflow(where, about)
    if kind == "tensorboard":
        from asha_queue.trackers.tensorboard import TensorBoard

        return TensorBoard(where, about)
    if kind == "wandb":
        from asha_queue.trackers.wandb import Wandb

        return Wandb(where, about)
    return Own(tracker, about)


def _load(reference: str, roots: Sequence[Path]) -> type:
    """The class of a file below one of `roots`; this process loads no other file."""
    file, _, name = reference.rpartition(":")
    for root in roots:
        path = (root / file).resolve()
        if not path.is_file() or not path.is_relative_to(root.resolve()):
            continue
        sys.path.insert(0, str(path.parent))
        spec = spec_from_file_location(f"_asha_queue_tracker_{path.stem}", path)
        assert spec
        assert spec.loader  # its name ends in .py
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        found = getattr(module, name, None)
        missing = [m for m in ("start", "report", "end") if not callable(getattr(found, m, None))]
        if not isinstance(found, type) or missing:
            what = f"has no method {missing[0]}" if isinstance(found, type) else "is no class"
            raise ProgramError(
                f"tracker {reference}: {name} {what}; a tracker is a class with the methods "
                f"start(trial, config), report(trial, step, metrics) and end(trial, state)"
            )
        return found
    looked = ", ".join(map(str, roots))
    raise ProgramError(f"tracker {file} not found: looked in {looked}")
