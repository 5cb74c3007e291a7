"""The picture of one experiment."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.text import Text

from asha_queue.search.asha import ALL_ENDED
from asha_queue.search.configuration import flatten, short
from asha_queue.terminal.layout import HEAD, Column, Flow, Rows, cut, height
from asha_queue.troubles import Trouble
from asha_queue.views import duration, number
from asha_queue.views.classes import unserved

#: Rows of running segments shown at most.
RUNNING_ROWS = 12
#: Reasons of failures and losses shown at most, and where there is little room.
TROUBLE_ROWS = 8
FEW_TROUBLES = 2
#: Trials of a Pareto front that are shown at most.
FRONT_ROWS = 20
#: Rungs that are shown in any case where there is little room: those above are, once reached.
FEW_RUNGS = 5


class Picture:
    """Headline, best, rungs, what went wrong and what runs; with `fit` no higher than the terminal,
    for which reasons are cut to a line, and fewer of them, of the rungs and of what runs shown."""

    def __init__(self, overview: dict[str, Any], fit: bool = False) -> None:
        self._overview = overview
        self._fit = fit

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        overview = self._overview
        parts = [
            *_headline(overview),
            _best(overview),
            rung_table(overview, self._fit),
            *class_lines(overview),
            *front_table(overview, FEW_RUNGS if self._fit else FRONT_ROWS),
            *trouble_lines(overview, self._fit),
        ]
        yield from parts
        rows = RUNNING_ROWS
        if self._fit:  # a line for the head of the table, and one for how many more there are
            left = console.height - height(parts, console, options) - 2
            rows = max(1, min(rows, left))
        if overview["running"]:
            yield _running_table(overview, rows)


def _headline(overview: dict[str, Any]) -> Iterator[RenderableType]:
    trials, workers, resource = overview["trials"], overview["workers"], overview["resource"]
    left = overview["seconds_left"]
    yield Flow(
        Text(overview["name"], "bold"),
        overview["state"],
        f"trials {trials['started']}/{trials['total']}",
        f"workers {workers['busy']}/{workers['alive']} busy",
        duration(overview["seconds"]),
        f"about {duration(left)} left" if left else "",
    )
    yield Flow(
        bar(resource["spent"], resource["expected"], 28),
        f"{resource['spent']:,} steps",
        f"(all trials in full: {resource['full']:,})",
    )
    yield from budget_lines(overview)


def budget_lines(overview: dict[str, Any]) -> Iterator[RenderableType]:
    """What is used of its budgets, and what has ended it if something did before its trials."""
    for budget in overview["budgets"]:
        metered = budget["name"] != "stop_at"
        yield Flow(bar(budget["used"], budget["limit"], 28) if metered else "", budget["text"])
    if overview["reason"] not in ("", ALL_ENDED):
        yield Text(f"{overview['state']}: {overview['reason']}")


def rung_table(overview: dict[str, Any], fit: bool = False) -> Rows:
    """Rungs from the top down: results, promoted, best; with `fit` up to the one to reach next."""
    rungs = overview["rungs"]
    if fit:
        reached = sum(rung["results"] > 0 for rung in rungs)
        rungs = rungs[: max(FEW_RUNGS, reached + 1)]
    widest = max([r["results"] for r in overview["rungs"]] + [1])
    top = len(overview["rungs"]) - 1
    return Rows(
        [
            Column("rung", right=True),
            Column("level", right=True),
            Column("results", right=True),
            Column("promoted", right=True),
            Column(f"best {cut(overview['metric'], HEAD)}", right=True),
            Column(""),
        ],
        (
            [
                str(rung["rung"]),
                str(rung["level"]),
                str(rung["results"]),
                "" if rung["rung"] == top else str(rung["promoted"]),
                number(rung["best"]),
                bar(rung["results"], widest, 20),
            ]
            for rung in reversed(rungs)
        ),
    )


def class_lines(overview: dict[str, Any]) -> Iterator[RenderableType]:
    """What waits and trains on each queue, where there are several; and which nobody serves."""
    if len(overview["classes"]) > 1:
        yield Flow(
            *(
                f"{one['queue']} from {one['level']}: {one['queued']} queued, {one['running']} in "
                f"training, {one['workers']} worker{'' if one['workers'] == 1 else 's'}"
                for one in overview["classes"]
            )
        )
    if overview["state"] == "running":
        yield from (Text(said, style="yellow") for said in unserved(overview))


def front_table(overview: dict[str, Any], rows: int) -> list[RenderableType]:
    """The Pareto front, at most so many `rows` of it; nothing with one metric."""
    front, metrics = overview["front"], [one["metric"] for one in overview["metrics"]]
    if not front:
        return []
    made = Rows(
        [
            Column("front", right=True),
            *(Column(cut(metric, HEAD), right=True) for metric in metrics),
            Column("steps", right=True),
            Column("configuration", least=24),
        ],
        (
            [
                str(one["trial"]),
                *(number(one["metrics"].get(metric)) for metric in metrics),
                str(one["resource"]),
                short(one["config"]),
            ]
            for one in front[:rows]
        ),
    )
    more = len(front) - rows
    return [made, Text(f"… and {more} more on the front")] if more > 0 else [made]


def _running_table(overview: dict[str, Any], rows: int) -> RenderableType:
    running = overview["running"]
    made = Rows(
        [
            Column("trial", right=True),
            Column("rung", right=True),
            Column("steps", right=True),
            Column(""),
            Column(cut(overview["metric"], HEAD), right=True),
            Column("worker", least=12),
            Column("configuration", least=24),
        ],
        (
            [
                str(segment["trial"]),
                str(segment["rung"]),
                f"{segment['step']}/{segment['target']}",
                bar(segment["step"] - segment["start"], segment["target"] - segment["start"], 6),
                number(segment["value"]),
                segment["worker"] or "",
                short(segment["config"]),
            ]
            for segment in running[:rows]
        ),
    )
    if len(running) > rows:
        return Group(made, f"… and {len(running) - rows} more")
    return made


def trouble_lines(overview: dict[str, Any], fit: bool = False) -> list[RenderableType]:
    """What went wrong, by its reasons, and what might be changed; with `fit` a line for each."""
    troubles = overview["troubles"]
    most = FEW_TROUBLES if fit else TROUBLE_ROWS
    lines = [Text(str(Trouble(**trouble)), style="red") for trouble in troubles[:most]]
    if len(troubles) > most:
        lines.append(Text(f"… and {len(troubles) - most} more reasons", style="red"))
    lines += [Text(f"note: {note}", style="yellow") for note in overview["notes"]]
    for line in lines if fit else ():
        line.no_wrap, line.overflow = True, "ellipsis"
    return [*lines]


def _best(overview: dict[str, Any]) -> RenderableType:
    best = overview["best"]
    if not best:
        return Text("no result yet", style="dim")
    value = f"{values_of(overview, best)} at {best['resource']}"
    return Flow(
        Text.assemble(("best ", "bold"), value),
        f"trial {best['trial']}",
        *configuration(best["config"]),
    )


def configuration(config: dict[str, Any]) -> list[str]:
    """A configuration as pieces: `lr=0.0131`, `net.hidden=64`."""
    return [short({name: value}) for name, value in flatten(config).items()]


def values_of(overview: dict[str, Any], best: dict[str, Any]) -> str:
    """The values that trials are ranked by: `accuracy=0.9 latency=12`."""
    names = [one["metric"] for one in overview["metrics"]]
    return " ".join(f"{name}={number(best['metrics'].get(name))}" for name in names)


def value_of(overview: dict[str, Any], best: dict[str, Any]) -> str:
    """The value that a best is best by."""
    return number(best["metrics"].get(overview["metric"]))


def bar(part: int, whole: int, width: int) -> Text:
    """A bar that reads without colours too: `part` of `whole` filled, the rest dotted."""
    filled = round(width * min(1.0, part / whole)) if whole else 0
    return Text("━" * filled + "·" * (width - filled))
