"""Scripts for Ray Tune with their imports changed, run as their users run them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asha_queue.result import Result
from asha_queue.store.journal import load_file

ARTICLE = Path(__file__).parent.parent.parent / "workers" / "ray_article.py"

#: Starts its search without asking for `__main__`; what it trains goes on from its checkpoints.
UNGUARDED = """
import json, tempfile
from pathlib import Path
from asha_queue import tune
from asha_queue.tune.schedulers import ASHAScheduler

def train_fn(config):
    first, seen = 1, []
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            seen = json.loads(Path(folder, "seen.json").read_text())
        first = seen[-1] + 1
    for epoch in range(first, 1000):
        seen.append(epoch)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "seen.json").write_text(json.dumps(seen))
            tune.report(
                {"score": config["x"] * epoch, "epochs": len(seen), "step": epoch},
                checkpoint=tune.Checkpoint.from_directory(folder),
            )

results = tune.Tuner(
    train_fn,
    param_space={"x": tune.grid_search([1, 2, 3, 4])},
    tune_config=tune.TuneConfig(
        metric="score", mode="max", scheduler=ASHAScheduler(max_t=4, reduction_factor=2)
    ),
    run_config=tune.RunConfig(name="unguarded"),
).fit()
best = results.get_best_result()
print("BEST", best.config["x"], best.metrics["score"], best.metrics["epochs"], best.metrics["step"])
print("SEEN", Path(best.checkpoint.to_directory(), "seen.json").read_text())
"""


def output_of(script: Path, folder: Path) -> str:
    """What a script prints that ends well, run in a folder."""
    unset = ("ASHA_QUEUE_BROKER", "CELERY_BROKER_URL", "ASHA_QUEUE_STORAGE")
    done = subprocess.run(
        [sys.executable, str(script)],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k not in unset},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def result_in(folder: Path) -> Result:
    (journal,) = folder.glob("asha-runs/*/journal.jsonl")
    entries, _ = load_file(journal)
    return Result.from_journal(entries)


@pytest.mark.slow
def test_a_script_without_a_guard_goes_on_from_its_checkpoints(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(UNGUARDED)
    said = output_of(script, tmp_path)
    assert "BEST 4 16 4 4" in said
    assert "SEEN [1, 2, 3, 4]" in said
    result = result_in(tmp_path)
    assert [rung.level for rung in result.rungs] == [1, 2, 4]
    # nothing was trained twice
    assert result.resource_spent == sum(trial.resource for trial in result.trials)


@pytest.mark.slow
def test_the_example_of_the_article_finds_its_learning_rate_for_half_the_work(
    tmp_path: Path,
) -> None:
    said = output_of(ARTICLE, tmp_path)
    assert re.search(r"best \{.*'learning_rate': 0.1", said)
    assert "Number of trials: 180 (180 TERMINATED)" in said
    result = result_in(tmp_path)
    assert [rung.level for rung in result.rungs] == [10, 20, 40, 80, 100]
    assert all(rung.results for rung in result.rungs)
    assert result.rungs[0].results == 180
    assert result.resource_spent < 180 * 100 * 0.6
    assert all(t.error is None for t in result.trials)
