"""One claimed segment: restore, train, and say how it ended.

Rules

* `started` is journalled when the checkpoint to go on from has been verified, and only after it
  does the program run.
* Whatever the program raises, `SystemExit` included, is its failure and not ours. After it the
  process is replaced: what a program that failed leaves behind (a broken CUDA context, memory) must
  not meet the next one. So it is after a program whose processes had to be ended.
* Only the process that was claimed for goes on behind the program. One that the program has forked,
  and that returns from it as well, ends there.
* A segment that ends because its storage is full or broken is given back, and is no failure of the
  program. The worker is set aside for a while.
* A store that lost the experiment may be restored from its journal: how a segment ended is told
  again for as long as the keeper renews it. A deleted experiment is left at once.
* A segment that was cancelled, or given to another worker, is closed in the store: nothing more is
  said about it there.
"""

import contextlib
import hashlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from asha_queue.checkpoints import Checkpoints, Draft, Restored
from asha_queue.checkpoints.trouble import full
from asha_queue.errors import (
    CheckpointUnreachable,
    CheckpointUnwritable,
    CommandError,
    NewerFormat,
    ProgramError,
    TrialStopped,
)
from asha_queue.settings import ASIDE
from asha_queue.store.contract import Claim, Description, Outcome
from asha_queue.store.journal import encode
from asha_queue.training.current import running
from asha_queue.training.leftovers import end_leftovers
from asha_queue.training.line import Granted
from asha_queue.training.output import log_file, redirected
from asha_queue.training.progress import Progress
from asha_queue.training.sigterm import heard
from asha_queue.training.site import Ending, Message, Site, answered, refuse, remembered
from asha_queue.training.surroundings import unchanged
from asha_queue.training.trial import Trial

#: Characters of a program's error that are journalled.
ERROR_SHOWN = 4000

T = TypeVar("T")
log = logging.getLogger("asha_queue")


class ClaimedSegment:
    """A claimed segment while it is trained: what `trial.Segment` asks for, and its end."""

    progress: Progress

    def __init__(
        self, site: Site, message: Message, experiment: Description, claim: Claim, claim_id: str
    ) -> None:
        self._site = site
        self._store = site.store
        self._message = message
        self._uid = experiment.uid
        self._name = experiment.name
        self._specification = experiment.specification
        self._claim = claim
        self._claim_id = claim_id
        self._storage = site.storage(experiment.specification)
        self._checkpoints = Checkpoints(self._storage, experiment.name, experiment.uid)
        self._config_digest = hashlib.sha256(encode(claim.config).encode()).hexdigest()
        self._saved: dict[str, Any] | None = None
        self._noticed = False
        self._stopped = ""
        #: The processes that the program left running, in words.
        self._left = ""
        #: Why nothing could be written any more, if that has ended the program.
        self._unwritable = ""

    def granted(self) -> Granted:
        """What the keeper has to know of it."""
        return Granted(
            self._claim.token,
            self._name,
            str(self._log_path()),
            self._specification.get("segment_timeout"),
            self._specification.get("report_timeout"),
        )

    def run(self, program: Callable[[Trial], object]) -> Ending:
        """Trains it to its end."""
        try:
            return self._run(program)
        finally:
            self._checkpoints.release()

    def _run(self, program: Callable[[Trial], object]) -> Ending:
        try:
            restored = self._checkpoints.restore(self._claim.checkpoints)
        except NewerFormat as error:
            return refuse(self._site, self._message, str(error))
        except CheckpointUnreachable as error:
            reason = (
                f"checkpoint not reachable from {self._site.worker}: {error}. Give this worker the "
                f"--storage of the others, and let it read what they write there"
            )
            return refuse(self._site, self._message, reason)
        for reason in restored.reasons:
            log.warning(
                "trial %d goes on from %s: %s. Let nothing else remove or change files of an "
                "experiment that runs, such as a rule of the bucket that deletes old ones",
                self._message.trial,
                f"an older checkpoint, at {restored.resource}" if restored.folder else "its start",
                reason,
            )
        start = partial(self._fenced, self._store.start, restored.resource, restored.dropped)
        if not self._claim.begun and answered(start) != "ok":
            return Ending("not run: it was given to another worker")
        self._site.rest.over()
        if self._claim.attempt > 1:
            self._checkpoints.remove_unfinished(self._message.trial, self._claim.token)
        self.progress = Progress(
            restored.resource, self._claim.target, self._specification["metric"]
        )
        begun = time.monotonic()
        try:
            failure = self._train(program, restored)
        except ProgramError as error:  # it has damaged the process
            failure = str(error)
        if self._left:
            log.warning("trial %d: %s", self._message.trial, self._left)
        if self._site.line.cancelled:
            self._stopped = "cancelled"
        if self._stopped:
            return Ending(self._stopped, bool(failure), bool(self._left))
        if self._unwritable:
            return self._hand_back(self._unwritable)
        if failure:
            return self._fail(failure)
        return Ending(self._complete(time.monotonic() - begun), replace=bool(self._left))

    # -- what the trial asks for -----------------------------------------------------------------

    def draining(self) -> bool:
        self._noticed = self._noticed or self._site.line.draining
        return self._noticed

    def go_on(self) -> None:
        if self._site.line.cancelled:
            self._stopped = "cancelled"
        if self._stopped:
            raise TrialStopped(self._stopped)

    def live(self, step: int, metrics: dict[str, float]) -> None:
        self._site.pulse.report(step)
        point = {
            "trial": self._message.trial,
            "rung": self._claim.rung,
            "attempt": self._claim.attempt,
            "step": step,
            "metrics": metrics,
        }
        self._site.live.add(self._uid, point)
        self._site.live.tell(
            self._message.task, lambda: f"step {step}/{self._claim.target} {_shown(metrics)}"
        )

    @contextlib.contextmanager
    def writer(self, resource: int, metrics: dict[str, float]) -> Iterator[Draft]:
        draft = self._checkpoints.writer(
            self._message.trial,
            self._claim.token,
            self._claim_id,
            resource,
            metrics,
            self._config_digest,
        )
        with self._site.pulse.saving(), draft as opened:
            yield opened

    def written(self, record: dict[str, Any]) -> None:
        with self._site.pulse.stopped():
            answer = answered(partial(self._fenced, self._store.checkpoint, record))
        if answer == "stale":
            self._stopped = "ended: it was cancelled or given to another worker"
            raise TrialStopped(self._stopped)
        self._saved = record
        self._site.line.saved(record)

    # -- training and its end --------------------------------------------------------------------

    def _train(self, program: Callable[[Trial], object], restored: Restored) -> str:
        """Runs the program; returns its error, or nothing."""
        if self.draining():
            return ""  # asked to end before it began
        trial = Trial(
            self,
            number=self._message.trial,
            config=self._claim.config,
            experiment=self._name,
            rung=self._claim.rung,
            attempt=self._claim.attempt,
            device=self._site.device,
            devices=self._site.devices,
            checkpoint=restored.folder,
            metrics=self._metrics_at(restored.resource),
        )
        process = os.getpid()
        mirrored = self._storage.remote
        signals = heard(self._site.line)
        with redirected(self._log_path(), mirrored), signals, unchanged(), running(trial):
            self._site.pulse.begin(self.progress.start, self._specification.get("report_timeout"))
            try:
                returned = program(trial)
                if returned is not None or not self._noticed:
                    self.progress.finish(returned)
            except BaseException as error:
                if self._stopped and isinstance(error, TrialStopped):
                    return ""
                self._unwritable = (
                    str(error) if isinstance(error, CheckpointUnwritable) else full(error)
                )
                if isinstance(error, CommandError):  # its own output is in the log already
                    print(f"asha-queue: {str(error).partition(chr(10))[0]}", file=sys.stderr)
                    return str(error)[:ERROR_SHOWN]
                with contextlib.suppress(Exception):  # it may have closed or replaced the stream
                    traceback.print_exc()
                return described(error)
            finally:
                if os.getpid() != process:
                    self._end_fork()
                self._site.pulse.end()
                self._end_leftovers()
        return ""

    def _metrics_at(self, resource: int) -> dict[str, float]:
        """What the checkpoint of that resource was saved with."""
        saved = (one["metrics"] for one in self._claim.checkpoints if one["resource"] == resource)
        return next(saved, None) or {}

    def _end_fork(self) -> NoReturn:
        """In a process that the program has forked, and that came back from it."""
        with contextlib.suppress(OSError, ValueError):
            print(f"process {os.getpid()}, a fork, returned from the program: ended", flush=True)
        os._exit(0)

    def _end_leftovers(self) -> None:
        if commands := end_leftovers():
            self._left = f"left running by the program and ended: {', '.join(commands)}"
            with contextlib.suppress(OSError):  # a full disk, or closed by the program
                os.write(2, f"{self._left}\n".encode())

    def _fail(self, error: str) -> Ending:
        fail = partial(self._fenced, self._store.fail, error, self.progress.reached, self._saved)
        answer = remembered(self._store, self._uid, fail)
        first = error.partition("\n")[0]
        log.warning("trial %d failed: %s", self._message.trial, first)
        return Ending(f"failed ({answer}): {first}", failed=True)

    def _hand_back(self, reason: str) -> Ending:
        """The storage, and not the program, has ended it: it goes on when there is room."""
        log.warning("trial %d is given back: %s", self._message.trial, reason)
        answered(partial(self._store.set_aside, self._site.worker, reason))
        answered(partial(self._fenced, self._store.release, reason, False))
        return Ending(f"given back: {reason}", failed=True, rest=ASIDE)

    def _complete(self, seconds: float) -> str:
        progress = self.progress
        outcome = Outcome(
            metrics=progress.metrics,
            reached=progress.reached,
            checkpoint=self._saved,
            seconds=seconds,
            curve=progress.curve.points(),
        )
        suspended = self._noticed and progress.reached < progress.target
        call = self._store.suspend if suspended else self._store.complete
        answer = remembered(self._store, self._uid, partial(self._fenced, call, outcome))
        if answer != "ok":
            return f"void ({answer}): it was cancelled, deleted, lost or given to another worker"
        if not suspended:
            self._warn_of_no_checkpoint()
        word = "suspended" if suspended else "completed"
        return f"{word} at {progress.reached}: {_shown(progress.metrics)}"

    def _warn_of_no_checkpoint(self) -> None:
        """Says once in each process that an experiment's trials start from nothing again."""
        higher = self._claim.target < self._specification.get("max_t", 0)
        if higher and not self._saved and not self._claim.checkpoints:
            if self._uid not in self._site.warned:
                self._site.warned.add(self._uid)
                log.warning(
                    "experiment %s saves no checkpoint: each segment starts from step 0", self._name
                )

    def _fenced(self, call: Callable[..., T], *arguments: object) -> T:
        return call(self._uid, self._message.trial, self._claim.token, *arguments)

    def _log_path(self) -> Path:
        claim = self._claim
        folder = self._storage.below(self._name).local
        return log_file(folder, self._message.trial, claim.rung, claim.attempt)


def _shown(metrics: Mapping[str, float]) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in metrics.items())


def described(error: BaseException) -> str:
    """An error of a program: its message in the first line, then its last lines of traceback."""
    try:
        said = f"{type(error).__name__}: {error}"
    except Exception as another:  # in its own code, which is the program's
        said = f"{type(error).__name__}, whose text cannot be had: {another!r}"
    # half of a pair, as in the name of a file that is not UTF-8, cannot be printed
    first = said[: ERROR_SHOWN // 2].encode("utf-8", "replace").decode()
    frames = error.__traceback__.tb_next if error.__traceback__ else None  # ours is the first
    trace = "".join(traceback.format_tb(frames)).rstrip()
    return f"{first}\n{trace[len(first) - ERROR_SHOWN + 1 :]}".rstrip()
