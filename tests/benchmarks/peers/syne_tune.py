"""Syne Tune's promotion, as it was until 0.13, on its local back-end: a process per segment."""

import logging
import os
import random
from datetime import datetime
from pathlib import Path
from typing import Any

from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.backend.trial_status import Trial
from syne_tune.config_space import uniform
from syne_tune.optimizer.schedulers.hyperband import HyperbandScheduler
from syne_tune.optimizer.schedulers.hyperband_promotion import PromotionRungEntry

from tests.benchmarks.peers.work import DECISIONS, LEVELS, Phase, main, timed

#: Seconds between two looks at the trials; each costs a look at the files of them all.
LOOK_EVERY = 0.01


def _scheduler(**constants: Any) -> HyperbandScheduler:
    return HyperbandScheduler(
        {"x": uniform(0, 1), "epochs": LEVELS[-1], **constants},
        searcher="random",
        type="promotion",
        metric="loss",
        mode="min",
        resource_attr="epoch",
        max_resource_attr="epochs",
        grace_period=1,
        reduction_factor=4,
        random_seed=0,
    )


def play(place: str, phases: list[Phase]) -> None:
    os.environ["SYNETUNE_FOLDER"] = place
    logging.disable(logging.WARNING)
    for number, phase in enumerate(phases):
        Tuner(
            trial_backend=LocalBackend(entry_point=str(_program(Path(place), phase))),
            scheduler=_scheduler(),
            stop_criterion=StoppingCriterion(max_num_trials_started=phase.trials),
            n_workers=2,
            sleep_time=LOOK_EVERY,
            results_update_interval=3600,
            print_update_interval=3600,
            wait_trial_completion_when_stopping=True,
            callbacks=[],
            save_tuner=False,
            tuner_name=f"phase-{number}",
        ).run()


def _program(folder: Path, phase: Phase) -> Path:
    """What the back-end starts; not this module, which has the peer's name."""
    program = folder / "trial.py"
    program.write_text(
        f"""\
from argparse import ArgumentParser
from syne_tune import Reporter
from tests.benchmarks.peers.work import segment

parser = ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
given, _ = parser.parse_known_args()
loss = segment(given.x, given.epochs, {phase.seconds!r}, {phase.lines!r})
Reporter()(epoch=given.epochs, loss=loss)
"""
    )
    return program


def decide(results: int) -> float:
    """From a result to what its worker does next."""
    scheduler = _scheduler()
    rng = random.Random(0)
    lowest = scheduler.terminator._rung_systems[0]._rungs[-1]
    losses = sorted(rng.random() for _ in range(results))
    for rank, loss in enumerate(losses):
        # all that may be promoted has been, also when those to come have moved the cut
        promoted = rank < results / 4 + DECISIONS
        lowest.add(PromotionRungEntry(f"before-{rank}", loss, promoted))
    trials: dict[int, Any] = {}
    running: list[tuple[Any, int]] = []

    def start() -> None:
        suggestion = scheduler.suggest(len(trials))
        if suggestion.spawn_new_trial_id:
            trial = Trial(len(trials), suggestion.config, datetime.now())
            trials[len(trials)] = trial
            scheduler.on_trial_add(trial)
        else:
            trial = trials[int(suggestion.checkpoint_trial_id)]
        running.append((trial, suggestion.config["epochs"]))

    def decision(loss: float) -> None:
        trial, level = running.pop()
        scheduler.on_trial_result(trial, {"loss": loss, "epoch": level})
        start()

    start()
    return timed(decision)


if __name__ == "__main__":
    main(decide, play=play)
