"""Trees of XGBoost for scikit-learn's breast cancer data: a round of boosting is a step.

asha-queue run workers/frameworks/xgboost_cancer.py  (needs: pip install 'asha-queue[xgboost]')
"""

from functools import cache

import xgboost as xgb

from asha_queue import Experiment, Trial, loguniform, randint, uniform


def train(trial: Trial) -> None:
    training, held_out = data()
    settings = {"objective": "binary:logistic", "nthread": 1, **trial.config}
    model = xgb.Booster(model_file=trial.checkpoint / "model.ubj") if trial.checkpoint else None
    for step in trial.steps():
        # a round goes on from the trees alone: it draws by a seed of its own
        drawn = {"seed": 1000 * trial.number + step}
        model = xgb.train(settings | drawn, training, num_boost_round=1, xgb_model=model)
        _, _, loss = model.eval(held_out).rpartition(":")
        trial.report(logloss=float(loss))
    assert model is not None
    with trial.save() as folder:
        model.save_model(folder / "model.ubj")


@cache
def data() -> tuple[xgb.DMatrix, xgb.DMatrix]:
    """Measured tumours: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_breast_cancer

    measures, benign = load_breast_cancer(return_X_y=True)
    held_out = len(measures) // 5
    return (
        xgb.DMatrix(measures[held_out:], benign[held_out:], nthread=1),
        xgb.DMatrix(measures[:held_out], benign[:held_out], nthread=1),
    )


experiment = Experiment(
    name="xgboost-cancer",
    train=train,
    space={
        "eta": loguniform(0.01, 1.0),
        "max_depth": randint(2, 9),
        "min_child_weight": loguniform(0.1, 10.0),
        "subsample": uniform(0.4, 1.0),
        "colsample_bytree": uniform(0.2, 1.0),
    },
    metric="logloss",
    mode="min",
    max_t=256,
    grace_period=4,
    num_samples=64,
    seed=0,
)
