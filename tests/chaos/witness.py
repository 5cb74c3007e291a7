"""A witness of the journals: reads each of them as it grows, and remembers what it has read.

What was readable once was acknowledged: if it is gone later, or another stands in its place, the
store has lost it. The witness also knows what each worker trains at the moment.
"""

import contextlib
from collections import Counter, defaultdict
from typing import Any, NamedTuple

from asha_queue.errors import StoreError
from asha_queue.store import connect

Entry = dict[str, Any]
#: Types that end an attempt.
ENDS = ("completed", "suspended", "failed", "lost")


class Attempt(NamedTuple):
    """One try at a segment."""

    uid: str
    trial: int
    rung: int
    attempt: int


def attempt_of(uid: str, entry: Entry) -> Attempt:
    return Attempt(uid, entry["trial"], entry["rung"], entry["attempt"])


class Witness:
    """Follows the journals of the experiments it is told of."""

    def __init__(self, url: str) -> None:
        self.store = connect(url)
        #: The entries of each experiment, by uid.
        self.journals: dict[str, list[Entry]] = {}
        self.names: dict[str, str] = {}
        #: What each worker trains, as far as is known.
        self.running: dict[str, Attempt] = {}
        #: Experiments whose journal has lost what was read before.
        self.gone: set[str] = set()
        #: Attempts scheduled since the last `poll`.
        self.news: list[tuple[Attempt, Entry]] = []
        self._seen: dict[str, str] = defaultdict(lambda: "0-0")
        self._total: dict[str, int] = {}
        self._begun: Counter[str] = Counter()

    def follow(self, name: str, uid: str, trials: int) -> None:
        """Takes up an experiment of so many trials."""
        self.names[uid], self._total[uid] = name, trials
        self.journals[uid] = []

    @property
    def open(self) -> list[str]:
        """The experiments that have not finished, as far as is known."""
        return [uid for uid, entries in self.journals.items() if not _finished(entries)]

    @property
    def wants(self) -> int:
        """Trials of open experiments that have not begun."""
        return sum(self._total[uid] - self._begun[uid] for uid in self.open)

    def poll(self) -> None:
        """Reads what is new; a server that does not answer is asked again the next time."""
        self.news = []
        with contextlib.suppress(StoreError):
            for uid in self.open:
                self._read(uid)

    def _read(self, uid: str) -> None:
        while True:
            read = self.store.read(uid, self._seen[uid])
            if read.gone:
                self.gone.add(uid)
            if read.gone or not read.entries:
                return
            for entry in read.entries:
                self.journals[uid].append(entry)
                self._take(uid, entry)
            self._seen[uid] = read.entries[-1]["id"]

    def _take(self, uid: str, entry: Entry) -> None:
        if entry["type"] == "started":
            self.running[entry["worker"]] = attempt_of(uid, entry)
        elif entry["type"] in ENDS:
            if self.running.get(entry["worker"]) == attempt_of(uid, entry):
                del self.running[entry["worker"]]
        elif entry["type"] == "scheduled":
            self.news.append((attempt_of(uid, entry), entry))
            self._begun[uid] += entry["rung"] == 0 and entry["attempt"] == 1


def _finished(entries: list[Entry]) -> bool:
    return bool(entries) and entries[-1]["type"] == "finished"
