"""`asha-queue status --watch`.

Rules

* A watch never owns the embedded server of a directory for longer than a look, the first one or
  the one after a run there has ended: the next run must find it free, as workers run beside the
  owner's.
* While nothing answers, that is said once, and asked again; so the watch outlives a run that ends
  and goes on with the next one, whatever address that has.
* It ends when what it watches has ended, everything never. On a terminal the last picture stays.
"""

import contextlib
import json
import sys
import time
from collections.abc import Generator
from typing import Any, Protocol

import click

from asha_queue import where
from asha_queue.cli.common import opened_server
from asha_queue.cli.looks import EverythingLook, ExperimentLook, Facts, Look, look_at
from asha_queue.errors import StoreUnavailable
from asha_queue.store import connect
from asha_queue.store.journal import finite
from asha_queue.terminal.fleet import state
from asha_queue.terminal.layout import console
from asha_queue.terminal.view import Lines, Screen

#: Seconds between two looks.
EVERY = 2.0
#: Facts that change as time goes by, and are no news.
CLOCKS = ("age", "utilisation")


class Sight(Protocol):
    """Where a watch shows what it sees."""

    def show(self, look: Look, facts: Facts) -> None:
        """Shows what was seen last."""

    def say(self, line: str) -> None:
        """Says one thing that happened."""

    def close(self, look: Look | None, facts: Facts) -> None:
        """Shows for the last time what was seen last, if anything was."""


def watch(broker: str | None, name: str | None, trial: int | None, as_json: bool) -> None:
    """Shows it until it has ended."""
    sight: Sight = _Objects() if as_json else _Picture() if sys.stdout.isatty() else _Changes()
    look: Look | None = None
    facts: Facts = {}
    try:
        with contextlib.closing(_looks(broker, name, trial, sight)) as looks:
            for look, facts in looks:
                sight.show(look, facts)
                if look.ended:
                    break
    finally:
        sight.close(look, facts)


def _looks(
    broker: str | None, name: str | None, trial: int | None, sight: Sight
) -> Generator[tuple[Look, Facts], None, None]:
    """One look after the other, with what it has seen. Raises what the first one does; later on it
    waits for a server that is away."""
    with opened_server(broker) as url:
        look = look_at(connect(url), name, trial)
        yield look, look.take()
    beside = where.broker(broker) is not None
    away = False
    while True:
        time.sleep(EVERY)
        try:
            place = where.broker(broker)
            if place is None and beside:  # the run here has ended: how, its server does not tell
                beside = False
                with opened_server(broker) as url:
                    look = look_at(connect(url), name, trial)
                    yield look, look.take()
            elif place is None:
                raise StoreUnavailable("no run is going on in this directory")
            else:
                beside = True
                if place.url != url:
                    look, url = look_at(connect(place.url), name, trial), place.url
                yield look, look.take()
                away = False
        except StoreUnavailable as error:
            if not away:
                sight.say(f"{error}; trying again")
            away = True


class _Picture:
    """A terminal."""

    def __init__(self) -> None:
        self._screen = Screen(console(), stay=True)

    def show(self, look: Look, facts: Facts) -> None:
        self._screen.draw(look.drawn(facts, fit=True))

    def say(self, line: str) -> None:
        self._screen.say(line)

    def close(self, look: Look | None, facts: Facts) -> None:
        if look and look.ended:  # whole, now that it need not fit
            self._screen.draw(look.drawn(facts))
        self._screen.close()


class _Changes:
    """A pipe: a line for each experiment or worker that has changed, or the block of a trial; at
    its end the whole picture."""

    def __init__(self) -> None:
        self._experiments: dict[str, Lines] = {}
        #: What was shown last of each worker, and of the whole.
        self._workers: dict[str, str] = {}
        self._block = ""

    def show(self, look: Look, facts: Facts) -> None:
        if isinstance(look, ExperimentLook):
            self._experiment(facts)
        elif isinstance(look, EverythingLook):
            self._everything(look, facts)
        else:
            self._whole(look, facts)

    def say(self, line: str) -> None:
        print(line, flush=True)

    def close(self, look: Look | None, facts: Facts) -> None:
        if look and look.ended:
            self._whole(look, facts)

    def _everything(self, look: Look, facts: Facts) -> None:
        if not facts["experiments"]:
            self._whole(look, facts)
        for view in facts["experiments"]:
            self._experiment(view)
        states = {worker["worker"]: _state(worker) for worker in facts["workers"]}
        for name in self._workers.keys() | states.keys():
            said = states.get(name, "is gone")
            if self._workers.get(name, "is gone") != said:
                self.say(f"worker {name} {said}")
        self._workers = states

    def _experiment(self, view: dict[str, Any]) -> None:
        lines = self._experiments.setdefault(view["name"], Lines(sys.stdout))
        if "error" in view:
            lines.say_once(view["error"], f"{view['name']}: {view['error']}")
        else:
            lines.show(view)

    def _whole(self, look: Look, facts: Facts) -> None:
        out = console()
        with out.capture() as captured:
            out.print(look.drawn(facts))
        if captured.get() != self._block:
            self._block = captured.get()
            click.echo(self._block, nl=False)
            sys.stdout.flush()


def _state(worker: dict[str, Any]) -> str:
    """What a worker does, so that no line is said for each of its segments."""
    if worker["aside"]:
        return f"is set aside for a while: {worker['aside']}"
    return "drains" if state(worker) == "draining" else "is there"


def _still(value: Any) -> Any:
    """The facts without those that the clock alone changes."""
    if isinstance(value, dict):
        return {name: _still(part) for name, part in value.items() if name not in CLOCKS}
    return [_still(part) for part in value] if isinstance(value, list) else value


class _Objects:
    """One JSON object per line, when anything but the time has changed."""

    def __init__(self) -> None:
        self._last = ""

    def show(self, look: Look, facts: Facts) -> None:
        still = json.dumps(_still(facts))
        if still != self._last:
            self._last = still
            print(json.dumps(finite(facts), ensure_ascii=False, allow_nan=False), flush=True)

    def say(self, line: str) -> None:
        click.echo(f"asha-queue: {line}", err=True)

    def close(self, look: Look | None, facts: Facts) -> None:
        pass
