"""An objective as it is written for Optuna, whose study is an experiment here.

asha-queue run workers/optuna_digits.py
"""

import pickle
from functools import cache
from typing import Any

from asha_queue import Experiment


def objective(trial: Any) -> float:
    from sklearn.linear_model import SGDClassifier

    images, digits, held_out, answers = data()
    model = SGDClassifier(
        alpha=trial.suggest_float("alpha", 1e-6, 1.0, log=True),
        eta0=trial.suggest_float("eta0", 1e-4, 1.0, log=True),
        learning_rate=trial.suggest_categorical("schedule", ["constant", "invscaling"]),
        random_state=trial.number,
    )
    epoch = 0
    if trial.checkpoint:  # not in Optuna; without it each segment trains from the beginning
        model, epoch = pickle.loads((trial.checkpoint / "model").read_bytes())
    while epoch < 64:
        model.partial_fit(images, digits, classes=range(10))
        epoch += 1
        trial.report(model.score(held_out, answers), epoch)
        if trial.should_prune():  # at the end of each segment
            with trial.save() as folder:
                (folder / "model").write_bytes(pickle.dumps((model, epoch)))
            break  # `raise optuna.TrialPruned` is as good
    return float(model.score(held_out, answers))


@cache
def data() -> tuple[Any, Any, Any, Any]:
    """Images and their digits: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    held_out = len(images) // 5
    return images[held_out:] / 16, digits[held_out:], images[:held_out] / 16, digits[:held_out]


experiment = Experiment(
    name="optuna-digits",
    train=objective,
    dialect="optuna",  # `space` is what the objective suggests
    metric="accuracy",
    mode="max",
    max_t=64,
    grace_period=1,
    reduction_factor=4,
    num_samples=64,
    seed=0,
)

if __name__ == "__main__":
    result = experiment.run(workers=2)
    if result.best:
        print(result.best.config, result.best.metrics)
