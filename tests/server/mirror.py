"""Plays one call against both stores and compares what they answer.

Tokens, stream ids and times differ between the two, so answers name them by number, in the order
in which they first appeared, and tests hand those names (`Token`, `Id`) back in.
"""

import dataclasses
import time
from typing import Any

from asha_queue.errors import AshaQueueError
from asha_queue.store.contract import QueuedSegment
from tests.server.sides import MemorySide, ServerSide, Side

#: Fields that are read off a clock.
TIMES = ("at", "submitted_at", "seen_at", "aside_for", "now")
IDS = ("id", "last")
#: Seconds for which the two may differ in what is due: the twin is called later, by as much as the
#: machine makes it wait, and what falls due by the clock may do so on one side between two calls.
APART = 2.0


@dataclasses.dataclass(frozen=True)
class Token:
    """A token, as a test names it: the number-th that appeared."""

    number: int


@dataclasses.dataclass(frozen=True)
class Id:
    """The id of an entry, as a test names it; 0 is the start of the journal."""

    number: int


class Names:
    """One side's names for its tokens and ids."""

    def __init__(self) -> None:
        self._values: dict[type, list[Any]] = {Token: [0], Id: ["", "0-0"]}

    def name(self, kind: type, value: Any) -> Any:
        values = self._values[kind]
        if value not in values:
            values.append(value)
        return kind(values.index(value))

    def value(self, argument: Any) -> Any:
        """The real value behind a name; everything else as it is."""
        if isinstance(argument, Token | Id):
            return self._values[type(argument)][argument.number]
        return argument

    def plain(self, answer: Any) -> Any:
        """An answer in names, dataclasses as dicts."""
        if dataclasses.is_dataclass(answer) and not isinstance(answer, type):
            answer = {f.name: getattr(answer, f.name) for f in dataclasses.fields(answer)}
        if isinstance(answer, dict):
            return {key: self._field(key, value) for key, value in answer.items()}
        if isinstance(answer, list | tuple):
            return [self.plain(item) for item in answer]
        return answer

    def _field(self, key: str, value: Any) -> Any:
        if key in TIMES:
            return None
        if key == "token":
            return self.name(Token, value)
        if key in IDS:
            return self.name(Id, value)
        return self.plain(value)


class Mirror:
    """Both stores; every call is played on both."""

    def __init__(self, url: str) -> None:
        self.server = ServerSide(url)
        self.memory = MemorySide(clock=self.server.time)
        self.sides: list[tuple[Side, Names]] = [
            (self.server, Names()),
            (self.memory, Names()),
        ]

    def __call__(self, method: str, *args: Any) -> Any:
        """The answer of both, in names; an error that asha_queue raises on purpose is the name of
        its class. Fails unless both answer the same."""
        server, memory = self._both(method, args)
        give_up = time.monotonic() + APART
        while method == "due" and server != memory and time.monotonic() < give_up:
            server, memory = self._both(method, args)
        assert server == memory, f"{method}{args}: the server {server}, the twin {memory}"
        return server

    def _both(self, method: str, args: tuple[Any, ...]) -> tuple[Any, Any]:
        server, memory = (self._answer(*side, method, args) for side in self.sides)
        return server, memory

    def _answer(self, side: Side, names: Names, method: str, args: tuple[Any, ...]) -> Any:
        try:
            answer = getattr(side.store, method)(*(names.value(argument) for argument in args))
        except AshaQueueError as error:
            return type(error).__name__
        return names.plain(answer)

    def compare(self, uid: str) -> None:
        """Fails unless both hold the same."""
        assert self.server.records(uid) == self.memory.records(uid)
        for method in ("describe", "running", "refusals"):
            self(method, uid)
        self("drained")
        give_up = time.monotonic() + APART
        while (due := self._due(uid))[0] != due[1]:
            assert time.monotonic() < give_up, f"due: the server {due[0]}, the twin {due[1]}"

    def _due(self, uid: str) -> list[dict[int, QueuedSegment]]:
        return [{s.trial: s for s in side.store.due(uid)} for side, _ in self.sides]

    def advance(self, seconds: float) -> None:
        for side, _ in self.sides:
            side.advance(seconds)

    def expire(self, uid: str, trial: int) -> None:
        for side, _ in self.sides:
            side.expire(uid, trial)

    def lose_and_restore(self, uid: str) -> None:
        """Both lose everything and are restored from their journals."""
        for side, _ in self.sides:
            entries = side.store.read(uid, "", 100_000).entries
            side.wipe()
            assert side.store.restore(entries) == uid
            assert side.store.read(uid, "", 100_000).entries == entries

    def save(self) -> list[Any]:
        return [side.save() for side, _ in self.sides]

    def roll_back(self, saved: list[Any]) -> None:
        for (side, _), copy in zip(self.sides, saved, strict=True):
            side.roll_back(copy)
