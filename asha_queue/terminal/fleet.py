"""The picture of everything on a server: experiments, workers, coordinators."""

from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from asha_queue.terminal.layout import Column, Rows, height
from asha_queue.terminal.picture import value_of
from asha_queue.views import duration

#: States of experiments that come first where there is no room for all.
OPEN = ("running", "paused")


class FleetPicture:
    """What `asha-queue status` shows of `facts`; `notes` are told where there is no experiment.

    With `fit` it is no higher than the terminal: open experiments and busy workers come first.
    """

    def __init__(self, facts: dict[str, Any], notes: Sequence[str], fit: bool = False) -> None:
        self._facts = facts
        self._notes = notes
        self._fit = fit

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType]:
        experiments, workers = self._facts["experiments"], self._facts["workers"]
        said: list[RenderableType] = []
        said += [Text(f"{one['name']}: {one['error']}") for one in experiments if "error" in one]
        said += [
            Text(f"{one['worker']} is set aside for a while: {one['aside']}")
            for one in workers
            if one["aside"]
        ]
        said += [Text(warning) for warning in self._facts["warnings"]]
        if versions := self._facts["versions"]:
            said.append(Text(f"asha-queue    {', '.join(versions)}"))
        slots = self._facts["slots"]
        said += [Text(queue["says"]) for queue in slots]
        shares = _slot_rows(slots)
        if coordinators := self._facts["coordinators"]:
            said.append(Text(f"coordinators  {', '.join(coordinators)}"))
        if not experiments:
            said = [Text(note) for note in self._notes] + said
        shown = [one for one in experiments if "error" not in one]
        first, second, third = len(shown), len(workers), len(shares)
        if self._fit:  # for each table its head, a line for how many more there are, an empty one
            left = console.height - height(said, console, options) - (9 if shares else 6)
            first = min(first, max(1, left // (3 if shares else 2), left - second - third))
            third = min(third, max(1, left // 3, left - first - second)) if shares else 0
            second = min(second, max(1, left - first - third))
            shown.sort(key=lambda view: view["state"] not in OPEN)
            workers = sorted(workers, key=lambda worker: worker["trains"] is None)
        if shown:
            yield _experiment_table(shown[:first])
            yield from _more(len(shown) - first)
            yield Text("")
        if shares:
            yield _slot_table(shares[:third])
            yield from _more(len(shares) - third)
            yield Text("")
        if workers:
            yield _worker_table(workers[:second])
            yield from _more(len(workers) - second)
            yield Text("")
        yield from said


def _more(count: int) -> Iterator[RenderableType]:
    if count > 0:
        yield Text(f"… and {count} more")


def _experiment_table(views: Sequence[dict[str, Any]]) -> Rows:
    return Rows(
        [
            Column("experiment", least=12),
            Column("state"),
            Column("trials", right=True),
            Column("steps", right=True),
            Column("workers", right=True),
            Column("age", right=True),
            Column("best", least=10),
        ],
        (
            [
                view["name"],
                view["state"],
                f"{view['trials']['started']}/{view['trials']['total']}",
                f"{view['resource']['spent']:,}",
                f"{view['workers']['busy']}/{view['workers']['alive']}",
                duration(view["age"]),
                f"{value_of(view, view['best'])} {view['metric']}" if view["best"] else "–",
            ]
            for view in views
        ),
    )


def _slot_rows(queues: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A row for each experiment on each queue that several experiments claim."""
    return [
        [
            queue["queue"],
            row["name"],
            f"{row['weight']:g}",
            f"{row['share']:.4g}",
            str(row["slots"]),
            str(row["holds"]),
            str(row["queued"]),
            str(row["wants"]),
            f"{row['lent']} lent" if row["lent"] else f"{row['due']} due" if row["due"] else "",
        ]
        for queue in queues
        if len(queue["experiments"]) > 1
        for row in queue["experiments"]
    ]


def _slot_table(rows: Sequence[Sequence[str]]) -> Rows:
    return Rows(
        [
            Column("queue", least=8),
            Column("experiment", least=12),
            Column("weight", right=True),
            Column("share", right=True),
            Column("slots", right=True),
            Column("holds", right=True),
            Column("queued", right=True),
            Column("wants", right=True),
            Column(""),
        ],
        rows,
    )


def _worker_table(workers: Sequence[dict[str, Any]]) -> Rows:
    return Rows(
        [
            Column("worker", least=12),
            Column("device", least=8),
            Column("queues", least=8),
            Column("state"),
            Column("trial", right=True),
            Column("steps", right=True),
            Column("experiment", least=12),
        ],
        (
            [
                worker["worker"],
                str(worker["device"] or ""),
                ",".join(worker["queues"]),
                state(worker),
                *_trains(worker["trains"]),
            ]
            for worker in workers
        ),
    )


def _trains(segment: dict[str, Any] | None) -> list[str]:
    if segment is None:
        return ["", "", ""]
    steps = f"{segment['step']}/{segment['target']}"
    return [str(segment["trial"]), steps, segment["experiment"]]


def state(worker: dict[str, Any]) -> str:
    """What a worker does."""
    if worker["draining"]:
        return "draining"
    if worker["aside"]:
        return "aside"
    return "busy" if worker["trains"] else "idle"
