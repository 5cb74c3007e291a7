"""The first thing a newcomer runs, whole: `workers/digits.py` on one worker."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from asha_queue.planning import forecast
from asha_queue.search.rules import check
from asha_queue.simulation import simulate
from asha_queue.specification import Specification
from asha_queue.store.journal import load

PROGRAM = Path(__file__).parents[2] / "workers" / "digits.py"


@pytest.mark.slow
def test_digits_are_learnt_by_continued_trials_as_the_simulator_predicts(tmp_path: Path) -> None:
    (tmp_path / "digits.py").write_text(PROGRAM.read_text())
    subprocess.run(
        [sys.executable, "-m", "asha_queue", "run", "digits.py", "--workers", "1"],
        cwd=tmp_path,
        env={k: v for k, v in os.environ.items() if not k.endswith("BROKER")},
        check=True,
        timeout=250,
    )
    lines = (tmp_path / "asha-runs/digits/journal.jsonl").read_text().splitlines()
    journal = [load(line) for line in lines]
    specification = Specification.from_json(journal[0]["experiment"])
    completed = [e for e in journal if e["type"] == "completed"]
    started = [e for e in journal if e["type"] == "started"]
    configs = {e["trial"]: e["config"] for e in journal if e["type"] == "scheduled"}

    assert check(journal) == []
    assert max(e["metrics"]["accuracy"] for e in completed) >= 0.97
    rungs = Counter(e["rung"] for e in completed)
    assert set(rungs) == {0, 1, 2, 3}
    below = {0: 0, 1: 1, 2: 4, 3: 16}
    assert all(e["start"] == below[e["rung"]] for e in started)
    spent = sum(e["reached"] - below[e["rung"]] for e in completed)
    assert 1 / 2 < spent / forecast(specification, [1]).resource.median < 2
    assert spent <= specification.num_trials * specification.max_t / 3

    trained = {(json.dumps(configs[e["trial"]]), e["reached"]): e["metrics"] for e in completed}
    simulated = simulate(
        specification,
        lambda config, step: trained[json.dumps(config), step],
        lambda config, start, target: target - start,
        workers=1,
    )
    predicted = [e for e in simulated.journal if e["type"] == "started"]
    assert [(e["trial"], e["rung"]) for e in started] == [
        (e["trial"], e["rung"]) for e in predicted
    ]
    print(f"rungs {dict(rungs)}, {spent} steps of {specification.num_trials * specification.max_t}")
