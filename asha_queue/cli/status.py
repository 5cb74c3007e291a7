"""`asha-queue status`."""

from pathlib import Path
from textwrap import indent, wrap
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from asha_queue import where
from asha_queue.cli.common import broker_option, json_option, opened_store, print_json
from asha_queue.coordinator.fold import FullFold
from asha_queue.coordinator.loss import remedy, unknown_journals
from asha_queue.errors import UnknownExperiment
from asha_queue.handle import uid_of
from asha_queue.search.configuration import short
from asha_queue.store.contract import Store
from asha_queue.terminal import picture, value_of
from asha_queue.views import (
    LivePoints,
    duration,
    fleet,
    number,
    overview,
    trial_view,
    verdict,
)

#: Columns of a terminal.
WIDTH = 80


@click.command()
@click.argument("name", required=False)
@click.argument("trial", type=int, required=False)
@broker_option
@json_option
def status(name: str | None, trial: int | None, broker: str | None, as_json: bool) -> None:
    """Show all experiments and workers; or the experiment called NAME; or its trial number TRIAL,
    why it was promoted or not, and how each attempt at it ended."""
    with opened_store(broker) as store:
        if name is None:
            _experiments(store, as_json)
        elif trial is None:
            _experiment(store, uid_of(store, name), as_json)
        else:
            _trial(store, uid_of(store, name), trial, as_json)


def _folded(store: Store, uid: str) -> FullFold:
    fold = FullFold(store, uid)
    fold.catch_up()
    return fold


def _overview(store: Store, uid: str) -> dict[str, Any]:
    return overview(_folded(store, uid).result, store.workers(), LivePoints(store, uid).refresh())


def _experiments(store: Store, as_json: bool) -> None:
    views = [_overview(store, uid) for _, uid in sorted(store.names().items())]
    workers = fleet(store.workers(), store.drained(), views)
    coordinators = [attendant.who for attendant in store.attendants()]
    if as_json:
        print_json({"experiments": views, "workers": workers, "coordinators": coordinators})
        return
    if views:
        Console().print(_experiment_table(views))
    else:
        click.echo("no experiments; start one with: asha-queue run FILE")
        for name, path in unknown_journals(store, Path(where.storage().url)):
            click.echo(f"{name}: unknown to this server. {remedy(path)}")
    if workers:
        click.echo()
        Console().print(_worker_table(workers))
    if coordinators:
        click.echo(f"\ncoordinators  {', '.join(coordinators)}")


def _worker_table(workers: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("worker", "device", "queues", "trains"):
        table.add_column(column)
    for worker in workers:
        trains = worker["trains"]
        segment = (
            f"{trains['experiment']} trial {trains['trial']}, step {trains['step']} of "
            f"{trains['target']}"
            if trains
            else "–"
        )
        table.add_row(
            worker["worker"],
            worker["device"],
            ",".join(worker["queues"]),
            segment + (" (draining)" if worker["draining"] else ""),
        )
        if worker["aside"]:
            table.add_row("", "", "", f"set aside: {worker['aside']}")
    return table


def _experiment_table(views: list[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("experiment", "state", "trials", "steps", "best", "workers", "age"):
        table.add_column(column)
    for view in views:
        best = view["best"]
        table.add_row(
            view["name"],
            view["state"],
            f"{view['trials']['started']}/{view['trials']['total']}",
            f"{view['resource']['spent']:,}",
            f"{view['metric']}={value_of(view, best)}" if best else "–",
            f"{view['workers']['busy']}/{view['workers']['alive']}",
            duration(view["seconds"]),
        )
    return table


def _experiment(store: Store, uid: str, as_json: bool) -> None:
    view = _overview(store, uid)
    if as_json:
        print_json(view)
    else:
        Console().print(picture(view))


def _trial(store: Store, uid: str, trial: int, as_json: bool) -> None:
    fold = _folded(store, uid)
    trials = fold.result.trials
    if not 0 <= trial < len(trials):
        raise UnknownExperiment(
            f"experiment {fold.specification.name} has no trial {trial}; "
            f"{len(trials)} were started, numbered from 0"
        )
    view = trial_view(trials[trial], fold.search)
    if as_json:
        print_json(view)
        return
    click.echo(f"trial {trial}  {view['state']}  {short(view['config'])}")
    metric = fold.specification.metric
    for rung in view["rungs"]:
        why = verdict(rung, fold.specification.reduction_factor)
        click.echo(f"  rung {rung['rung']}  {metric}={number(rung['value'])}  {why}")
    click.echo("attempts")
    for attempt in trials[trial].history.all:
        click.echo(f"  {attempt.place}")
        for line in wrap(attempt.reason, WIDTH - 6):
            click.echo(f"      {line}")
    if view["error"]:
        click.echo(f"the last error\n{indent(view['error'], '  ')}")
