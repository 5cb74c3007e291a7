"""A linear classifier of scikit-learn's digits, trained by `partial_fit`: an epoch is a step.

asha-queue run workers/frameworks/sklearn_digits.py
"""

import pickle
from functools import cache
from typing import Any

import numpy as np

from asha_queue import Experiment, Trial, choice, loguniform


def train(trial: Trial) -> None:
    from sklearn.linear_model import SGDClassifier

    images, digits, held_out, answers = data()
    rng = np.random.default_rng(trial.number)  # of the order of the data
    model = SGDClassifier(loss="log_loss", shuffle=False, **trial.config)
    if trial.checkpoint:
        model, rng = pickle.loads((trial.checkpoint / "model.pkl").read_bytes())
    for _epoch in trial.steps():
        order = rng.permutation(len(images))
        model.partial_fit(images[order], digits[order], classes=range(10))
        trial.report(accuracy=model.score(held_out, answers))
    with trial.save() as folder:  # coefficients, and the count of updates that the rate depends on
        (folder / "model.pkl").write_bytes(pickle.dumps((model, rng)))


@cache
def data() -> tuple[Any, Any, Any, Any]:
    """Images and their digits: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    held_out = len(images) // 5
    return images[held_out:] / 16, digits[held_out:], images[:held_out] / 16, digits[:held_out]


experiment = Experiment(
    name="sklearn-digits",
    train=train,
    space={
        "alpha": loguniform(1e-6, 1.0),
        "eta0": loguniform(1e-4, 1.0),
        "learning_rate": choice(["constant", "invscaling", "adaptive"]),
        "average": choice([False, True]),
    },
    metric="accuracy",
    mode="max",
    max_t=64,
    num_samples=64,
    seed=0,
)
