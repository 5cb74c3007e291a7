"""Delivering news to a tracker that may fail, and remembering how far it is."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from asha_queue.storage.patience import scrubbed
from asha_queue.trackers.news import News
from asha_queue.trackers.tracker import Tracker

#: Seconds until a tracker is tried again: at first, and at most.
AGAIN = 0.5
AGAIN_MAX = 60.0
#: Times that news are tried which a tracker takes badly, though it can be reached.
TRIES = 3


@dataclass
class Kept:
    """How far a tracker is: the last entry delivered, whether that is all, how many news were left
    out, and what is wrong with it, in a sentence."""

    seen: str = "0-0"
    whole: bool = False
    left_out: int = 0
    trouble: str = ""


def kept_file(folder: Path, uid: str, tracker: str) -> Path:
    """Where that is kept: in the experiment's folder, for the tracker of this name."""
    kind = tracker.partition(":")[0].removesuffix(".py").rpartition("/")[2]
    mark = hashlib.sha256(tracker.encode()).hexdigest()[:8]
    return folder / "trackers" / f"{kind}-{mark}-{uid}.json"


def read(path: Path) -> Kept:
    """What is kept; from the start if nothing is."""
    try:
        return Kept(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Kept()


def lacks(folder: Path, uid: str, trackers: Sequence[str]) -> bool:
    """Whether a tracker of an ended experiment was told some of it, and not all. Of one that was
    told nothing there is no file: the folder may have been removed, or be another machine's."""
    files = (kept_file(folder, uid, tracker) for tracker in trackers)
    return any(file.exists() and not read(file).whole for file in files)


class Delivery:
    """Delivers to the tracker that `make` makes, when it is first needed; `wait(seconds)` waits,
    and is true when the process is to end."""

    def __init__(
        self, make: Callable[[], Tracker], path: Path, wait: Callable[[float], bool]
    ) -> None:
        self._make = make
        self._path = path
        self._wait = wait
        self._tracker: Tracker | None = None
        self.kept = read(path)
        self._skip = _place(self.kept.seen)
        #: Tries of the next news: after some that were left out, one.
        self._tries = TRIES

    def deliver(self, entry: str, news: Sequence[News]) -> None:
        """Delivers what an entry says, unless that was delivered already."""
        if _place(entry) <= self._skip or not news:
            return
        for one in news:
            if not self._told(one):
                return
        self.kept.seen, self.kept.whole = entry, False
        self._write()

    def finish(self) -> None:
        """Says that all was delivered."""
        if not self.kept.whole:
            self.kept.whole = True
            self._write()

    def _told(self, news: News) -> bool:
        """Tells until it was taken or left out; False if the process is to end before that."""
        pause, tries = AGAIN, 0
        while True:
            try:
                if self._tracker is None:
                    self._tracker = self._make()
                self._tracker.tell(news)
            except Exception as error:
                away = isinstance(error, OSError) or self._tracker is None
                tries += not away
                # what it is told by its environment, a URL with a password too, is in its errors
                said = scrubbed(f"{type(error).__name__}: {error}".partition("\n")[0])
                if tries >= self._tries:
                    self._tries = 1
                    self.kept.left_out += 1
                    self._trouble(f"takes not everything ({said}); what it refuses is left out")
                    return True
                if away:
                    self._trouble(f"cannot be used ({said}); tried again, nothing is lost")
            else:
                self._tries = TRIES
                if self.kept.trouble and not self.kept.left_out:
                    self.kept.trouble = ""
                return True
            if self._wait(pause):
                return False
            pause = min(2 * pause, AGAIN_MAX)

    def _trouble(self, text: str) -> None:
        if self.kept.trouble != text:
            self.kept.trouble = text
            self._write()

    def _write(self) -> None:
        """A file that cannot be written costs that news are told again after a restart."""
        temporary = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(asdict(self.kept)), encoding="utf-8")
            temporary.replace(self._path)
        except OSError:
            return


def _place(entry: str) -> tuple[int, ...]:
    return tuple(int(part) for part in entry.split("-"))
