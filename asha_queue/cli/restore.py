"""`asha-queue restore`."""

from typing import Any

import click

from asha_queue.cli.common import opened_store
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.errors import AshaQueueError, JournalError
from asha_queue.search.rules import check as violations_of
from asha_queue.specification import Specification
from asha_queue.store.contract import Json, Store
from asha_queue.store.journal import load_file


@click.command()
@click.argument("file", metavar="FILE", type=str)
@broker_option
@json_option
def restore(file: str, broker: str | None, as_json: bool) -> None:
    """Rebuild an experiment that its server has lost, from FILE: its exported journal.

    Segments that run keep their workers, all others that are open are queued again. What happened
    after the journal's last entry is run again.

    \b
    asha-queue restore asha-runs/digits/journal.jsonl
    """
    entries, torn = load_file(file)
    if torn:
        click.echo(f"{file}: its last line is cut off and left out", err=True)
    name = _checked(entries, file)
    with opened_store(broker, make=True) as store:
        if uid := store.uid(name):
            raise AshaQueueError(
                f"experiment {name!r} exists on this server, it is {store.describe(uid).state}: "
                f"nothing was restored. restore brings back what a server has lost; keep {file} "
                f"elsewhere before you delete the experiment"
            )
        uid = store.restore(entries)
        if uid != entries[0]["uid"]:
            raise AshaQueueError(f"another experiment was called {name!r} meanwhile: {uid}")
        view = _restored(store, uid, name, entries)
    if as_json:
        print_json(view)
        return
    click.echo(
        f"restored {name} ({view['state']}): {view['trials']} trials, {view['results']} results, "
        f"{view['running']} segments running, {view['queued']} queued"
    )
    if view["state"] in ("open", "paused"):
        click.echo(
            "it goes on with the command that ran it, or by itself where `asha-queue coordinator` "
            "runs"
        )


def _checked(entries: list[Json], file: str) -> str:
    """The name of a journal's experiment; raises for one that cannot be restored."""
    if violations := violations_of(entries):
        raise JournalError(
            f"{file} breaks {len(violations)} rules of the search, so nothing was restored; "
            f"`asha-queue check {file}` lists them. The first: {violations[0]}"
        )
    return Specification.from_json(entries[0]["experiment"]).name


def _restored(store: Store, uid: str, name: str, entries: list[Json]) -> dict[str, Any]:
    scheduled = {(e["trial"], e["rung"]) for e in entries if e["type"] == "scheduled"}
    results = {(e["trial"], e["rung"]) for e in entries if e["type"] == "completed"}
    return {
        "name": name,
        "uid": uid,
        "state": store.describe(uid).state,
        "entries": len(entries),
        "trials": len({trial for trial, _ in scheduled}),
        "results": len(results),
        "running": len(store.running(uid)),
        "queued": len(store.due(uid)),
    }
