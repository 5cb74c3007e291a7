"""What a history says about trials, in the terms of models.

A result that is no number, of a failure for one, ranks last: it counts as the worst number there.
"""

import math
from collections.abc import Iterable, Sequence

from asha_queue.samplers.history import Observation
from asha_queue.search.rung import Standing


def by_resource(results: Iterable[Observation]) -> dict[int, list[Observation]]:
    """The results at each resource in the order in which they came."""
    found: dict[int, list[Observation]] = {}
    for result in results:
        found.setdefault(result.resource, []).append(result)
    return found


def level(found: dict[int, list[Observation]], enough: int) -> list[Observation]:
    """The results at the highest resource that has enough of them, else at that with most."""
    with_enough = [resource for resource, results in found.items() if len(results) >= enough]
    if with_enough:
        return found[max(with_enough)]
    return max(found.values(), key=len, default=[])


def standings(results: Iterable[Observation], enough: int) -> dict[int, Standing]:
    """Those of the trials at that level, where only results that can be ranked count."""
    ranked = [
        result
        for result in results
        if result.standing is not None
        and all(map(math.isfinite, [result.standing.violation, *result.standing.values]))
    ]
    return {
        one.trial: one.standing
        for one in level(by_resource(ranked), enough)
        if one.standing is not None
    }


def numbers(results: Sequence[Observation], sign: float) -> list[float]:
    """Losses, all finite: of a result that has none, the worst of the others."""
    losses = [sign * result.value for result in results]
    finite = [loss for loss in losses if math.isfinite(loss)] or [0.0]
    worst, best = max(finite), min(finite)
    return [worst if math.isnan(loss) else min(max(loss, best), worst) for loss in losses]


def latest(results: Iterable[Observation]) -> dict[int, dict[int, float]]:
    """Of each trial that has results its values by resource; none if the last one is no number."""
    found: dict[int, dict[int, float]] = {}
    for result in results:
        values = found.setdefault(result.trial, {})
        if math.isfinite(result.value):
            values[result.resource] = result.value
        else:
            values.clear()
    return found
