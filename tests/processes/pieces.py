"""Segments without a worker: a program's function, trained in pieces.

python -m tests.processes.pieces PROGRAM: segments in a process of their own, as what is in the
memory of another is nothing to rely on; they come as JSON on standard input. The reports of each
are printed, as JSON in the last line. Frameworks take longer to import than to train here: what
need not be apart shares a process.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asha_queue.checkpoints import Draft
from asha_queue.errors import TrialStopped
from asha_queue.training.programs import digest, load
from asha_queue.training.progress import Progress
from asha_queue.training.trial import Trial

ROOT = Path(__file__).parent.parent.parent
WORKERS = ROOT / "workers"

Reports = list[dict[str, float]]


@dataclass(frozen=True)
class Piece:
    """One segment; its checkpoint is written to `folder`, and it goes on from `checkpoint`."""

    config: dict[str, Any]
    metric: str
    start: int
    target: int
    folder: str
    checkpoint: str | None = None
    #: The step at which the segment is wanted back.
    drain_at: int | None = None
    #: The step whose report finds that the trial was cancelled.
    cancel_at: int | None = None


class Segment:
    """What a trial needs of the segment that it is trained in."""

    def __init__(self, piece: Piece) -> None:
        self.progress = Progress(piece.start, piece.target, piece.metric)
        self.piece = piece
        self.reports: Reports = []

    def draining(self) -> bool:
        return self.piece.drain_at is not None and self.progress.reached >= self.piece.drain_at

    def go_on(self) -> None:
        if self.piece.cancel_at is not None:
            if self.progress.reached >= self.piece.cancel_at - 1:
                raise TrialStopped("cancelled")

    def live(self, step: int, metrics: dict[str, float]) -> None:
        self.reports.append({"step": step} | metrics)

    @contextlib.contextmanager
    def writer(self, resource: int, metrics: dict[str, float]) -> Iterator[Draft]:
        folder = Path(self.piece.folder)
        folder.mkdir(parents=True)
        yield Draft(folder, resource, metrics)

    def written(self, record: dict[str, Any]) -> None:
        pass


def train_here(program: str, piece: Piece) -> Reports:
    """Trains a segment in this process; TrialStopped comes out of it."""
    path = WORKERS / program
    function = load(f"{path.name}:train", [path.parent], digest(path))
    segment = Segment(piece)
    trial = Trial(
        segment,
        number=7,
        config=piece.config,
        experiment=path.stem,
        rung=0,
        attempt=1,
        device="cpu",
        checkpoint=Path(piece.checkpoint) if piece.checkpoint else None,
    )
    function(trial)
    return segment.reports


def train_apart(program: str, *pieces: Piece) -> list[Reports]:
    """The reports of segments that are trained in a process of their own, one after the other, with
    a single thread, as in a worker; empty for one that TrialStopped came out of."""
    home = Path(pieces[0].folder).parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.processes.pieces", program],
        cwd=ROOT,
        env=os.environ
        | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "KERAS_HOME": str(home)},
        input=json.dumps([asdict(piece) for piece in pieces]),
        capture_output=True,
        text=True,
        timeout=290,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    reports: list[Reports] = json.loads(done.stdout.splitlines()[-1])
    return reports


def in_pieces(
    program: str,
    config: dict[str, Any],
    metric: str,
    folder: Path,
    *targets: int,
) -> tuple[Reports, Path]:
    """Trains a segment up to each of `targets`; returns all reports and the last checkpoint."""
    reports: Reports = []
    checkpoint, start = None, 0
    for target in targets:
        piece = Piece(config, metric, start, target, str(folder / str(target)), checkpoint)
        reports += train_here(program, piece)
        checkpoint, start = piece.folder, target
    assert checkpoint is not None
    return reports, Path(checkpoint)


def _until_stopped(program: str, piece: Piece) -> Reports:
    try:
        return train_here(program, piece)
    except TrialStopped:
        return []


if __name__ == "__main__":
    asked = [Piece(**piece) for piece in json.load(sys.stdin)]
    print("\n" + json.dumps([_until_stopped(sys.argv[1], piece) for piece in asked]))
