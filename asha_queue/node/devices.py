"""The devices of this machine, and what pins a worker to one of them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

import pynvml

#: Variables by which numeric libraries are told how many threads to use.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


@dataclass(frozen=True, slots=True)
class Device:
    """A place for one worker: its name, `cpu0` or `gpu0`, and the environment that pins it."""

    name: str
    environment: Mapping[str, str]


def gpus() -> list[Device]:
    """A device for each GPU that this process may use: those of CUDA_VISIBLE_DEVICES if that is
    set, else all that the NVIDIA driver lists; none without one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        listed = [part.strip() for part in visible.split(",") if part.strip()]
        if "-1" in listed:  # CUDA stops reading there
            listed = listed[: listed.index("-1")]
        return [
            # names of GPUs and MIG slices are too long for people
            Device(f"gpu{gpu if gpu.isdecimal() else place}", {"CUDA_VISIBLE_DEVICES": gpu})
            for place, gpu in enumerate(listed)
        ]
    # the driver counts in the order of the bus, CUDA by default in another
    order = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    return [
        Device(f"gpu{index}", {"CUDA_VISIBLE_DEVICES": str(index), **order})
        for index in range(_count())
    ]


def cpus(workers: int) -> list[Device]:
    """Devices for `workers` workers on the CPU, that share its cores unless the user set the number
    of threads."""
    threads = max(1, (os.cpu_count() or 1) // workers)
    shared = {name: str(threads) for name in THREADS if name not in os.environ}
    return [
        Device(f"cpu{number}", {"CUDA_VISIBLE_DEVICES": "", **shared}) for number in range(workers)
    ]


def _count() -> int:
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return 0
    try:
        return int(pynvml.nvmlDeviceGetCount())
    finally:
        pynvml.nvmlShutdown()
