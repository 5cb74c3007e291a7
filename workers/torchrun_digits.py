"""Trains digits on several devices at once, in a process on each, as torchrun starts them: a script
that knows nothing of any tuner. On a machine without GPUs the processes share its cores.

torchrun --standalone --nproc-per-node 2 workers/torchrun_digits.py --lr 0.1 --epochs 4 --out model
"""

import argparse
import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.distributed.elastic.multiprocessing.errors import record
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--batch", type=int, default=64, help="in all processes together")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--resume", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()

    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stop.append(number))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        train(options, device, stop)
    finally:
        dist.destroy_process_group()


def train(options: argparse.Namespace, device: torch.device, stop: list[int]) -> None:
    first, processes = dist.get_rank() == 0, dist.get_world_size()
    torch.manual_seed(0)  # the same model in all processes
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=options.lr, momentum=0.9)
    epoch = 0
    if options.resume:
        state = torch.load(options.resume / "state.pt", map_location=device, weights_only=True)
        epoch = state["epoch"]
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    parallel = DistributedDataParallel(model)
    data, held_out = digits()
    # each process gets its share of the data, in an order that depends on the epoch alone
    sampler: DistributedSampler[tuple[torch.Tensor, ...]] = DistributedSampler(data, seed=0)
    batches = DataLoader(data, batch_size=max(1, options.batch // processes), sampler=sampler)

    wanted_back = False
    while epoch < options.epochs and not wanted_back:
        epoch += 1
        sampler.set_epoch(epoch)
        for images, labels in batches:
            loss = nn.functional.cross_entropy(parallel(images.to(device)), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if first:
            # in one write: those of other processes could get between two
            sys.stdout.write(json.dumps({"step": epoch, "accuracy": score(model, held_out)}) + "\n")
        # SIGTERM may find one process in this epoch and another in the next: they end together
        votes = torch.tensor([len(stop)], device=device)
        dist.all_reduce(votes)
        wanted_back = bool(votes.item())
    if first:
        state = {
            "epoch": epoch,
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
        }
        torch.save(state, options.out / "state.pt")


def score(model: nn.Module, held_out: TensorDataset) -> float:
    images, labels = held_out.tensors
    with torch.no_grad():
        guesses = model(images.to(next(model.parameters()).device)).argmax(dim=1).cpu()
    return float((guesses == labels).double().mean())


def digits() -> tuple[TensorDataset, TensorDataset]:
    """Images of 8 x 8 pixels and their digits: four fifths to train on, one fifth held out."""
    images, labels = load_digits(return_X_y=True)
    data = torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    return (
        TensorDataset(*(part[training] for part in data)),
        TensorDataset(*(part[held_out] for part in data)),
    )


if __name__ == "__main__":
    record(main)()  # so that what torchrun says of a process that failed has its exception
    # now and then a process of gloo aborts while its interpreter ends in the usual way; torchrun
    # then ends the others, which may not have saved yet
    sys.stdout.flush()
    os._exit(0)
