"""A script for Ray Tune with its imports changed: ASHA on a made-up training.

python workers/ray_article.py
"""

from typing import Any

from asha_queue import tune
from asha_queue.tune.schedulers import ASHAScheduler


def train_fn(config: dict[str, Any]) -> None:
    for step in range(1, config["epochs"] + 1):
        accuracy = (step / config["epochs"]) * config["learning_rate"] * 10
        tune.report(accuracy=accuracy, step=step)


if __name__ == "__main__":
    analysis = tune.run(
        train_fn,
        config={
            "epochs": 100,
            "learning_rate": tune.grid_search([0.001, 0.01, 0.1]),
            "layers": tune.grid_search([1, 2, 3]),
        },
        num_samples=20,
        scheduler=ASHAScheduler(
            metric="accuracy", mode="max", max_t=100, grace_period=10, reduction_factor=2
        ),
    )
    print("best", analysis.get_best_config(metric="accuracy", mode="max"))
