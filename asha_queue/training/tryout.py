"""One trial, trained here for its first segments, to learn what training takes.

Rules

* Nothing is submitted and nothing stays: no store, no queue; checkpoints and output are in a
  scratch folder that goes in the end, and whatever the program has started is ended.
* The program runs in a process of its own, as it does in a worker: the first segment begins from
  nothing, the second goes on from what the first one has saved, in the same process. That is how
  a worker goes on, so what is imported and loaded once is told apart from what each segment costs.
* What a step takes is read off the times of reports where a segment has several; else off the two
  segments, which differ in their number of steps. What remains of the second segment is its
  startup: restoring, loading what is not kept, and saving.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from asha_queue.checkpoints import Checkpoints, Draft
from asha_queue.errors import ProgramError
from asha_queue.planning.forecast import Measured
from asha_queue.samplers import Suggestions
from asha_queue.specification import Specification
from asha_queue.training import dialects
from asha_queue.training.current import running
from asha_queue.training.output import redirected
from asha_queue.training.processes import MARK, die_with_parent, marked, sweep
from asha_queue.training.progress import Progress
from asha_queue.training.scripts import COMMANDS
from asha_queue.training.segment import described
from asha_queue.training.surroundings import unchanged
from asha_queue.training.task import device
from asha_queue.training.trial import Trial

#: Segments that are trained, if the ladder has as many rungs.
SEGMENTS: Final = 2
#: Seconds that what the program has started gets to be gone.
SWEEP: Final = 5.0
#: Characters of a program's output that an error shows.
SHOWN: Final = 1000


@dataclass(frozen=True, slots=True)
class Trained:
    """A segment: its seconds, and the steps of its reports with the seconds since it began."""

    start: int
    target: int
    seconds: float
    reports: list[tuple[int, float]]
    #: Bytes of the checkpoint it has saved, if it has.
    saved: int | None


def try_out(
    specification: Specification, roots: Sequence[Path], environment: Mapping[str, str]
) -> Measured:
    """Trains the first trial of an experiment that is resolved, with what pins it to a device.

    Raises ProgramError when the program fails.
    """
    seeded = specification.seeded()
    drawn = seeded.model_copy(update={"sampler": "random"})
    config = Suggestions(drawn).suggest(0, 1)[0]
    mark = f"try-out:{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="asha-queue-plan-") as scratch:
        told = {
            "specification": seeded.to_json(),
            "roots": [str(root) for root in roots],
            "config": config,
            "levels": seeded.ladder.levels[:SEGMENTS],
            "scratch": scratch,
        }
        log = Path(scratch) / "output.log"
        with log.open("wb") as output:
            child = subprocess.Popen(
                [sys.executable, "-m", "asha_queue.training.tryout"],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                # a command, too: it is the user's own, on the user's own machine
                env={**os.environ, **environment, MARK: mark, COMMANDS: "1"},
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
            try:
                child.communicate(json.dumps(told).encode())
            finally:
                child.kill()
                child.wait()
                sweep(marked(MARK, mark), seconds=SWEEP)
        answer = Path(scratch) / "answer.json"
        if not answer.exists():
            said = log.read_text("utf-8", "replace")[-SHOWN:].rstrip()
            raise ProgramError(
                f"the trial that was to be measured has died with its process "
                f"({child.returncode}); it said last: {said or 'nothing'}"
            )
        found = json.loads(answer.read_text())
    if "error" in found:
        raise ProgramError(
            f"the trial that was to be measured has failed, {config}: {found['error']}"
        )
    segments = [Trained(**one) for one in found["segments"]]
    return measured(segments, found["imported"], config)


def measured(segments: Sequence[Trained], imported: float, config: dict[str, Any]) -> Measured:
    """What the segments tell, of which the last began in a process that was warm."""
    spans = [
        (one.reports[-1][0] - one.reports[0][0], one.reports[-1][1] - one.reports[0][1])
        for one in segments
        if len(one.reports) > 1
    ]
    steps, first, last = sum(n for n, _ in spans), segments[0], segments[-1]
    more = _steps(last) - _steps(first)
    apart = True
    if steps:
        per_unit = sum(seconds for _, seconds in spans) / steps
    elif len(segments) > 1 and more > 0 and last.seconds > first.seconds:
        per_unit = (last.seconds - first.seconds) / more
    else:
        apart = False
        per_unit = last.seconds / max(1, _steps(last))
    per_unit = max(per_unit, 1e-6)  # a clock has its grain
    startup = max(0.0, last.seconds - per_unit * _steps(last)) if apart else 0.0
    once = max(0.0, first.seconds - per_unit * _steps(first) - startup)
    sizes = [one.saved for one in segments if one.saved is not None]
    return Measured(
        per_unit=per_unit,
        startup=startup,
        once=imported + (once if len(segments) > 1 else 0.0),
        apart=apart,
        checkpoint_bytes=max(sizes) if sizes else None,
        segments=tuple((one.start, one.target, one.seconds) for one in segments),
        config=config,
    )


def _steps(segment: Trained) -> int:
    return segment.target - segment.start


class _Segment:
    """What a trial asks for, without anybody who would ask for anything back."""

    def __init__(self, checkpoints: Checkpoints, progress: Progress, rung: int) -> None:
        self.progress = progress
        self._checkpoints = checkpoints
        self._rung = rung
        self._began = time.monotonic()
        self.reports: list[tuple[int, float]] = []
        self.saved: dict[str, Any] | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._began

    def draining(self) -> bool:
        return False

    def go_on(self) -> None:
        pass

    def live(self, step: int, metrics: dict[str, float]) -> None:
        if not self.reports or self.reports[-1][0] != step:
            self.reports.append((step, self.seconds))

    @contextlib.contextmanager
    def writer(self, resource: int, metrics: dict[str, float]) -> Iterator[Draft]:
        token = self._rung + 1
        with self._checkpoints.writer(0, token, "try-out", resource, metrics) as draft:
            yield draft

    def written(self, record: dict[str, Any]) -> None:
        self.saved = record


def _train(told: Mapping[str, Any]) -> dict[str, Any]:
    specification, began = told["specification"], time.monotonic()
    program = dialects.program(specification, [Path(root) for root in told["roots"]])
    imported = time.monotonic() - began
    checkpoints = Checkpoints(told["scratch"], specification["name"], "try-out")
    segments: list[Trained] = []
    held: dict[str, Any] | None = None
    for rung, level in enumerate(told["levels"]):
        start = held["resource"] if held else 0
        segment = _Segment(checkpoints, Progress(start, level, specification["metric"]), rung)
        trial = Trial(
            segment,
            number=0,
            config=told["config"],
            experiment=specification["name"],
            rung=rung,
            attempt=1,
            device=device(),
            checkpoint=checkpoints.verify(held) if held else None,
            metrics=held["metrics"] if held else None,
        )
        log = Path(told["scratch"]) / "output.log"
        with redirected(log), unchanged(), running(trial):
            segment.progress.finish(program(trial))
        size = segment.saved["bytes"] if segment.saved else None
        segments.append(Trained(start, level, segment.seconds, segment.reports, size))
        held = segment.saved
    return {"imported": imported, "segments": [asdict(one) for one in segments]}


def main() -> None:
    told = json.load(sys.stdin)
    try:
        answer = _train(told)
    except BaseException as error:  # whatever a program may raise is what it fails with
        answer = {"error": described(error)}
    (Path(told["scratch"]) / "answer.json").write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
