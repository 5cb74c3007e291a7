"""What an Optuna study knows: the results of its trials, to begin an experiment with.

Rules

* `optuna:STORAGE/STUDY`: the study is what follows the last slash. STORAGE is a URL as Optuna takes
  it (`sqlite:///study.db`, `postgresql://…`), `redis://…` for a journal in Redis, or the path of
  a journal file. It is read and never written; one that is not there is not made.
* A source is part of the journal, so it holds no password: `$NAME` in it stands for a variable of
  the environment.
* Trials that are complete or pruned count, with what they have reported last, a complete one with
  its value. The resource is the last step, counted from 1 if the study counts its steps from 0; for
  an objective it is the count of reports, as it is in the experiment. A complete trial that has
  reported nothing was trained in full.
* A study has parameters that were asked for in some trials only. In the space of an objective these
  are drawn always: a trial that lacks one is given any value, which means nothing there either.
"""

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from asha_queue.errors import SpecificationError
from asha_queue.specification import Specification
from asha_queue.specification.fields import STUDY
from asha_queue.urls import holds_secret


class Trained(NamedTuple):
    """A trial's result."""

    config: dict[str, Any]
    resource: int
    value: float


def results(source: str, specification: Specification) -> list[Trained]:
    """Those of a study's trials that have one.

    Raises SpecificationError, naming the source, when it cannot be read or has another direction.
    """
    if not isinstance(specification.metric, str):
        raise SpecificationError(
            f"warm_start={source!r}: a study is learnt from by its one value, and "
            f"{specification.name!r} has the metrics {', '.join(specification.metric)}"
        )
    place, _, name = source.removeprefix(STUDY).rpartition("/")
    if holds_secret(place):
        raise SpecificationError(
            "warm_start: a storage is part of the journal and must not hold its password; "
            "write it as a variable of the environment, such as optuna:postgresql://"
            "user:$PASSWORD@host/database/study"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's, that a storage is experimental
            studies, trials = _read(os.path.expandvars(place), name)
    except ImportError as error:
        raise SpecificationError(
            f"warm_start={source!r}: cannot be read here: {error}; pip install "
            f"'asha-queue[optuna]', and the driver of its database"
        ) from None
    except Exception as error:
        told = str(error).partition("\n")[0].replace(os.path.expandvars(place), place)
        for name in re.findall(r"\$\{?(\w+)", place):
            if secret := os.environ.get(name):
                told = told.replace(secret, f"${name}")
        raise SpecificationError(
            f"warm_start={source!r}: the storage {place!r} cannot be opened: {told}"
        ) from None
    if name not in studies:
        known = ", ".join(sorted(studies)) or "none"
        raise SpecificationError(
            f"warm_start={source!r}: no study of {place!r} is called {name!r}; there are: {known}. "
            f"Write optuna:STORAGE/STUDY"
        )
    wanted = {"min": "MINIMIZE", "max": "MAXIMIZE"}[specification.leading.mode]
    if studies[name] != [wanted]:
        raise SpecificationError(
            f"warm_start={source!r}: its direction is {' and '.join(studies[name])}, and "
            f"{specification.name!r} has mode={specification.leading.mode!r}: results can be "
            f"learnt from only if both are the same"
        )
    return _results(trials, specification)


def _read(place: str, name: str) -> tuple[dict[str, list[str]], list[Any]]:
    """The directions of all studies of a storage, and the trials of one of them."""
    import optuna

    scheme = urlsplit(place).scheme
    storage: Any
    if scheme.startswith("redis"):
        backend = optuna.storages.journal.JournalRedisBackend(place)
        storage = optuna.storages.JournalStorage(backend)
    elif "://" in place:
        if scheme.startswith("sqlite"):
            _require_file(urlsplit(place).path.removeprefix("/"))
        storage = optuna.storages.RDBStorage(place, skip_table_creation=True)
    else:
        _require_file(place)
        backend = optuna.storages.journal.JournalFileBackend(place)
        storage = optuna.storages.JournalStorage(backend)
    try:
        studies = {one.study_name: one for one in storage.get_all_studies()}
        found = studies.get(name)
        trials = [] if found is None else storage.get_all_trials(found._study_id, deepcopy=False)
    finally:
        if "://" in place and not scheme.startswith("redis"):
            storage.remove_session()
            storage.engine.dispose()
    directions = {key: [d.name for d in one.directions] for key, one in studies.items()}
    return directions, list(trials)


def _require_file(path: str) -> None:
    """Optuna would make one."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path or 'in it'}")


def _results(trials: Sequence[Any], specification: Specification) -> list[Trained]:
    counted = [one for one in trials if one.state.name in ("COMPLETE", "PRUNED")]
    first = min((step for one in counted for step in one.intermediate_values), default=1)
    sometimes = {name for one in counted for name in one.params}
    objective = specification.dialect == "optuna"
    found = []
    for one in counted:
        steps = one.intermediate_values
        if one.state.name == "COMPLETE":
            value = one.value
        elif steps:
            value = steps[max(steps)]
        else:
            continue
        resource = specification.max_t
        if steps:
            resource = len(steps) if objective else max(max(steps) + (first == 0), 1)
        config = dict(one.params)
        if objective:
            drawn = specification.parameters.draw(0, one.number)
            config = {name: drawn[name] for name in drawn if name in sometimes} | config
        found.append(Trained(config, resource, float(value)))
    return found
