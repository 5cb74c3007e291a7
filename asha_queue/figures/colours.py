"""The colours of rungs: the same in all figures, tables and pages.

They go from blue over magenta to amber. Each has a contrast of 3 : 1 or more against white and
against a dark page, and neighbours differ for people who see no red or no green too: the steps
between the stops are equal to the eye that sees least.
"""

#: From the lowest rung to the top.
STOPS = ("#2f66d8", "#ba5fc2", "#ce5a96", "#d75e6e", "#df6445", "#c58700")
#: What belongs to no rung, because it has no result yet.
NEUTRAL = "#7d8778"


def rung_colour(rung: int, rungs: int) -> str:
    """The colour `#rrggbb` of rung number `rung` (from 0) of so many."""
    place = 0.0 if rungs < 2 else min(max(rung / (rungs - 1), 0.0), 1.0) * (len(STOPS) - 1)
    low = min(int(place), len(STOPS) - 2)
    parts = zip(_channels(STOPS[low]), _channels(STOPS[low + 1]), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * (place - low)):02x}" for a, b in parts)


def _channels(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
