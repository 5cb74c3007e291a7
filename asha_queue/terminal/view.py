"""How a run shows itself: a live view on a terminal, plain lines anywhere else."""

import sys
import time
from typing import Any, Protocol, TextIO

from rich.console import Console, RenderableType
from rich.live import Live

from asha_queue.search.asha import ALL_ENDED
from asha_queue.terminal.picture import Picture, value_of
from asha_queue.troubles import Trouble
from asha_queue.views import duration

#: Seconds between two plain progress lines.
LINE_EVERY = 5.0


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
            self.say_once(f"{trouble['kind']} {trouble['reason']}", str(Trouble(**trouble)))
        for note in overview["notes"]:
            self.say_once(note, f"note: {note}")
        line = summary(overview)
        ended = overview["state"] != "running"
        if line != self._shown and (ended or time.monotonic() >= self._next):
            self._next = time.monotonic() + LINE_EVERY
            self._shown = line
            self.say(line)

    def say_once(self, what: str, line: str) -> None:
        """Says a line, unless `what` it is about was said."""
        if what not in self._said:
            self._said.add(what)
            self.say(line)

    def say(self, line: str) -> None:
        print(line, file=self._out, flush=True)

    def close(self) -> None:
        pass


class Screen:
    """A live picture: rungs, running segments, best so far, workers, what is spent and left. It is
    gone when it is closed, unless it is to `stay`."""

    def __init__(self, console: Console, stay: bool = False) -> None:
        self._live = Live(console=console, refresh_per_second=4, transient=not stay)
        self._live.start()

    def show(self, overview: dict[str, Any]) -> None:
        self.draw(Picture(overview, fit=True))

    def draw(self, picture: RenderableType) -> None:
        """Shows any picture in the place of the one before."""
        self._live.update(picture)

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
    parts += [budget["text"] for budget in overview["budgets"]]
    if overview["reason"] not in ("", ALL_ENDED):
        parts.append(overview["reason"])
    if overview["seconds_left"]:
        parts.append(f"{duration(overview['seconds_left'])} left")
    return " | ".join(parts)
