"""The same search as digits.py with PyTorch, on the GPU that the worker was given, if any.

asha-queue run workers/digits_torch.py
"""

from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from asha_queue import Experiment, Trial, choice, loguniform


def train(trial: Trial) -> None:
    torch.manual_seed(trial.number)
    learning = Learning(trial.device, **trial.config)
    if trial.checkpoint:  # a folder, or None when starting from nothing
        learning.load(trial.checkpoint / "learning.pt")
    for _epoch in trial.steps():  # those of this segment; ends early when asked to make room
        loss = learning.fit_one_epoch()
        trial.report(accuracy=learning.score(), loss=loss)
    with trial.save() as folder:
        learning.dump(folder / "learning.pt")


class Learning:
    """A model, its optimizer and its data."""

    def __init__(self, device: str, lr: float, hidden: int, batch: int) -> None:
        self.device = device
        self.model = nn.Sequential(
            nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 10)
        ).to(device)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr, momentum=0.9)
        training, self.held_out = digits()
        self.batches = DataLoader(training, batch_size=batch, shuffle=True)

    def fit_one_epoch(self) -> float:
        """Returns the mean loss of the batches."""
        self.model.train()
        total = torch.zeros((), device=self.device)
        for images, labels in self.batches:
            logits = self.model(images.to(self.device))
            loss = nn.functional.cross_entropy(logits, labels.to(self.device))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach()
        return float(total) / len(self.batches)

    def score(self) -> float:
        self.model.eval()
        images, labels = self.held_out.tensors
        with torch.no_grad():
            guesses = self.model(images.to(self.device)).argmax(dim=1).cpu()
        return float((guesses == labels).double().mean())

    def dump(self, path: Path) -> None:
        """Saves all that the next epoch depends on: going on equals never having stopped."""
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all(),
        }
        torch.save(state, path)

    def load(self, path: Path) -> None:
        # on the CPU first: the device may have another number on this worker
        state = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if len(state["cuda_rng"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_rng"])


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Images of 8 x 8 pixels and their digits: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_digits  # where it is trained only: importing it takes long

    images, labels = load_digits(return_X_y=True)
    data = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    return (
        TensorDataset(*(part[training] for part in data)),
        TensorDataset(*(part[held_out] for part in data)),
    )


experiment = Experiment(
    name="digits_torch",
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
    num_samples=64,
    seed=0,
)

if __name__ == "__main__":
    result = experiment.run()
    if result.best:
        print(result.best.config, result.best.metrics)
