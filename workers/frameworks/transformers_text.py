"""Hugging Face's Trainer: a tiny GPT-2, made from its configuration, reads Python's own help texts.

asha-queue run workers/frameworks/transformers_text.py
"""

import os
import shutil
from functools import cache
from pydoc_data.topics import topics  # English prose of 600 kB that comes with Python
from tempfile import TemporaryDirectory
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # before the import: nothing here comes from a hub

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import get_last_checkpoint

from asha_queue import Experiment, Trial, choice, loguniform

#: The schedule is laid out for a whole trial, not for the segment that is trained now.
EPOCHS = 9
VOCABULARY, BLOCK = 1000, 64


class Reporting(TrainerCallback):
    """Reports each epoch; at the segment's end, or when it is wanted back, saves and stops."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def on_evaluate(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        epoch = round(state.epoch)
        self.trial.report(epoch, loss=more["metrics"]["eval_loss"])
        if epoch == self.trial.target or self.trial.draining:
            control.should_save = control.should_training_stop = True


def train(trial: Trial) -> None:
    training, held_out = texts()
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            num_train_epochs=EPOCHS,
            learning_rate=trial.config["lr"],
            per_device_train_batch_size=trial.config["batch"],
            per_device_eval_batch_size=64,
            lr_scheduler_type="cosine",
            seed=trial.number,
            use_cpu=trial.device == "cpu",
            eval_strategy="epoch",
            save_strategy="no",  # but when the callback says so
            report_to="none",
            disable_tqdm=True,
        )
        trainer = Trainer(
            model_init=lambda: tiny(trial.config["width"]),  # called when the seed is set
            args=arguments,
            train_dataset=training,
            eval_dataset=held_out,
            callbacks=[Reporting(trial)],
        )
        trainer.train(resume_from_checkpoint=str(trial.checkpoint) if trial.checkpoint else None)
        with trial.save() as saved:
            shutil.copytree(get_last_checkpoint(folder), saved, dirs_exist_ok=True)


def tiny(width: int) -> GPT2LMHeadModel:
    sizes = {"n_positions": BLOCK, "n_embd": width, "n_layer": 2, "n_head": 2}
    return GPT2LMHeadModel(
        GPT2Config(vocab_size=VOCABULARY, bos_token_id=0, eos_token_id=0, **sizes)
    )


@cache
def texts() -> tuple[list[dict[str, torch.Tensor]], list[dict[str, torch.Tensor]]]:
    """Blocks of tokens, nine tenths to train on; the tokenizer is trained on the same texts."""
    prose = [topics[name] for name in sorted(topics)][:12]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    tokenizer.train_from_iterator(
        prose, trainers.BpeTrainer(vocab_size=VOCABULARY, show_progress=False)
    )
    tokens = torch.tensor([token for text in prose for token in tokenizer.encode(text).ids])
    blocks = tokens[: len(tokens) // BLOCK * BLOCK].view(-1, BLOCK)
    data = [{"input_ids": block, "labels": block} for block in blocks]
    held_out = len(data) // 10
    return data[held_out:], data[:held_out]


experiment = Experiment(
    name="transformers_text",
    train=train,
    space={"lr": loguniform(1e-4, 3e-2), "width": choice([16, 32]), "batch": choice([8, 16])},
    metric="loss",
    mode="min",
    max_t=EPOCHS,
    reduction_factor=3,
    num_samples=9,
    seed=0,
)

if __name__ == "__main__":
    result = experiment.run(workers=2)
    if result.best:
        print(result.best.config, result.best.metrics)
