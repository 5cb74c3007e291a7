"""`asha-queue run`."""

import contextlib
import shlex
import sys

import click
from rich.console import Group

from asha_queue import where
from asha_queue.cli.files import experiment_in
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.result import Result
from asha_queue.running import Interrupted
from asha_queue.search.asha import ALL_ENDED
from asha_queue.search.configuration import short
from asha_queue.storage import opened
from asha_queue.terminal.layout import console
from asha_queue.terminal.picture import (
    FRONT_ROWS,
    front_table,
    rung_table,
    trouble_lines,
    values_of,
)
from asha_queue.terminal.view import Silent, view
from asha_queue.views import best_view, overview, savings


@click.command()
@click.argument("file", metavar="FILE[:NAME]")
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    metavar="N",
    help="CPU workers to start here; default: one per GPU, or one. Without a broker only.",
)
@click.option("--storage", metavar="DIR|URL", help="Root of checkpoints, logs and exports.")
@click.option("--fresh", is_flag=True, help="Delete what exists under this name, and start anew.")
@click.option("--flower", is_flag=True, help="Show the run in a browser, too, until it ends.")
@broker_option
@json_option
def run(
    file: str,
    workers: int | None,
    storage: str | None,
    fresh: bool,
    flower: bool,
    broker: str | None,
    as_json: bool,
) -> None:
    """Run the experiment in FILE (.py or .toml) to its end, or go on with it.

    Without a broker everything runs on this machine: an embedded Valkey server, workers and the
    coordinator. Ctrl-C ends it cleanly; the same command goes on where it was. NAME says which
    experiment of a Python file is meant, if there are several.
    """
    with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
        experiment = experiment_in(file)
    try:
        result = experiment.run(
            workers=workers,
            broker=broker,
            storage=storage,
            fresh=fresh,
            flower=flower,
            progress=Silent() if as_json else view(),
        )
    except Interrupted:
        words = (
            where.without_password(a) if "://" in a else a for a in sys.argv[2:] if a != "--fresh"
        )
        again = shlex.join(["asha-queue", "run", *words])
        click.echo(f"stopped; nothing finished is lost. Go on with: {again}", err=True)
        raise click.exceptions.Exit(130) from None
    if as_json:
        print_json(overview(result, [], {}))
    else:
        _print(result, storage)
    if result.state == "cancelled":
        name = result.specification.name
        click.echo(f"experiment {name} was cancelled; --fresh starts it anew", err=True)
        raise click.exceptions.Exit(1)


def _print(result: Result, storage: str | None) -> None:
    out = console()
    final = overview(result, [], {})
    out.print(Group(rung_table(final), *front_table(final, FRONT_ROWS), *trouble_lines(final)))
    if result.reason not in ("", ALL_ENDED):
        out.print(f"{result.state:<11} {result.reason}", markup=False)
    best = result.best
    if best is None and result.nearest:
        out.print("no trial meets the constraints", markup=False)
        return
    if best is None:
        out.print("no trial has a result; `asha-queue status` says what happened")
        return
    view = best_view(best) or {}
    value = f"{values_of(final, view)} at {best.resource} (trial {best.trial})"
    out.print(f"best        {value}: {short(best.config)}", markup=False)
    if best.checkpoint:
        root = opened(where.storage(storage, result.specification.storage).url)
        out.print(f"checkpoint  {root.at(best.checkpoint['path'])}", soft_wrap=True)
    out.print(f"trained     {savings(result)}")
