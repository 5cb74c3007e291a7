"""Options that several verbs share, and JSON."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from asha_queue.store.journal import finite

Decorator = Callable[[Callable[..., None]], Callable[..., None]]

broker_option: Decorator = click.option(
    "--broker",
    metavar="URL",
    help="Broker and store, redis://HOST:PORT/DB or sentinel://HOST,HOST,HOST/DB?master=NAME; else "
    "ASHA_QUEUE_BROKER, CELERY_BROKER_URL, or the embedded server of this directory.",
)
alive_option: Decorator = click.option(
    "--alive",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Touch a file every few seconds while all is well here and the server answers, so that a "
    "probe can tell by its age.",
)
reason_option: Decorator = click.option(
    "--reason", metavar="TEXT", default="", help="Kept in the journal."
)
json_option: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """Prints JSON that any program reads: NaN and infinities are texts, as in the journal."""
    click.echo(json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False))
