"""Optuna's samplers: TPE, GP, CMA-ES and NSGA-II, told what the history holds.

Rules

* Each suggestion asks a study in memory that is made for it of the history: a trial of the study is
  a trial of ours, and the sampler's random numbers come from the seed and the trial's number. So a
  suggestion is a function of the seed, the trial's number and the history, as `sampler.py` asks of
  all, though Optuna's samplers remember things: what is kept here only saves time.
* Trials that are suggested together are in training for each other. A trial in training without a
  result is running in the study: TPE and GP keep away from it.
* What results mean to each sampler, rung by rung, `models.py` says.
* A grid has no part in it: its points are given, and a model of the other hyperparameters learns
  from the results of all points.
* Nothing is written or warned by Optuna, and its settings are left as they are.

Optuna is imported by `load`, at the latest at the first suggestion: that takes seconds.
"""

import importlib
import importlib.util
from typing import Any, ClassVar

from asha_queue.errors import SpecificationError
from asha_queue.samplers.history import History
from asha_queue.samplers.sampler import Sampler
from asha_queue.specification import Specification

#: What to install for a module that is imported.
_PACKAGES = {"optuna": "'asha-queue[optuna]'", "cmaes": "'asha-queue[optuna]'", "torch": "torch"}


class Optuna(Sampler):
    """One of Optuna's samplers."""

    learns: ClassVar[bool] = True
    name: ClassVar[str]
    #: Modules that it imports beside those that are always there.
    needs: ClassVar[tuple[str, ...]] = ("optuna",)

    @classmethod
    def missing(cls) -> str:
        lacking = [module for module in cls.needs if not _installed(module)]
        if not lacking:
            return ""
        packages = dict.fromkeys(_PACKAGES[module] for module in lacking)
        return (
            f"sampler={cls.name!r}: needs {' and '.join(lacking)}, not installed here; "
            f"pip install {' '.join(packages)}, or use sampler='random'"
        )

    @classmethod
    def load(cls) -> None:
        for module in cls.needs:
            importlib.import_module(module)
        _models()

    def __init__(self, specification: Specification) -> None:
        super().__init__(specification)
        self._model: Any = None

    def suggest(self, history: History, first: int, n: int) -> list[dict[str, Any]]:
        if self._model is None:
            if missing := self.missing():
                raise SpecificationError(missing)
            self._model = _models().MODELS[self.name](self._specification)
        configs: list[dict[str, Any]] = self._model.suggest(history, first, n)
        return configs


class Tpe(Optuna):
    name = "optuna-tpe"


class Gp(Optuna):
    name = "optuna-gp"
    needs = ("optuna", "torch")


class CmaEs(Optuna):
    name = "optuna-cmaes"
    needs = ("optuna", "cmaes")


class NsgaII(Optuna):
    name = "optuna-nsgaii"


#: By the names that specifications give them.
OPTUNA: dict[str, type[Sampler]] = {kind.name: kind for kind in (Tpe, Gp, CmaEs, NsgaII)}


def _models() -> Any:
    return importlib.import_module("asha_queue.samplers.optuna.models")


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
