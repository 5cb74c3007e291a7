"""A plan as one HTML file that needs nothing else, in the look of reports (`pages.py`)."""

from asha_queue.figures import busy_shares, lengths, planned_rungs, rung_colour
from asha_queue.planning import Forecast
from asha_queue.report.pages import page, written
from asha_queue.specification import Specification
from asha_queue.views import aim
from asha_queue.views.plans import counted, fleet_table, headline, measures


def plan(specification: Specification, forecast: Forecast, made: float) -> str:
    """The page; `made` is the time at which it is made, in seconds. The forecast has its curve."""
    timed = forecast.seconds_per_unit is not None
    figures = [
        planned_rungs(forecast.by_level()),
        lengths(forecast.curve, timed),
        busy_shares(forecast.curve),
    ]
    heads, fleets = fleet_table(forecast)
    return page(
        "plan.html",
        made,
        aim=aim(specification),
        colour=rung_colour,
        counted=counted,
        figures=[{**one["layout"]["meta"], "json": written(one)} for one in figures],
        fleets=fleets,
        heads=heads,
        measures=list(measures(forecast.measured)) if forecast.measured else [],
        plan=forecast,
        several=specification.brackets > 1,
        specification=specification,
        totals=list(headline(forecast)),
    )
