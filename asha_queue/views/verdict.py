"""Why a trial went on out of a rung, or did not, as a sentence."""

import math
from collections.abc import Mapping
from typing import Any


def verdict(rung: Mapping[str, Any], eta: int) -> str:
    """The sentence that explains one row of `trial_view`'s rungs."""
    bracket = f" in bracket {rung['bracket']}" if rung["bracket"] else ""
    rank = f"rank {rung['rank']} of {rung['results']}{bracket} at {rung['level']}{_place(rung)}"
    if rung["top"]:
        return f"{rank}, the top"
    if rung["open"]:
        kept = f"{rung['share']:.0%} of the pairs keep their order"
        said = f"{rank}; ranks say too little of the next level ({kept}), so all go on"
        return f"{said}: promoted" if rung["promoted"] else f"{said} that have a value"
    if tests := rung["results"] - rung["counted"]:
        rank = f"{rank}, {tests} of which came as tests and do not count"
    cut = f"the best ⌊{rung['counted']}/{eta}⌋ = {rung['cut']} go on"
    if rung["variant"] == "stopping":
        return f"{rank} when it came; {_fate(rung, eta, cut)}"
    if rung["probe"]:
        return f"{rank}; {cut}: promoted none the less, to test what ranks say of the next level"
    if rung["promoted"]:
        return f"{rank}; {cut}: promoted"
    if rung["rank"] <= rung["cut"]:
        return f"{rank}; {cut}: one of them, not promoted yet"
    if rung["threshold"] is None:
        return f"{rank}; {cut}"
    return f"{rank}; {cut}: not promoted, it would have had to beat {rung['threshold']:.6g}"


def _fate(rung: Mapping[str, Any], eta: int, cut: str) -> str:
    """The verdict of the stopping variant."""
    if rung["promoted"]:
        return f"{cut}: went on" if rung["rank"] <= rung["cut"] else f"fewer than {eta}: went on"
    if rung["threshold"] is None:
        return f"{cut}: stopped"
    return f"{cut}: stopped, it would have had to beat {rung['threshold']:.6g}"


def _place(rung: Mapping[str, Any]) -> str:
    """Why a result has its rank, where that is not its value alone."""
    if rung["violation"]:
        if rung["violation"] == math.inf:
            return " (without a value that is constrained)"
        return f" (violates the constraints by {rung['violation']:.4g})"
    if rung["front"] is None:
        return ""
    if rung["crowding"] == math.inf:
        return f" (front {rung['front']}, at an end of it)"
    return f" (front {rung['front']}, crowding {rung['crowding']:.4g})"
