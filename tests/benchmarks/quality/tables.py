"""Tables of learning curves: what training each of many configurations would have brought.

A table is an `.npz` file of

* `metric`: configurations × steps, a validation loss, smaller is better, NaN where it diverged,
* `cost`: seconds of each step, in a shape that can be broadcast to that of `metric`,
* `config`: configurations × parameters, and `names`, one for each parameter.

A task is such a table with what its runs are measured by. R is the mean time of a full training.
Regret is 0 at the best value anywhere in the table and 1 at the median of what rows have after
their first step, which is about what knowing nothing brings.
"""

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: The share of rows that are as good as one can ask for.
TOP = 0.01


class TableError(Exception):
    """Raised for a file or a folder that cannot be read as tables."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A table and what follows from it.

    `metric` is rows × steps and may be a view that repeats; `elapsed` is the time until each step
    has ended, from 0 before the first, of each row or of all alike (then it has one row).
    """

    name: str
    metric: Floats
    elapsed: Floats
    config: Floats
    names: tuple[str, ...]
    #: Seconds of a full training, in the mean.
    full: float = field(init=False)
    #: The best value in the table, the one at which regret is 1, and the worst that is top.
    best: float = field(init=False)
    usual: float = field(init=False)
    top: float = field(init=False)

    def __post_init__(self) -> None:
        reached = np.fmin.reduce(self.metric, axis=1)
        # what diverged is worse than whatever did not, so it takes part in a median as that
        first = np.where(np.isnan(self.metric[:, 0]), np.inf, self.metric[:, 0])
        usual = float(np.quantile(first, 0.5, method="lower"))
        ranked = np.sort(reached[~np.isnan(reached)])
        best = float(ranked[0])
        if not best < usual < np.inf:
            # all rows begin alike, or most diverge at once: the worst of what is left instead
            usual = float(np.nanmax(self.metric))
        object.__setattr__(self, "full", float(self.elapsed[:, -1].mean()))
        object.__setattr__(self, "best", best)
        object.__setattr__(self, "usual", usual)
        place = min(max(round(TOP * self.rows), 1), len(ranked)) - 1
        object.__setattr__(self, "top", float(ranked[place]))

    @property
    def rows(self) -> int:
        return len(self.metric)

    @property
    def steps(self) -> int:
        return int(self.metric.shape[1])

    @property
    def mark(self) -> int:
        """What tells the table from others of the same name."""
        return zlib.crc32(np.ascontiguousarray(self.metric).tobytes())

    def until(self, row: int) -> Floats:
        """The time until each step of a row has ended, 0 before the first."""
        times: Floats = self.elapsed[row if len(self.elapsed) > 1 else 0]
        return times

    def regret(self, values: Floats) -> Floats:
        """Normalised: 0 for the best there is, at most 1."""
        if self.usual == self.best:
            return np.zeros_like(values)
        return np.clip((values - self.best) / (self.usual - self.best), 0.0, 1.0)

    def seeds(self, seed: int) -> list[int]:
        """Seeds of a run. Tables of one family list the same configurations in the same order, so
        runs of different tasks would not be independent if they had the same."""
        return [zlib.crc32(self.name.encode()), seed]


def task(
    name: str, metric: Any, cost: Any = 1.0, config: Any = None, names: Sequence[str] = ()
) -> Task:
    """A task of arrays as they are in a file; TableError, without the file's name, for bad ones."""
    metric = np.asarray(metric, dtype=np.float64)
    if metric.ndim != 2 or not metric.size:
        raise TableError(f"`metric` is of shape {metric.shape}: it must be configurations × steps")
    if np.isnan(metric).all():
        raise TableError("`metric` is NaN throughout: at least one configuration must not diverge")
    if np.isinf(metric).any():
        raise TableError("`metric` has infinities: write NaN where a training diverged")
    cost = np.asarray(cost, dtype=np.float64)
    try:
        wide = np.broadcast_to(cost, metric.shape)
    except ValueError:
        raise TableError(
            f"`cost` is of shape {cost.shape}: it must fit `metric`, which is {metric.shape}"
        ) from None
    if not (np.isfinite(cost).all() and (cost > 0).all()):
        raise TableError("`cost` has numbers that are not above 0: they are seconds of a step")
    config = np.zeros((len(metric), 0)) if config is None else np.asarray(config, dtype=np.float64)
    if config.shape != (len(metric), len(names)):
        raise TableError(
            f"`config` is of shape {config.shape}: it must have a row for each of the "
            f"{len(metric)} of `metric` and a column for each of the {len(names)} of `names`"
        )
    if cost.ndim < 2 or len(cost) == 1:
        wide = wide[:1]
    elapsed = np.concatenate([np.zeros((len(wide), 1)), np.cumsum(wide, axis=1)], axis=1)
    return Task(name, metric, elapsed, config, tuple(names))


def load(path: Path) -> Task:
    """The task in a file; TableError that names the file and what is wrong with it."""
    try:
        with path.open("rb") as file:
            held = np.load(file, allow_pickle=False)
            if isinstance(held, np.ndarray):
                raise ValueError("a lone array, no archive of named ones")
            arrays = dict(held)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise TableError(f"{path}: cannot be read as a table ({error})") from None
    if missing := [key for key in ("metric", "cost", "config", "names") if key not in arrays]:
        held_names = ", ".join(sorted(arrays)) or "nothing"
        raise TableError(f"{path}: has no `{missing[0]}`, only {held_names}")
    try:
        names = [str(name) for name in arrays["names"].ravel()]
        return task(path.stem, arrays["metric"], arrays["cost"], arrays["config"], names)
    except (TypeError, ValueError) as error:
        raise TableError(f"{path}: holds something other than numbers ({error})") from None
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def load_all(folder: Path) -> list[Task]:
    """The tasks of all tables in a folder, by name."""
    if not folder.is_dir():
        raise TableError(
            f"{folder}: is no folder; name one that holds `.npz` tables, "
            f"or make it by `make bench-table TABLES={folder}`"
        )
    if not (paths := sorted(folder.glob("*.npz"))):
        raise TableError(
            f"{folder}: holds no `.npz` tables; `make bench-table TABLES={folder}` makes one"
        )
    return [load(path) for path in paths]


def save(path: Path, metric: Floats, cost: Floats, config: Floats, names: Sequence[str]) -> None:
    """Writes a table, in single precision."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        path,
        metric=metric.astype(np.float32),
        cost=cost.astype(np.float32),
        config=config,
        names=np.array(names),
    )
