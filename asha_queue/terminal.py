"""How a run shows itself: a live view on a terminal, plain lines anywhere else."""

import sys
import time
from typing import Any, Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from asha_queue.search.configuration import short
from asha_queue.troubles import Trouble
from asha_queue.views import duration, number

#: Seconds between two plain progress lines.
LINE_EVERY = 5.0
#: Rows of running segments shown at most.
RUNNING_ROWS = 12
#: Reasons of failures and losses shown at most.
TROUBLE_ROWS = 8


class View(Protocol):
    """What a run tells the person who watches it."""

    def show(self, overview: dict[str, Any]) -> None:
        """Shows the present state; called a few times a second."""

    def say(self, line: str) -> None:
        """Says one thing that happened."""

    def close(self) -> None:
        """Leaves the terminal as it was."""


class Silent:
    """Shows nothing."""

    def show(self, overview: dict[str, Any]) -> None:
        pass

    def say(self, line: str) -> None:
        pass

    def close(self) -> None:
        pass


class Lines:
    """One line when something changed, at most every few seconds, and one for each new reason of a
    failure or loss: for pipes and log files."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._next = 0.0
        self._shown = ""
        #: Reasons and notes that were said: each is said once.
        self._said: set[str] = set()

    def show(self, overview: dict[str, Any]) -> None:
        for trouble in overview["troubles"]:
            self._say_once(f"{trouble['kind']} {trouble['reason']}", str(Trouble(**trouble)))
        for note in overview["notes"]:
            self._say_once(note, f"note: {note}")
        line = summary(overview)
        ended = overview["state"] != "running"
        if line != self._shown and (ended or time.monotonic() >= self._next):
            self._next = time.monotonic() + LINE_EVERY
            self._shown = line
            self.say(line)

    def _say_once(self, what: str, line: str) -> None:
        if what not in self._said:
            self._said.add(what)
            self.say(line)

    def say(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def close(self) -> None:
        pass


class Screen:
    """A live picture: rungs, running segments, best so far, workers, what is spent and left."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._live.start()

    def show(self, overview: dict[str, Any]) -> None:
        self._live.update(picture(overview))

    def say(self, line: str) -> None:
        self._live.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        self._live.stop()


def view(out: TextIO | None = None) -> View:
    """The live picture if `out` (default: standard output) is a terminal, else plain lines."""
    out = out or sys.stdout
    return Screen(Console(file=out)) if out.isatty() else Lines(out)


def summary(overview: dict[str, Any]) -> str:
    """The state of an experiment in one line."""
    trials, best = overview["trials"], overview["best"]
    rungs = "  ".join(f"{r['level']}:{r['results']}→{r['promoted']}" for r in overview["rungs"])
    resource = overview["resource"]
    parts = [
        f"{overview['name']} {overview['state']}",
        f"trials {trials['started']}/{trials['total']}",
        f"rungs {rungs}",
        f"best {value_of(overview, best)} (trial {best['trial']})" if best else "best –",
        f"workers {overview['workers']['busy']}/{overview['workers']['alive']}",
        f"steps {resource['spent']:,} of {resource['full']:,}",
    ]
    if overview["seconds_left"]:
        parts.append(f"{duration(overview['seconds_left'])} left")
    return " | ".join(parts)


def picture(overview: dict[str, Any]) -> RenderableType:
    """The live picture of an experiment, at most 80 columns wide where the terminal is."""
    return Group(
        _headline(overview),
        rung_table(overview),
        _running_table(overview),
        *trouble_lines(overview),
        _best(overview),
    )


def _headline(overview: dict[str, Any]) -> RenderableType:
    trials, workers, resource = overview["trials"], overview["workers"], overview["resource"]
    left = overview["seconds_left"]
    text = Text.assemble(
        (overview["name"], "bold"),
        f"  {overview['state']}  trials {trials['started']}/{trials['total']}"
        f"  workers {workers['busy']}/{workers['alive']} busy"
        f"  {duration(overview['seconds'])}",
        f"  about {duration(left)} left" if left else "",
    )
    spent = Table.grid(padding=(0, 1))
    spent.add_row(
        bar(resource["spent"], resource["expected"], 30),
        f"{resource['spent']:,} steps (all trials in full: {resource['full']:,})",
    )
    return Group(text, spent)


def rung_table(overview: dict[str, Any]) -> Table:
    """Rungs from the top down: results, promoted, best."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("rung", justify="right")
    table.add_column("level", justify="right")
    table.add_column("results", justify="right")
    table.add_column("promoted", justify="right")
    table.add_column(f"best {overview['metric']}", justify="right")
    table.add_column("")
    widest = max([r["results"] for r in overview["rungs"]] + [1])
    top = len(overview["rungs"]) - 1
    for rung in reversed(overview["rungs"]):
        table.add_row(
            str(rung["rung"]),
            str(rung["level"]),
            str(rung["results"]),
            "" if rung["rung"] == top else str(rung["promoted"]),
            number(rung["best"]),
            bar(rung["results"], widest, 24),
        )
    return table


def _running_table(overview: dict[str, Any]) -> RenderableType:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("trial", "rung", "steps", "", overview["metric"], "worker"):
        table.add_column(name, justify="left" if name in ("", "worker") else "right")
    table.add_column("configuration", no_wrap=True, overflow="ellipsis")
    running = overview["running"]
    for segment in running[:RUNNING_ROWS]:
        table.add_row(
            str(segment["trial"]),
            str(segment["rung"]),
            f"{segment['step']}/{segment['target']}",
            bar(segment["step"] - segment["start"], segment["target"] - segment["start"], 10),
            number(segment["value"]),
            segment["worker"],
            short(segment["config"]),
        )
    if len(running) > RUNNING_ROWS:
        return Group(table, f"… and {len(running) - RUNNING_ROWS} more")
    return table


def trouble_lines(overview: dict[str, Any]) -> list[RenderableType]:
    """What went wrong, a line for each reason, and what might be changed."""
    troubles = overview["troubles"]
    lines = [Text(str(Trouble(**trouble)), style="red") for trouble in troubles[:TROUBLE_ROWS]]
    if len(troubles) > TROUBLE_ROWS:
        lines.append(Text(f"… and {len(troubles) - TROUBLE_ROWS} more reasons", style="red"))
    return [*lines, *(Text(f"note: {note}", style="yellow") for note in overview["notes"])]


def _best(overview: dict[str, Any]) -> RenderableType:
    best = overview["best"]
    if not best:
        return Text("no result yet", style="dim")
    return Text.assemble(
        ("best ", "bold"),
        f"{overview['metric']}={value_of(overview, best)} at {best['resource']}: "
        f"trial {best['trial']}, {short(best['config'])}",
    )


def value_of(overview: dict[str, Any], best: dict[str, Any]) -> str:
    """The value that a best is best by."""
    return number(best["metrics"].get(overview["metric"]))


def bar(part: int, whole: int, width: int) -> Text:
    """A bar that reads without colours too: `part` of `whole` filled, the rest dotted."""
    filled = round(width * min(1.0, part / whole)) if whole else 0
    return Text("━" * filled + "·" * (width - filled))
