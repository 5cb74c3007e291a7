"""`asha-queue best`."""

from dataclasses import asdict
from pathlib import Path

import click

from asha_queue.cli.journals import entries_of
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.models import take_out
from asha_queue.search.configuration import short
from asha_queue.specification import Specification


@click.command()
@click.argument("name", metavar="NAME|FILE")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--storage", metavar="DIR|URL", help="Root of checkpoints, as seen from here.")
@broker_option
@json_option
def best(name: str, folder: Path, storage: str | None, broker: str | None, as_json: bool) -> None:
    """Take the best model of experiment NAME out, into DIR, which must be new or empty.

    DIR/checkpoint has the files that the program saved, DIR/trial.json the configuration and the
    metrics. With several metrics these are in DIR/trial-N, for each trial of the Pareto front.

    FILE is a journal.jsonl, as runs leave it and `export` prints it; no server is needed for that.

    \b
    asha-queue best digits models/digits
    asha-queue best asha-runs/digits/journal.jsonl models/digits
    """
    entries = entries_of(name, broker)
    models = take_out(entries, folder, storage)
    if as_json:
        print_json([asdict(model) for model in models])
        return
    metrics = Specification.from_json(entries[0]["experiment"]).metrics
    for model in models:
        values = short({metric: model.metrics.get(metric) for metric in metrics})
        click.echo(f"trial {model.trial}: {values} at {model.resource}: {short(model.config)}")
        click.echo(f"  {model.folder}")
