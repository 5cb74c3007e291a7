"""The picture of a plan."""

from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from asha_queue.planning import Forecast
from asha_queue.terminal.layout import GAP, Column, Flow, Rows
from asha_queue.views.plans import counted, fleet_table, headline, measures

#: Columns to which these of the fleets may be cut.
_LEAST = {"range": 5, "ends": 8}


class ForecastPicture:
    """Rungs, totals, fleets, disk, what makes little sense, and what it rests on."""

    def __init__(self, plan: Forecast) -> None:
        self._plan = plan

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        plan = self._plan
        yield Flow(Text(plan.name, "bold"), f"{plan.num_trials:,} trials", "nothing is submitted")
        yield _rungs(plan)
        yield ""
        yield _lines([*headline(plan), *(measures(plan.measured) if plan.measured else ())])
        yield ""
        heads, rows = fleet_table(plan)
        # where there is no room, first the reasons give way, then the ranges
        columns = [Column(head, head != "ends", _LEAST.get(head)) for head in heads]
        yield Rows(columns, rows)
        yield ""
        for warning in plan.warnings:
            yield Text(f"warning: {warning}", "yellow")
        for note in plan.notes:
            yield Text(f"note: {note}", "dim")


def _lines(told: Iterable[tuple[str, str]]) -> Table:
    """Sentences, each behind a word of its own."""
    table = Table.grid(padding=(0, GAP, 0, 0))
    for head, line in told:
        table.add_row(head, Text(line))
    return table


def _rungs(plan: Forecast) -> Rows:
    several = len({rung.bracket for rung in plan.rungs}) > 1
    heads = [*(["bracket"] if several else []), "rung", "level", "segments", "steps", "share"]
    rows = []
    for rung in sorted(plan.rungs, key=lambda one: (one.bracket, -one.rung)):
        share = rung.resource.median / max(1.0, plan.resource.median)
        own = [f"{rung.rung}", f"{rung.level:,}", counted(rung.segments), counted(rung.resource)]
        rows.append([*([f"{rung.bracket}"] if several else []), *own, f"{share:.0%}"])
    return Rows([Column(head, True) for head in heads], rows)
