"""The picture of a plan."""

from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from asha_queue.planning import Forecast
from asha_queue.terminal.layout import Column, Flow, Rows
from asha_queue.views.plans import counted, fleet_cells, fleet_heads, headline, measures

#: Columns of the words at the head of lines.
_HEAD = 13


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
        yield from _lines(headline(plan))
        if plan.measured:
            yield from _lines(measures(plan.measured))
        yield ""
        *numbers, ends = fleet_heads(plan)
        heads = [*(Column(head, True) for head in numbers), Column(ends, least=8)]
        yield Rows(heads, [fleet_cells(fleet) for fleet in plan.fleets])
        yield ""
        for warning in plan.warnings:
            yield Text(f"warning: {warning}", "yellow")
        for note in plan.notes:
            yield Text(f"note: {note}", "dim")


def _lines(told: Iterable[tuple[str, str]]) -> Iterator[Text]:
    for head, line in told:
        yield Text(f"{head:<{_HEAD}}{line}")


def _rungs(plan: Forecast) -> Rows:
    several = len({rung.bracket for rung in plan.rungs}) > 1
    heads = [*(["bracket"] if several else []), "rung", "level", "segments", "steps", "share"]
    rows = []
    for rung in sorted(plan.rungs, key=lambda one: (one.bracket, -one.rung)):
        share = rung.resource.median / max(1.0, plan.resource.median)
        own = [f"{rung.rung}", f"{rung.level:,}", counted(rung.segments), counted(rung.resource)]
        rows.append([*([f"{rung.bracket}"] if several else []), *own, f"{share:.0%}"])
    return Rows([Column(head, True) for head in heads], rows)
