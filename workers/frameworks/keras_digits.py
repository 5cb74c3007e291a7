"""Keras 3 on scikit-learn's digits, with PyTorch below it unless KERAS_BACKEND says otherwise.

asha-queue run workers/frameworks/keras_digits.py
"""

import os
from functools import cache
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # before the import

import keras
import numpy as np

from asha_queue import Experiment, Trial, choice, loguniform

#: The schedule is laid out for a whole trial, not for the segment that is trained now.
EPOCHS = 27


class Reporting(keras.callbacks.Callback):
    """Reports each epoch, and ends the fit when the segment is wanted back."""

    def __init__(self, trial: Trial) -> None:
        super().__init__()
        self.trial = trial

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        # the file of a model has no state of the generator that shuffles: each epoch has its own
        keras.utils.set_random_seed(1000 * self.trial.number + epoch)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.trial.report(epoch + 1, accuracy=logs["val_accuracy"], loss=logs["val_loss"])
        self.model.stop_training = self.trial.draining


def train(trial: Trial) -> None:
    images, labels, *held_out = digits()
    if trial.checkpoint:  # weights, optimizer with its count of steps, and the dropout's generator
        model = keras.saving.load_model(trial.checkpoint / "model.keras")
    else:
        keras.utils.set_random_seed(trial.number)
        model = net(trial.config["lr"], trial.config["hidden"], len(images) // 32 * EPOCHS)
    model.fit(
        images,
        labels,
        batch_size=32,
        initial_epoch=trial.start,
        epochs=trial.target,
        validation_data=tuple(held_out),
        callbacks=[Reporting(trial)],
        verbose=0,
    )
    with trial.save() as folder:
        model.save(folder / "model.keras")


def net(lr: float, hidden: int, steps: int) -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(hidden, activation="relu"),
            keras.layers.Dropout(0.1),
            keras.layers.Dense(10),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(lr, steps)),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


@cache
def digits() -> list[np.ndarray]:
    """Images of 8 x 8 pixels and their digits: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(images))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    return [part[rows] for rows in (training, held_out) for part in (images / 16, labels)]


experiment = Experiment(
    name="keras_digits",
    train=train,
    space={"lr": loguniform(1e-4, 1e-1), "hidden": choice([16, 32, 64])},
    metric="accuracy",
    mode="max",
    max_t=EPOCHS,
    reduction_factor=3,
    num_samples=27,
    seed=0,
)

if __name__ == "__main__":
    result = experiment.run(workers=2)
    if result.best:
        print(result.best.config, result.best.metrics)
