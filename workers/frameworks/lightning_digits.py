"""Lightning on scikit-learn's digits; optimizer, schedule and random state are in its checkpoint.

asha-queue run workers/frameworks/lightning_digits.py
"""

from typing import Any

import lightning as L  # noqa: N812  # as Lightning's own documentation has it
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from asha_queue import Experiment, Trial, choice, loguniform

#: The schedule is laid out for a whole trial, not for the segment that is trained now.
EPOCHS = 27


class Reporting(L.Callback):
    """Reports each epoch, ends the fit when the segment is wanted back, keeps the random state."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.trial.report(trainer.current_epoch + 1, **metrics)
        trainer.should_stop = self.trial.draining

    def state_dict(self) -> dict[str, Any]:
        return {"rng": torch.get_rng_state(), "cuda_rng": torch.cuda.get_rng_state_all()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        torch.set_rng_state(state["rng"])  # the checkpoint is read before the data is shuffled
        if len(state["cuda_rng"]) == torch.cuda.device_count():
            torch.cuda.set_rng_state_all(state["cuda_rng"])


def train(trial: Trial) -> None:
    L.seed_everything(trial.number, verbose=False)
    batch = trial.config["batch"]
    training, held_out = digits()
    trainer = L.Trainer(
        max_epochs=trial.target,
        callbacks=[Reporting(trial)],
        accelerator="gpu" if trial.device == "cuda" else "cpu",
        devices=1,
        num_sanity_val_steps=0,  # they would draw random numbers
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(
        Net(trial.config["lr"], trial.config["hidden"]),
        DataLoader(training, batch_size=batch, shuffle=True),
        DataLoader(held_out, batch_size=512),
        ckpt_path=trial.checkpoint / "trial.ckpt" if trial.checkpoint else None,
        weights_only=True,
    )
    with trial.save() as folder:
        trainer.save_checkpoint(folder / "trial.ckpt")


class Net(L.LightningModule):
    def __init__(self, lr: float, hidden: int) -> None:
        super().__init__()
        self.lr = lr
        self.layers = nn.Sequential(
            nn.Linear(64, hidden), nn.ReLU(), nn.Dropout(0.1), nn.Linear(hidden, 10)
        )

    def training_step(self, batch: list[torch.Tensor], number: int) -> torch.Tensor:
        images, labels = batch
        return nn.functional.cross_entropy(self.layers(images), labels)

    def validation_step(self, batch: list[torch.Tensor], number: int) -> None:
        images, labels = batch
        logits = self.layers(images)
        self.log("loss", nn.functional.cross_entropy(logits, labels))
        self.log("accuracy", (logits.argmax(dim=1) == labels).double().mean())

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=EPOCHS)
        return [optimizer], [schedule]


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Images of 8 x 8 pixels and their digits: four fifths to train on, one fifth held out."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    data = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    return (
        TensorDataset(*(part[training] for part in data)),
        TensorDataset(*(part[held_out] for part in data)),
    )


experiment = Experiment(
    name="lightning_digits",
    train=train,
    space={"lr": loguniform(1e-4, 1e-1), "hidden": choice([16, 32, 64]), "batch": choice([32, 64])},
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
