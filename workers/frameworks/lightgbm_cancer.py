"""Trees of LightGBM for scikit-learn's breast cancer data: a round of boosting is a step.

asha-queue run workers/frameworks/lightgbm_cancer.py  (needs: pip install 'asha-queue[lightgbm]')
"""

from functools import cache
from typing import Any

import lightgbm as lgb
import numpy as np

from asha_queue import Experiment, Trial, lograndint, loguniform, uniform


def train(trial: Trial) -> None:
    measures, benign, held_out, answers = data()
    settings = {"objective": "binary", "num_threads": 1, "verbosity": -1, "deterministic": True}
    settings |= {"bagging_freq": 1, "force_row_wise": True, **trial.config}
    model: Any = None
    if trial.checkpoint:
        model = lgb.Booster(model_file=trial.checkpoint / "model.txt")
    for step in trial.steps():
        # a round goes on from the trees alone: it draws by a seed of its own
        drawn = {"seed": 1000 * trial.number + step}
        training = lgb.Dataset(measures, benign, params=settings | drawn)
        model = lgb.train(settings | drawn, training, num_boost_round=1, init_model=model)
        trial.report(logloss=logloss(model.predict(held_out), answers))
    with trial.save() as folder:
        model.save_model(folder / "model.txt")


def logloss(guesses: Any, answers: Any) -> float:
    right = np.where(answers == 1, guesses, 1 - guesses)
    return float(-np.log(np.clip(right, 1e-15, 1)).mean())


@cache
def data() -> tuple[Any, Any, Any, Any]:
    """Measured tumours: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_breast_cancer

    measures, benign = load_breast_cancer(return_X_y=True)
    held_out = len(measures) // 5
    return measures[held_out:], benign[held_out:], measures[:held_out], benign[:held_out]


experiment = Experiment(
    name="lightgbm-cancer",
    train=train,
    space={
        "learning_rate": loguniform(0.01, 1.0),
        "num_leaves": lograndint(4, 65),
        "min_child_samples": lograndint(2, 65),
        "bagging_fraction": uniform(0.4, 1.0),
        "feature_fraction": uniform(0.2, 1.0),
    },
    metric="logloss",
    mode="min",
    max_t=256,
    grace_period=4,
    num_samples=64,
    seed=0,
)
