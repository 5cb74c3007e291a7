"""`asha-queue doctor`."""

import os
from collections.abc import Sequence
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from asha_queue.cli.common import opened_server
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.doctor import Finding, examine
from asha_queue.formats import version
from asha_queue.where import without_password

#: Columns of the table at most.
WIDTH = 80
#: How a state is marked, so that it reads without colours too, and its colour.
MARKS = {"ok": ("ok", "green"), "warning": ("warn", "yellow"), "error": ("ERROR", "bold red")}


@click.command()
@click.option("--storage", metavar="DIR|URL", help="The workers' storage, as seen from here.")
@broker_option
@json_option
def doctor(storage: str | None, broker: str | None, as_json: bool) -> None:
    """Look at server, workers, storage and experiments, and say what to do next.

    Changes nothing. Exit code 1 when there is an error; warnings are none.
    """
    folder = storage or os.environ.get("ASHA_QUEUE_STORAGE")
    with opened_server(broker) as url:
        findings = examine(url, version(), folder)
    sound = all(finding.state != "error" for finding in findings)
    if as_json:
        shown = [asdict(finding) for finding in findings]
        print_json({"broker": without_password(url), "ok": sound, "findings": shown})
    else:
        print_findings(findings)
    if not sound:
        raise click.exceptions.Exit(1)


def print_findings(findings: Sequence[Finding]) -> None:
    """The table that people read."""
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for finding in findings:
        mark, colour = MARKS[finding.state]
        says = finding.says + (f"\n→ {finding.do}" if finding.do else "")
        table.add_row(f"[{colour}]{mark}[/]", finding.what, Text(says))
    console = Console(highlight=False)
    console.print(table, width=min(WIDTH, console.width))
    click.echo(", ".join(_counted(findings, state) for state in ("error", "warning")))


def _counted(findings: Sequence[Finding], state: str) -> str:
    count = sum(finding.state == state for finding in findings)
    return f"{count} {state}{'' if count == 1 else 's'}"
