"""What a new experiment knows from others: results of their trials that fit its space.

Rules

* They are looked up once, at submission, and are part of the `submitted` entry from then on: an
  experiment is repeatable, and those it learnt from may grow or be deleted.
* Of each of their trials the configuration and the result in the highest rung count, a number if
  there is one: a crash later on takes nothing back. A trial that lacks a hyperparameter of the new
  space, or has a value that would not be drawn from it, is left out, and how many were is said.
* Of more than MOST those in the highest rungs are kept, and the best of a rung: they have cost
  most, and say most about where to search.
* The metric must have the same name and mode. That it means the same is for the user to know.
* A study of Optuna is as good; what its results are says `study.py`.
"""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from asha_queue.errors import JournalError, NewerFormat, SpecificationError
from asha_queue.samplers.history import History, Observation
from asha_queue.search.rung import number, written
from asha_queue.settings import NAME
from asha_queue.specification import Specification
from asha_queue.specification.fields import STUDY
from asha_queue.store.contract import Json, Store
from asha_queue.store.journal import load_file
from asha_queue.study import Trained, results
from asha_queue.views import journal

#: Results that are taken, at most, of all experiments together.
MOST = 1000


def informed(store: Store, specification: Specification) -> tuple[Specification, str]:
    """The specification with what it knows from `warm_start`, and a sentence on it; as it is, and
    an empty one, without any, or if it was told before (it comes from a journal).

    Raises SpecificationError, naming the experiment or the path, for what cannot be learnt from.
    """
    if specification.prior:
        return specification, ""
    found: list[Json] = []
    left_out = 0
    for source in dict.fromkeys(specification.warm_start):
        taken, strange = _taken(source, _results(store, source, specification), specification)
        found += taken
        left_out += strange
    if not found:
        return specification, ""
    kept = _best_first(found, specification.leading.mode)[:MOST]
    sentence = f"warm start: knows {len(kept)} results of {', '.join(specification.warm_start)}"
    if len(kept) < len(found):
        sentence += f", the furthest trained and best of {len(found)}"
    if left_out:
        trials = "1 trial does" if left_out == 1 else f"{left_out} trials do"
        sentence += f"; {trials} not fit the space and count for nothing"
    return specification.model_copy(update={"prior": kept}), sentence


def _results(store: Store, source: str, specification: Specification) -> list[Trained]:
    if source.startswith(STUDY):
        return results(source, specification)
    history = _history(source, iter(_entries(store, source)), specification)
    last: dict[int, Observation] = {}
    for one in history.results:  # a later one of a trial is of a higher rung
        if one.trial not in last or not math.isnan(one.value):
            last[one.trial] = one
    return [
        Trained(history.configs[trial], one.resource, one.value)
        for trial, one in sorted(last.items())
    ]


def _entries(store: Store, source: str) -> Iterable[Json]:
    if not re.fullmatch(NAME, source):
        try:
            return load_file(source)[0]
        except (JournalError, NewerFormat) as error:
            raise SpecificationError(f"warm_start={source!r}: {error}") from None
    uid = store.uid(source)
    if uid is None:
        known = ", ".join(sorted(store.names())) or "none"
        raise SpecificationError(
            f"warm_start={source!r}: no experiment in this store has that name; there are: "
            f"{known}. Or give the path of its journal.jsonl"
        )
    store.describe(uid)  # refuses what a newer version wrote
    return journal(store, uid)


def _taken(
    source: str, trained: Sequence[Trained], specification: Specification
) -> tuple[list[Json], int]:
    """The results that fit, and the number of those that do not."""
    if not trained:
        raise SpecificationError(f"warm_start={source!r}: it has no result to learn from yet")
    found = []
    why = ""
    for one in trained:
        try:
            config = specification.parameters.whole(one.config, "config")
        except SpecificationError as error:
            why = why or str(error)
            continue
        value = written(one.value)
        found.append({"config": config, "resource": one.resource, "value": value})
    if not found:
        raise SpecificationError(
            f"warm_start={source!r}: none of its {len(trained)} trials with a result fits the "
            f"space, the first because of {why}"
        )
    return found, len(trained) - len(found)


def _history(source: str, entries: Iterator[Json], specification: Specification) -> History:
    try:
        first = next(entries, None)
        if first is None or first["type"] != "submitted":
            raise SpecificationError(
                f"warm_start={source!r}: its journal does not begin with `submitted`: its start is "
                f"missing"
            )
        for field in ("metric", "mode"):
            theirs, mine = first["experiment"][field], getattr(specification, field)
            if theirs != mine:
                raise SpecificationError(
                    f"warm_start={source!r}: its {field} is {theirs!r} and that of "
                    f"{specification.name!r} is {mine!r}: results can be learnt from only if both "
                    f"are the same"
                )
        history = History(specification.leading)
        for entry in entries:
            history.apply(entry)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise SpecificationError(
            f"warm_start={source!r}: its journal is malformed: {error!r}"
        ) from None
    return history


def _best_first(results: Sequence[Json], mode: str) -> list[Json]:
    """By resource, the highest first, then by value; what is no number comes last."""
    sign = 1 if mode == "min" else -1

    def place(result: dict[str, Any]) -> tuple[float, bool, float]:
        loss = sign * number(result["value"])
        return -result["resource"], math.isnan(loss), loss

    return sorted(results, key=place)
