"""`asha-queue status`."""

import click

from asha_queue.cli.common import opened_store
from asha_queue.cli.looks import look_at
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.cli.watching import watch as watch_on
from asha_queue.terminal.layout import console


@click.command()
@click.argument("name", required=False)
@click.argument("trial", type=click.IntRange(min=0), required=False)
@click.option("--watch", is_flag=True, help="Go on showing it until it has ended, or Ctrl-C comes.")
@broker_option
@json_option
def status(
    name: str | None, trial: int | None, watch: bool, broker: str | None, as_json: bool
) -> None:
    """Show all experiments and workers; or the experiment called NAME; or its trial number TRIAL,
    why it was promoted or not, and how each attempt at it ended.

    With --watch a terminal is redrawn every 2 seconds, and a pipe gets a line or a block (with
    --json an object in a line) when something has changed.
    """
    if watch:
        watch_on(broker, name, trial, as_json)
        return
    with opened_store(broker) as store:
        look = look_at(store, name, trial)
        facts = look.take()
        if as_json:
            print_json(facts)
        else:
            console().print(look.drawn(facts))
