"""The devices of this machine: places for workers, and what pins a worker to each."""

import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from asha_queue.errors import NodeError
from asha_queue.node.gpus import Gpu, choose, found

#: Variables by which numeric libraries are told how many threads to use.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)

log = logging.getLogger("launcher")


@dataclass(frozen=True, slots=True)
class Device:
    """A place for one worker: its name, as `cpu0`, `gpu0`, `gpu0.1` (the second worker on it) or
    `gpu0-1` (one worker on both); the environment that pins it, and its GPUs."""

    name: str
    environment: Mapping[str, str]
    gpus: tuple[Gpu, ...] = ()


def devices(
    gpus: str | None, cpus: int | None, workers_per_gpu: int = 1, gpus_per_worker: int = 1
) -> list[Device]:
    """The devices that were asked for: `gpus` as in `gpus.choose`, and `cpus` workers on the CPU.

    Without `gpus`: all GPUs, unless CPU workers are asked for; without both: one CPU worker where
    there is no GPU. Raises NodeError for what is not there or makes no sense.
    """
    if workers_per_gpu > 1 and gpus_per_worker > 1:
        raise NodeError("--workers-per-gpu and --gpus-per-worker exclude each other; give one")
    present = [] if gpus == "none" or (gpus is None and cpus) else found()
    if gpus is None:
        chosen = present
        if cpus is None and not chosen:
            log.info("no GPU found: one CPU worker")
            cpus = 1
    else:
        chosen = choose(gpus, present)
    if not chosen and max(workers_per_gpu, gpus_per_worker) > 1:
        option = "--workers-per-gpu" if workers_per_gpu > 1 else "--gpus-per-worker"
        raise NodeError(f"{option} is for workers on GPUs, and none is used here")
    if not chosen and not cpus:
        raise NodeError("no worker to start: there is no GPU here, or none asked for, and --cpus 0")
    return [*on_gpus(chosen, workers_per_gpu, gpus_per_worker), *on_cpus(cpus or 0)]


def on_gpus(gpus: Sequence[Gpu], workers_per_gpu: int, gpus_per_worker: int) -> list[Device]:
    """A device for each of so many workers on each GPU, or for each so many GPUs."""
    if len(gpus) % gpus_per_worker:
        raise NodeError(
            f"--gpus-per-worker {gpus_per_worker}: {len(gpus)} GPUs cannot be divided like that; "
            f"name fewer with --gpus"
        )
    if gpus_per_worker > 1 and any(gpu.name.startswith("mig") for gpu in gpus):
        raise NodeError("--gpus-per-worker: a program can use one slice (MIG) of a GPU only")
    found = []
    for first in range(0, len(gpus), gpus_per_worker):
        group = tuple(gpus[first : first + gpus_per_worker])
        name = "-".join([group[0].name, *(gpu.name.removeprefix("gpu") for gpu in group[1:])])
        environment = {"CUDA_VISIBLE_DEVICES": ",".join(gpu.visible for gpu in group)}
        if "CUDA_VISIBLE_DEVICES" not in os.environ:
            # the driver counts in the order of the bus, CUDA by default in another
            environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        for place in range(workers_per_gpu):
            own = f"{name}.{place}" if workers_per_gpu > 1 else name
            found.append(Device(own, environment, group))
    return found


def on_cpus(workers: int) -> list[Device]:
    """Devices for `workers` workers on the CPU, that share its cores unless the user set the number
    of threads."""
    threads = max(1, cores() // max(1, workers))
    shared = {name: str(threads) for name in THREADS if name not in os.environ}
    return [
        Device(f"cpu{number}", {"CUDA_VISIBLE_DEVICES": "", **shared}) for number in range(workers)
    ]


def cores() -> int:
    """How many cores may be used here: those that this process is bound to, and of these no more
    than Slurm gave to the job, which not every cluster binds to them."""
    there = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_PER_TASK") or os.environ.get("SLURM_CPUS_ON_NODE") or ""
    return min(there, int(given)) if given.isdecimal() else there
