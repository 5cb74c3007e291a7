"""The picture of one trial."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from asha_queue.result import Attempt
from asha_queue.terminal.layout import HEAD, Flow, cut, height
from asha_queue.terminal.picture import configuration
from asha_queue.views import number
from asha_queue.views.verdict import verdict

#: Columns by which reasons stand in from their attempts.
INDENT = 6
#: Columns of a worker's name that are shown in any case.
WORKER = 12


class TrialPicture:
    """A trial as `trial_view` has it: why it was promoted or not, and how each attempt ended.

    `running` is what it is training at present, as an overview has it. With `fit` it is no higher
    than the terminal: the last attempts only, a line for each reason, and no traceback.
    """

    def __init__(
        self,
        trial: dict[str, Any],
        metric: str,
        eta: int,
        running: dict[str, Any] | None,
        fit: bool = False,
    ) -> None:
        self._trial = trial
        self._metric = metric
        self._eta = eta
        self._running = running
        self._fit = fit

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        trial = self._trial
        parts: list[RenderableType] = [
            Flow(f"trial {trial['trial']}", trial["state"], *configuration(trial["config"]))
        ]
        if self._running:
            parts.append(self._now(self._running))
        parts += [self._rungs(), Text("attempts")]
        yield from parts
        attempts = [self._attempt(Attempt(**one), options.max_width) for one in trial["history"]]
        if not self._fit:
            yield from attempts
            if trial["error"]:
                yield Text("the last error")
                yield Padding(Text(trial["error"]), (0, 0, 0, 2), expand=False)
            return
        left = console.height - height(parts, console, options) - 2
        first = len(attempts)
        while first and (left := left - height(attempts[first - 1 : first], console, options)) >= 0:
            first -= 1
        if first:
            yield Text(f"  … {first} before")
        yield from attempts[first:]

    def _now(self, running: dict[str, Any]) -> RenderableType:
        value = running["value"]
        return Flow(
            f"rung {running['rung']}",
            f"step {running['step']} of {running['target']}",
            f"{self._metric}={number(value)}" if value is not None else "",
            f"in training on {running['worker']}",
            indent=2,
        )

    def _rungs(self) -> RenderableType:
        rows = Table.grid(padding=(0, 2, 0, 0))
        rows.add_column(no_wrap=True)
        rows.add_column(no_wrap=True)
        rows.add_column()
        for rung in self._trial["rungs"]:
            value = "\n".join(
                f"{cut(name, HEAD)}={number(value)}" for name, value in rung["values"].items()
            )
            why = verdict(rung, self._eta)
            rows.add_row(Text(f"  rung {rung['rung']}"), Text(value), Text(why))
        return rows

    def _attempt(self, attempt: Attempt, width: int) -> RenderableType:
        room = width - len(f"  {replace(attempt, worker='-').place}") + 1
        worker = attempt.worker and cut(attempt.worker, max(WORKER, room))
        place = Text(f"  {replace(attempt, worker=worker).place}", no_wrap=True)
        place.overflow = "ellipsis"
        said = [Text(one) for one in (attempt.reason, *attempt.notes) if one]
        if self._fit:
            for one in said:
                one.no_wrap, one.overflow = True, "ellipsis"
        if not said:
            return place
        return Group(place, *(Padding(one, (0, 0, 0, INDENT), expand=False) for one in said))
