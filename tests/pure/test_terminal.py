"""What a run says on a pipe."""

import io

from asha_queue.result import Result
from asha_queue.terminal.view import Lines
from asha_queue.views import overview
from tests.pure.test_specification import specification


def test_each_reason_of_a_failure_and_each_note_is_said_once() -> None:
    out = io.StringIO()
    lines, result = Lines(out), Result(specification())
    for trial in range(3):
        place = {"trial": trial, "rung": 0, "attempt": 1}
        result.apply({"type": "scheduled", "target": 1, "config": {}, **place})
        error = {"error": "TypeError: bad", "final": True, "reached": 0}
        result.apply({"type": "failed", **error, **place})
        lines.show(overview(result, [], {}))
    place = {"trial": 3, "rung": 0, "attempt": 1}
    result.apply({"type": "scheduled", "target": 1, "config": {}, **place})
    done = {"metrics": {"accuracy": 0.5}, "reached": 1, "checkpoint": None}
    result.apply({"type": "completed", **done, **place})
    for _ in range(3):
        lines.show(overview(result, [], {}))
    said = [line for line in out.getvalue().splitlines() if not line.startswith("digits ")]
    assert said == [
        "failed 1: TypeError: bad (trial 0)",
        "note: no segment has saved a checkpoint, so each starts from step 0: up to 33% more "
        "work. Write one by trial.save()",
    ]
