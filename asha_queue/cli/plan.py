"""`asha-queue plan`."""

import contextlib
import sys
import time
from pathlib import Path

import click

from asha_queue.cli.files import experiment_in
from asha_queue.cli.options import json_option, print_json
from asha_queue.cli.pages import refuse_others, write
from asha_queue.errors import SpecificationError
from asha_queue.report.plan import plan as page_of
from asha_queue.terminal.forecast import ForecastPicture
from asha_queue.terminal.layout import console


def _fleets(context: click.Context, parameter: click.Parameter, given: str | None) -> list[int]:
    """Numbers of workers, as `4,16,64`; none if none are given."""
    found = []
    for part in given.split(",") if given is not None else ():
        if not part.strip().isdecimal():
            raise SpecificationError(
                f"--workers {given}: must be one whole number or several, such as 4,16,64"
            )
        found.append(int(part))
    return found


@click.command()
@click.argument("file", metavar="FILE[:NAME]")
@click.option(
    "--workers",
    metavar="N,N,…",
    callback=_fleets,
    help="Numbers of workers to plan for; default: 1,4,16,64.",
)
@click.option(
    "--seconds-per-unit", type=float, metavar="S", help="What one step of training takes."
)
@click.option(
    "--startup",
    type=float,
    default=0.0,
    metavar="S",
    help="What each segment takes besides: to restore, load data and save.",
)
@click.option(
    "--measure",
    is_flag=True,
    help="Find both out: train the first trial for two segments here, leaving nothing behind.",
)
@click.option(
    "--checkpoint-bytes", type=int, metavar="N", help="The size of a checkpoint, unless measured."
)
@click.option("--price", type=float, metavar="P", help="Of an hour of one worker, in any currency.")
@click.option(
    "--output",
    metavar="FILE.html",
    help="Write a page with figures, too; - is standard output, instead of the table.",
)
@json_option
def plan(
    file: str,
    workers: list[int],
    seconds_per_unit: float | None,
    startup: float,
    measure: bool,
    checkpoint_bytes: int | None,
    price: float | None,
    output: str | None,
    as_json: bool,
) -> None:
    """Tell what the experiment in FILE (.py or .toml) will take, before anything is spent.

    The search is played on a virtual clock, with made-up values; nothing is submitted, and without
    --measure nothing is trained. Figures are medians of several plays, with their range.

    \b
    asha-queue plan experiment.py
    asha-queue plan experiment.py --seconds-per-unit 90 --workers 4,16 --price 2.5
    asha-queue plan experiment.py --measure --output plan.html
    """
    target = Path(output) if output and output != "-" else None
    if target:
        refuse_others(target)
    quiet = as_json or output == "-"
    with contextlib.redirect_stdout(sys.stderr) if quiet else contextlib.nullcontext():
        experiment = experiment_in(file)
    if measure:
        levels = " and then ".join(f"{level:,}" for level in experiment.ladder.levels[:2])
        click.echo(f"measuring: training trial 0 of {experiment.name} up to {levels} …", err=True)
    found = experiment.planned(
        workers=workers or None,
        seconds_per_unit=seconds_per_unit,
        startup=startup,
        measure=measure,
        checkpoint_bytes=checkpoint_bytes,
        price=price,
        curve=output is not None,
    )
    if output == "-":
        click.echo(page_of(experiment, found, time.time()))
        return
    if as_json:
        print_json(found.to_json())
    else:
        console().print(ForecastPicture(found))
    if target:
        click.echo(write(target, page_of(experiment, found, time.time())), err=as_json)
