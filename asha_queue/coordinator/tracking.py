"""The processes of an experiment's trackers, one each; what they may do is said in `trackers`.

Only a leader has them: they are started in its term and end with it, however it ends. One that dies
is started again, ever more seldom. Deciding never waits for them.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from asha_queue.settings import TICK
from asha_queue.trackers.delivery import kept_file, read

#: Seconds until a process that died is started again: at first, and at most.
AGAIN = 1.0
AGAIN_MAX = 60.0
#: Seconds that a process gets to end, with what it is just delivering.
GRACE = 2.0


class Tracking:
    """The trackers of experiment `uid`; `folder` is its own, `roots` hold classes of one's own."""

    def __init__(
        self, broker: str, uid: str, trackers: Sequence[str], folder: Path, roots: Sequence[Path]
    ) -> None:
        self._slots = [_Slot(broker, uid, one, folder, roots) for one in dict.fromkeys(trackers)]
        self._next_look = 0.0
        self._term: int | None = None

    def tend(self, term: int | None) -> None:
        """Starts what is to run in the leader's `term`, and ends what is of another; None: all."""
        now = time.monotonic()
        if now < self._next_look and term == self._term:
            return
        self._next_look, self._term = now + TICK / 4, term
        for slot in self._slots:
            slot.tend(term)

    @property
    def delivered(self) -> bool:
        """Whether all of an ended experiment was delivered."""
        return all(slot.delivered for slot in self._slots)

    @property
    def progress(self) -> list[str]:
        """How far each is: another value means that something was delivered."""
        return [slot.kept.seen for slot in self._slots]

    def news(self) -> Iterator[str]:
        """What is wrong with trackers, each sentence once."""
        for slot in self._slots:
            trouble = slot.trouble
            if trouble and trouble != slot.said:
                slot.said = trouble
                yield f"tracker {slot.tracker} {trouble}"

    @property
    def troubles(self) -> list[str]:
        """What is wrong with trackers now, as sentences."""
        return [f"tracker {slot.tracker} {slot.trouble}" for slot in self._slots if slot.trouble]

    @property
    def missing(self) -> list[str]:
        """The trackers that lack something."""
        return [slot.tracker for slot in self._slots if not slot.delivered]

    def close(self) -> None:
        for slot in self._slots:
            slot.end()


class _Slot:
    """One tracker and its process."""

    def __init__(
        self, broker: str, uid: str, tracker: str, folder: Path, roots: Sequence[Path]
    ) -> None:
        self.tracker = tracker
        self.said = ""
        self._command = [sys.executable, "-m", "asha_queue.trackers", uid, tracker, str(folder)]
        self._roots = [str(root) for root in roots]
        self._environment = os.environ | {"ASHA_QUEUE_BROKER": broker}
        self._kept_file = kept_file(folder, uid, tracker)
        self._log = self._kept_file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._term: int | None = None
        self._start_at = 0.0
        self._pause = AGAIN
        self._died = ""
        self.kept = read(self._kept_file)

    @property
    def delivered(self) -> bool:
        return self.kept.whole

    @property
    def trouble(self) -> str:
        return self.kept.trouble or self._died

    def tend(self, term: int | None) -> None:
        if self._process and term != self._term:
            self.end()
        self.kept = read(self._kept_file)
        if self._process and (code := self._process.poll()) is not None:
            self.end()
            if code:
                self._died = f"ended with exit code {code}, and is started again; see {self._log}"
            self._start_at = time.monotonic() + self._pause
            self._pause = min(2 * self._pause, AGAIN_MAX)
        if term is not None and self._process is None and time.monotonic() >= self._start_at:
            self._start(term)

    def _start(self, term: int) -> None:
        command = [*self._command, str(term), *self._roots]
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,  # its end tells that this process has ended
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    env=self._environment,
                )
        except OSError as error:
            self._died = f"cannot be started: {error}"
            self._start_at = time.monotonic() + AGAIN_MAX
        self._term = term

    def end(self) -> None:
        """Ends the process, after what it is just delivering."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin
        process.stdin.close()
        try:
            process.wait(GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
