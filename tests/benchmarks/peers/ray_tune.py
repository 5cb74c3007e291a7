"""Ray Tune with reused actors: `reset_config` takes the next trial into a process that is there."""

import os
import random
from types import SimpleNamespace
from typing import Any

# before Ray is imported: nothing leaves the machine
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler

from tests.benchmarks.peers.work import LEVELS, Phase, main, segment, timed


class Work(tune.Trainable):  # type: ignore[misc]  # has no types
    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._given = new_config
        self._levels = iter(LEVELS)
        return True

    def step(self) -> dict[str, Any]:
        level, given = next(self._levels), self._given
        loss = segment(given["x"], level, given["seconds"], given["lines"])
        return {"loss": loss, "level": level, "done": level == LEVELS[-1]}


def _scheduler(**more: str) -> Any:
    return ASHAScheduler(
        time_attr="level", max_t=LEVELS[-1], grace_period=1, reduction_factor=4, **more
    )


def play(place: str, phases: list[Phase]) -> None:
    """Results and the state of the search are in memory only."""
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "3600"
    keep(place, phases)


def keep(place: str, phases: list[Phase]) -> None:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        _node_ip_address="127.0.0.2",  # it replaces 127.0.0.1 by the address on the network
        _temp_dir=place,
    )
    try:
        for number, phase in enumerate(phases):
            space = {"x": tune.uniform(0, 1), "seconds": phase.seconds, "lines": phase.lines}
            tune.Tuner(
                tune.with_resources(Work, {"cpu": 1}),
                param_space=space,
                tune_config=tune.TuneConfig(
                    metric="loss",
                    mode="min",
                    num_samples=phase.trials,
                    max_concurrent_trials=2,
                    scheduler=_scheduler(),
                    reuse_actors=True,
                ),
                run_config=tune.RunConfig(
                    name=str(number),
                    storage_path=f"{place}/results",
                    checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                    verbose=0,
                ),
            ).fit()
    finally:
        ray.shutdown()


def decide(results: int) -> float:
    """From a result to what becomes of its trial."""
    scheduler = _scheduler(metric="loss", mode="min")
    rng = random.Random(0)
    _, lowest = scheduler._brackets[0]._rungs[-1]
    lowest.update((f"before-{number}", -rng.random()) for number in range(results))
    trials = iter([SimpleNamespace(trial_id=str(number)) for number in range(results)])

    def decision(loss: float) -> None:
        trial = next(trials)
        scheduler.on_trial_add(None, trial)
        scheduler.on_trial_result(None, trial, {"loss": loss, "level": 1})

    return timed(decision)


if __name__ == "__main__":
    main(decide, play=play, keep=keep)
