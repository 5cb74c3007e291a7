"""A command as a program: run for one segment, in a session of its own.

Rules

* What it prints, on both streams, is the trial's log, and read for reports: lines of JSON that have
  `step` or a metric of the experiment in them, or what `pattern` finds. A line may end with \\r. Of
  a line longer than LINE the rest is not read.
* Reports without a step count up; when the command ends by itself, the last one is the target's.
* A drain is SIGTERM to those whom `hearers` finds. The command may take as long as its worker is
  given; what it has started gets SAVING after it, to save in the background of a shell.
* A cancel is SIGTERM to the session's processes, which are killed after GRACE, sooner than the
  keeper would kill us.
* What it has put into ASHA_QUEUE_SAVE when it ends with 0 is the checkpoint of the last report. A
  command that a drain's SIGTERM has killed, or that ends with an error after it, as torchrun does,
  is suspended, and goes on from the checkpoint before: what it was writing may be half a file.
* Whoever ends all processes at once tells its shell, too, which dies of it, and perhaps before us:
  one that has ended early or badly is judged WORD later.
* It dies with this process: by the kernel, and by the keeper, who knows it by its mark.
"""

import contextlib
import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asha_queue.errors import CommandError
from asha_queue.specification.command import rendered
from asha_queue.training.deaths import MemoryKills, cause
from asha_queue.training.hearers import tell
from asha_queue.training.patterns import search
from asha_queue.training.processes import die_with_parent, in_session, living
from asha_queue.training.trial import Trial

#: Seconds between two looks for orders.
LOOK_EVERY = 0.1
#: Seconds that a cancelled command gets to end.
GRACE = 3.0
#: Seconds that what a drained command has started may go on after it.
SAVING = 20.0
#: Seconds for the word of a drain to get here, which others may have told to the command first.
WORD = 0.3
#: Bytes of a line that are read.
LINE = 2**16
#: Lines of the output that an error shows.
SHOWN = 12
#: Exit codes in words.
_CODES = {
    126: "not executable: chmod +x the file, or write the interpreter before it",
    127: "command not found on this node",
    2: "often a wrong option",
}


class Command:
    """Runs the command of an experiment, in `folder`, for the trial that it is called with."""

    def __init__(self, specification: Mapping[str, Any], folder: Path) -> None:
        metric = specification["metric"]
        self._command = specification["command"]
        self._metrics = [metric] if isinstance(metric, str) else list(metric)
        self._pattern = re.compile(specification["pattern"]) if specification["pattern"] else None
        self._folder = folder

    def __call__(self, trial: Trial) -> None:
        save = Path(tempfile.mkdtemp(prefix="asha-queue-save-"))
        try:
            run = _Run(trial, self._metrics, self._pattern)
            run.train(self._command, self._folder, save)
            if run.saved and any(save.iterdir()):
                with trial.save() as folder:
                    for path in save.iterdir():
                        shutil.move(path, folder / path.name)
        finally:
            shutil.rmtree(save, ignore_errors=True)


class _Run:
    """The command of one segment while it runs."""

    def __init__(self, trial: Trial, metrics: list[str], pattern: re.Pattern[str] | None) -> None:
        self._trial = trial
        self._metrics = metrics
        self._pattern = pattern
        self._rest = b""
        self._long = False
        self._tail: deque[str] = deque(maxlen=SHOWN)
        self._seen: dict[str, None] = {}
        self._step = trial.start
        self._last: dict[str, float] = {}
        self._stepped = False
        self._asked = False
        #: Whether the SIGTERM of a drain has killed what trains.
        self._killed = False
        #: Whether what it has saved counts.
        self.saved = False

    def train(self, command: str, folder: Path, save: Path) -> None:
        """Raises CommandError when it fails, or has printed no metric."""
        trial = self._trial
        values = {
            "python": sys.executable,
            "experiment": trial.experiment,
            "trial": trial.number,
            "start": trial.start,
            "target": trial.target,
            "checkpoint": str(trial.checkpoint or ""),
            "save": str(save),
            "device": trial.device,
            "devices": trial.devices,
            "config": trial.config,
        }
        told = {
            f"ASHA_QUEUE_{name.upper()}": json.dumps(value) if name == "config" else str(value)
            for name, value in values.items()
        }
        line, parameters = rendered(command, values)
        reader, writer = os.pipe()
        try:
            kills = MemoryKills(os.getpid())
            process = subprocess.Popen(
                ["/bin/sh", "-c", line, "sh", *parameters],
                cwd=folder,
                env=os.environ | told | {"PYTHONUNBUFFERED": "1"},
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        finally:
            os.close(writer)
        try:
            self._follow(process, reader)
        except BaseException:
            self._end(process, reader)
            raise
        finally:
            os.close(reader)
        self._await_word(process.returncode)
        self._judge(process.returncode, kills)

    def _await_word(self, code: int) -> None:
        """Looks for a drain once more when it has ended as after one."""
        early = code == 0 and self._stepped and self._step < self._trial.target
        deadline = time.monotonic() + WORD
        while not self._asked and (early or code) and time.monotonic() < deadline:
            self._asked = self._trial.draining
            time.sleep(LOOK_EVERY / 10)

    def _follow(self, process: subprocess.Popen[bytes], reader: int) -> None:
        """Reads until it has ended and nothing more comes; what it leaves running is not read."""
        opened, deadline = True, math.inf
        while True:
            ended = process.poll() is not None
            if ended and self._asked and not self._killed:
                deadline = min(deadline, time.monotonic() + SAVING)
                ended = time.monotonic() >= deadline or not living(in_session(process.pid))
            wait = 0 if ended else LOOK_EVERY
            if select.select([reader] if opened else [], [], [], wait)[0]:
                data = os.read(reader, LINE)
                opened = bool(data)
                self._read(data)
            elif ended:
                break
            self._trial.go_on()
            if not ended and not self._asked and self._trial.draining:
                self._asked = True
                self._killed = tell(process.pid)
        self._line(self._rest)

    def _end(self, process: subprocess.Popen[bytes], reader: int) -> None:
        """Ends it, by force after GRACE, and keeps what it says meanwhile."""
        _signal(process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE
        while process.poll() is None and time.monotonic() < deadline:
            if select.select([reader], [], [], LOOK_EVERY)[0]:
                if data := os.read(reader, LINE):
                    _log(data)
                else:
                    time.sleep(LOOK_EVERY)
        _signal(process, signal.SIGKILL)
        process.wait()

    # -- what it prints --------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        _log(data)
        *lines, rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if not self._long:
                self._line(line[:LINE])
            self._long = False
        self._long = self._long or len(rest) > LINE
        self._rest = b"" if self._long else rest

    def _line(self, line: bytes) -> None:
        text = line.decode(errors="replace").strip()
        if not text:
            return
        self._tail.append(text[:200])
        found = self._matched(text) if self._pattern else self._json(text)
        step = found.pop("step", None)
        self._seen.update(dict.fromkeys(found))
        if found:
            self._report(step, found)

    def _json(self, text: str) -> dict[str, float]:
        if not text.startswith("{"):
            return {}
        try:
            read = json.loads(text)
        except (ValueError, RecursionError):
            return {}
        if not isinstance(read, dict) or not ({"step", *self._metrics} & read.keys()):
            return {}
        return {k: v for k, v in read.items() if type(v) in (int, float)}

    def _matched(self, text: str) -> dict[str, float]:
        assert self._pattern
        match = search(self._pattern, text)
        found = {}
        for name, value in match.groupdict().items() if match else ():
            with contextlib.suppress(TypeError, ValueError):  # no part of the match, or no number
                found[name] = float(value)
        return found

    def _report(self, step: float | None, metrics: dict[str, float]) -> None:
        trial = self._trial
        if step is not None:
            self._stepped = True
            if abs(step) > 2**63 or not math.isfinite(step) or int(step) != step:
                raise CommandError(
                    f"the command printed step {step!s:.40}, which is no whole number"
                )
            number = int(step)
        else:
            number = self._step if self._stepped else min(self._step + 1, trial.target)
        if not self._step <= number <= trial.target:
            raise CommandError(
                f"the command printed step {number} after step {self._step}, but trains from "
                f"{{start}} = {trial.start} to {{target}} = {trial.target}: have it count on from "
                f"the checkpoint, and end at {{target}}"
            )
        self._step = number
        self._last = metrics
        trial.report(number, **metrics)

    # -- its end ---------------------------------------------------------------------------------

    def _judge(self, code: int, kills: MemoryKills) -> None:
        status = 128 - code if code < 0 else code  # as shells say it
        if self._asked and (status or self._killed):
            self._killed = True
            _log(b"asha-queue: told to end, it ended with an error: what it saved is not used\n")
        elif status:
            raise CommandError(self._failure(status, kills))
        if self._asked:
            self.saved = bool(self._last) and not self._killed
            return
        if missing := [name for name in self._metrics if name not in self._seen]:
            raise CommandError(
                f"metric {missing[0]} was never printed; numbers that were: "
                f"{', '.join(self._seen) or 'none'}. Print a line of JSON such as "
                f'{{"step": 3, "{missing[0]}": 0.5}}, or set pattern to a regular expression with '
                f"(?P<{missing[0]}>…){self._output()}"
            )
        if not self._stepped:
            self._trial.report(self._trial.target, **self._last)
        self.saved = True

    def _failure(self, status: int, kills: MemoryKills) -> str:
        if 128 < status <= 192:
            said = cause(128 - status, kills.rose()).removeprefix(": ")
            if status == 128 + signal.SIGKILL and not kills.rose():
                said += "; perhaps for want of memory"
            if status == 128 + signal.SIGSEGV:
                said += ": a segmentation fault"
        else:
            said = f"exit code {status}" + (f", {_CODES[status]}" if status in _CODES else "")
        # not a rule below what was said
        said_last = next((line for line in reversed(self._tail) if re.search(r"\w", line)), "")
        last = f": {said_last}" if said_last else ""
        return f"the command ended with {said}{last}{self._output()}"

    def _output(self) -> str:
        return "".join(f"\n  {line}" for line in self._tail)


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """To all of its process group, which is its session's first."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _log(data: bytes) -> None:
    with contextlib.suppress(OSError):  # a full disk: the log is not the training
        os.write(1, data)
