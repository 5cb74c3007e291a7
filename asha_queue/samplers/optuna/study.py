"""Studies in memory, made for one question and dropped."""

import copy
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

#: When trials begin and end in a study; no sampler looks at it.
_WHEN = datetime.datetime(2000, 1, 1)


class Told(FrozenTrial):  # type: ignore[misc]  # Optuna is optional, so its types are not seen
    """A trial that a study is told of. The study copies it, for which a flat copy is enough: what
    is in it is never changed. A deep one takes a hundred times as long."""

    def __deepcopy__(self, memo: Any) -> "Told":
        return copy.copy(self)


def told(
    params: Mapping[str, Any],
    distributions: Mapping[str, Any],
    *,
    losses: Sequence[float] | None = None,
    steps: Mapping[int, float] | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Told:
    """A trial: complete with losses, pruned with steps, which may be none, else running."""
    state = TrialState.RUNNING if steps is None else TrialState.PRUNED
    if losses is not None:
        state = TrialState.COMPLETE
    return Told(
        number=-1,
        trial_id=-1,
        state=state,
        value=None,
        values=losses,
        datetime_start=_WHEN,
        datetime_complete=None if state == TrialState.RUNNING else _WHEN,
        params=params,
        distributions={name: distributions[name] for name in params},
        user_attrs={},
        system_attrs=attributes or {},
        intermediate_values=steps or {},
    )


def ask(
    sampler: Any, trials: Sequence[Told], distributions: Mapping[str, Any], objectives: int = 1
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the sampler suggests after these trials: parameters, and the attributes that it leaves.

    A smaller loss is better.
    """
    storage = optuna.storages.InMemoryStorage()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # a new study is not worth a line
    try:
        study = optuna.create_study(
            storage=storage,
            sampler=sampler,
            study_name="asha-queue",
            directions=["minimize"] * objectives,
        )
    finally:
        optuna.logging.set_verbosity(verbosity)
    for trial in trials:
        storage.create_new_trial(study._study_id, trial)
    asked = study.ask(dict(distributions))
    return asked.params, storage.get_trial(asked._trial_id).system_attrs
