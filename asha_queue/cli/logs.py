"""`asha-queue logs`."""

import sys
import time
from dataclasses import asdict
from pathlib import Path

import click

from asha_queue import where
from asha_queue.cli.common import opened_store
from asha_queue.cli.options import broker_option, json_option, print_json
from asha_queue.errors import AshaQueueError, UnknownExperiment
from asha_queue.handle import uid_of
from asha_queue.logs import Logs
from asha_queue.result import Attempt, Attempts
from asha_queue.storage import opened
from asha_queue.storage.patience import QUICK
from asha_queue.store.contract import Store
from asha_queue.views import journal

#: Seconds between two looks at a log that is followed.
LOOK_EVERY = 0.3


@click.command()
@click.argument("name")
@click.argument("trial", type=click.IntRange(min=0))
@click.option("--rung", type=int, metavar="K", help="Only attempts at rung K, from 0.")
@click.option("--attempt", type=int, metavar="N", help="Only attempts number N, from 1.")
@click.option("--follow", is_flag=True, help="Go on printing until the trial is not in training.")
@click.option("--storage", metavar="DIR|URL", help="Root of checkpoints, logs and exports.")
@broker_option
@json_option
def logs(
    name: str,
    trial: int,
    rung: int | None,
    attempt: int | None,
    follow: bool,
    storage: str | None,
    broker: str | None,
    as_json: bool,
) -> None:
    """Print what each attempt of trial TRIAL of experiment NAME has printed, the newest last.

    The output is read from the storage; how attempts ended is known without it.
    """
    with opened_store(broker) as store:
        output = _Output(store, name, trial, storage)
        while True:
            found = [
                one
                for one in output.attempts()
                if rung in (None, one.rung) and attempt in (None, one.attempt)
            ]
            if as_json:
                print_json([asdict(one) | {"log": output.place(one)} for one in found])
                return
            if not found:
                raise UnknownExperiment(
                    f"experiment {name} has no such attempt; see: asha-queue status {name} {trial}"
                )
            for one in found:
                output.show(one)
            if not follow or all(one.ended for one in found):
                break
            time.sleep(LOOK_EVERY)
        if any(one.started for one in found):
            output.check()


class _Output:
    """What the attempts of a trial have printed, of which each part is shown once."""

    def __init__(self, store: Store, name: str, trial: int, storage: str | None) -> None:
        self._store = store
        self._uid = uid_of(store, name)
        self._trial = trial
        kept = store.describe(self._uid).specification["storage"]
        self._logs = Logs(opened(where.storage(storage, kept).url, QUICK).below(name))
        self._attempts = Attempts(trial)
        self._seen = "0-0"
        #: By attempt: the header that was shown last, and the bytes shown of the file.
        self._headers: dict[Path, str] = {}
        self._sizes: dict[Path, int] = {}

    def attempts(self) -> list[Attempt]:
        for entry in journal(self._store, self._uid, self._seen):
            self._attempts.apply(entry)
            self._seen = entry["id"]
        return self._attempts.all

    def path(self, one: Attempt) -> Path:
        return self._logs.path(self._trial, one.rung, one.attempt)

    def place(self, one: Attempt) -> str:
        return self._logs.place(self.path(one))

    def show(self, one: Attempt) -> None:
        """The attempt's header if it has changed, and what its file has more than before."""
        path, header = self.path(one), str(one)
        if self._headers.get(path) != header:
            click.echo(f"== {header}")
            self._headers[path] = header
        try:
            self._sizes[path] = self._logs.copy(
                self._trial, one.rung, one.attempt, self._sizes.get(path, 0), sys.stdout.buffer
            )
            sys.stdout.buffer.flush()
        except OSError as error:
            if one.ended and one.started:
                click.echo(one.why or f"no output: {self._logs.why_not(path, error)}")

    def check(self) -> None:
        """Raises an error when the experiment's folder is not seen from here."""
        if away := self._logs.away():
            raise AshaQueueError(
                f"{away}. Call this where the storage is mounted, or name it by --storage or "
                f"ASHA_QUEUE_STORAGE"
            )
