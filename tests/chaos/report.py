"""What a run has shown: one table for people, or JSON."""

import statistics
from collections.abc import Sequence
from typing import Any

from tests.chaos.driver import Outcome

#: Violations that are printed; the others are in the evidence folder.
SHOWN = 10


def facts(outcome: Outcome) -> dict[str, Any]:
    """The numbers of a run."""
    kinds: dict[str, list[float | None]] = {}
    for hit, recovery in zip(outcome.hits, outcome.recoveries, strict=True):
        kinds.setdefault(hit.kind, []).append(recovery)
    found = outcome.found
    return {
        "seconds": outcome.seconds,
        "faults": {
            kind: {"times": len(times), **_spread([time for time in times if time is not None])}
            for kind, times in sorted(kinds.items())
        },
        "segments": found.segments,
        "attempts": found.attempts,
        "lost": len(found.lost),
        "doubled": len(found.doubled),
        "broken": len(found.broken),
        "steps": found.steps,
        "repeated": found.repeated,
        "refused": found.refused,
        "stale": found.stale,
        "partials": found.partials,
        "idle": {
            "seconds": outcome.idle.seconds,
            "longest": outcome.idle.longest,
            "of": outcome.idle.of,
        },
        "violations": found.violations,
    }


def _spread(times: Sequence[float]) -> dict[str, Any]:
    if not times:
        return {"recovered": 0, "p50": None, "max": None}
    return {"recovered": len(times), "p50": statistics.median(times), "max": max(times)}


def table(numbers: dict[str, Any]) -> str:
    """The table: faults by kind and their recovery, then what was lost, doubled and repeated."""
    lines = [f"{'fault':<12} {'times':>6} {'recovered':>10} {'p50':>8} {'max':>8}"]
    for kind, row in numbers["faults"].items():
        lines.append(
            f"{kind:<12} {row['times']:>6} {row['recovered']:>10} "
            f"{_seconds(row['p50'])} {_seconds(row['max'])}"
        )
    idle = numbers["idle"]
    share = idle["seconds"] / idle["of"] if idle["of"] else 0.0
    lines += [
        "",
        f"segments completed  {numbers['segments']} in {numbers['attempts']} attempts, "
        f"{numbers['seconds']:.0f} s",
        f"lost                {numbers['lost']}",
        f"doubled             {numbers['doubled']}",
        f"other violations    {numbers['broken']}",
        f"steps repeated      {numbers['repeated']} of {numbers['steps']}",
        f"stale writes        {numbers['stale']} refused and counted, "
        f"{numbers['refused']} of them told so to a program",
        f"partial checkpoints {numbers['partials']} left by killed writers",
        f"idle                {share:.1%} of the workers' time while segments waited, "
        f"{idle['longest']:.1f} s in one piece",
    ]
    lines += [f"! {violation}" for violation in numbers["violations"][:SHOWN]]
    return "\n".join(lines)


def _seconds(value: float | None) -> str:
    return f"{value:>6.1f} s" if value is not None else f"{'–':>8}"
