"""Tunes a small neural network on scikit-learn's handwritten digits.

asha-queue run workers/digits.py
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from asha_queue import Experiment, Trial, choice, loguniform

Array = npt.NDArray[np.float32]


def train(trial: Trial) -> None:
    model = Net(seed=trial.number, **trial.config)
    if trial.checkpoint:  # a folder, or None when starting from nothing
        model.load(trial.checkpoint / "model.npz")
    for _epoch in trial.steps():  # those of this segment; ends early when asked to make room
        model.fit_one_epoch()
        trial.report(accuracy=model.score())
    with trial.save() as folder:
        model.dump(folder / "model.npz")


class Net:
    """One hidden layer, trained by gradient descent with momentum."""

    def __init__(self, lr: float, hidden: int, batch: int, seed: int) -> None:
        self.lr = lr
        self.batch = batch
        self.rng = np.random.default_rng(seed)
        shapes = {"w1": (64, hidden), "b1": (hidden,), "w2": (hidden, 10), "b2": (10,)}
        self.weights = {
            name: self.rng.normal(0, 0.1, shape).astype(np.float32)
            for name, shape in shapes.items()
        }
        self.momentum = {name: np.zeros_like(value) for name, value in self.weights.items()}

    def fit_one_epoch(self) -> None:
        images, labels, *_ = digits()
        order = self.rng.permutation(len(images))
        for chosen in np.split(order, range(self.batch, len(order), self.batch)):
            self.step(images[chosen], labels[chosen])

    def step(self, images: Array, labels: npt.NDArray[np.int64]) -> None:
        w = self.weights
        hidden, logits = self.forward(images)
        error = np.exp(logits - logits.max(axis=1, keepdims=True))
        error /= error.sum(axis=1, keepdims=True)
        error[np.arange(len(labels)), labels] -= 1
        error /= len(labels)
        below = (error @ w["w2"].T) * (hidden > 0)
        gradients = {
            "w1": images.T @ below,
            "b1": below.sum(axis=0),
            "w2": hidden.T @ error,
            "b2": error.sum(axis=0),
        }
        for name, gradient in gradients.items():
            self.momentum[name] = 0.9 * self.momentum[name] - self.lr * gradient
            w[name] += self.momentum[name]

    def forward(self, images: Array) -> tuple[Array, Array]:
        w = self.weights
        hidden = np.maximum(images @ w["w1"] + w["b1"], 0)
        return hidden, hidden @ w["w2"] + w["b2"]

    def score(self) -> float:
        *_, images, labels = digits()
        _, logits = self.forward(images)
        return float(np.mean(logits.argmax(axis=1) == labels))

    def dump(self, path: Path) -> None:
        """Saves all that the next epoch depends on: going on equals never having stopped."""
        saved = {"rng": np.array(json.dumps(self.rng.bit_generator.state))}
        for name in self.weights:
            saved[f"weights_{name}"] = self.weights[name]
            saved[f"momentum_{name}"] = self.momentum[name]
        np.savez(path, allow_pickle=False, **saved)

    def load(self, path: Path) -> None:
        with np.load(path) as saved:
            for name in self.weights:
                self.weights[name] = saved[f"weights_{name}"]
                self.momentum[name] = saved[f"momentum_{name}"]
            self.rng.bit_generator.state = json.loads(str(saved["rng"]))


@cache
def digits() -> tuple[Array, npt.NDArray[np.int64], Array, npt.NDArray[np.int64]]:
    """Images of 8 x 8 pixels and their digits: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_digits  # where it is trained only: importing it takes long

    images, labels = load_digits(return_X_y=True)
    images = (images / 16).astype(np.float32)
    order = np.random.default_rng(0).permutation(len(images))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    return images[training], labels[training], images[held_out], labels[held_out]


experiment = Experiment(
    name="digits",
    train=train,
    space={
        "lr": loguniform(1e-4, 1.0),
        "hidden": choice([16, 32, 64, 128]),
        "batch": choice([16, 32, 64]),
    },
    metric="accuracy",
    mode="max",
    max_t=64,
    grace_period=1,
    reduction_factor=4,
    num_samples=256,
    seed=0,
)

if __name__ == "__main__":
    result = experiment.run(workers=2)
    if result.best:
        print(result.best.config, result.best.metrics)
