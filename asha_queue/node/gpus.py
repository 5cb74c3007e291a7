"""The GPUs of this machine that may be used here.

Rules

* NVML, the driver's own library, says which there are, in the order of the bus. A GPU that is cut
  into slices (MIG) counts as its slices.
* An allocation that somebody has made already is kept. CUDA_VISIBLE_DEVICES is the user's or
  Slurm's; without it SLURM_JOB_GPUS says what a job may use; in a container those that it was given
  are there, and NVIDIA_VISIBLE_DEVICES=void or none gives it none.
* Slurm may hide other GPUs, and then counts those that are left from 0. They are named by their
  numbers on the machine all the same, so that two jobs on it have workers of different names.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pynvml

from asha_queue.errors import NodeError

#: Characters of the UUID by which a GPU is named that the driver does not list.
SHORT = 8


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU or a slice of one."""

    #: gpu0, or mig0.1 for the second slice of the first GPU.
    name: str
    #: What CUDA_VISIBLE_DEVICES calls it.
    visible: str
    #: Empty when the driver does not list it.
    uuid: str = ""
    model: str = ""

    def __str__(self) -> str:
        return f"{self.visible} ({self.model})" if self.model else self.visible


def found() -> list[Gpu]:
    """The GPUs that may be used here.

    Raises NodeError when CUDA_VISIBLE_DEVICES names one that is not there.
    """
    driver = list(_driver())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    allocated = _parts(os.environ.get("SLURM_STEP_GPUS") or os.environ.get("SLURM_JOB_GPUS") or "")
    if visible is not None:
        return _numbered([_listed(part, driver) for part in _until_end(_parts(visible))], allocated)
    if os.environ.get("NVIDIA_VISIBLE_DEVICES") in ("void", "none"):
        return []
    if not allocated:
        return driver
    if len(driver) == len(allocated):  # others are hidden
        return _numbered(driver, allocated)
    return [gpu for gpu in driver if gpu.visible in allocated]


def choose(wanted: str, present: Sequence[Gpu]) -> list[Gpu]:
    """Those of `present` that `wanted` names: all, none, or numbers and UUIDs with commas between.

    Raises NodeError that lists those there are.
    """
    if wanted == "none":
        return []
    there = f"there are: {', '.join(map(str, present))}" if present else "there is none here"
    if wanted == "all":
        if not present:
            raise NodeError("--gpus all: there is no GPU here; --cpus N starts workers without")
        return list(present)
    chosen: list[Gpu] = []
    for part in _parts(wanted):
        gpu = next((gpu for gpu in present if _is(gpu, part)), None)
        if gpu is None:
            raise NodeError(f"--gpus {wanted}: no GPU {part} here; {there}")
        if gpu in chosen:
            raise NodeError(f"--gpus {wanted}: names {gpu.name} twice")
        chosen.append(gpu)
    if not chosen:
        raise NodeError(f"--gpus {wanted!r}: names no GPU; {there}")
    return chosen


def _is(gpu: Gpu, part: str) -> bool:
    named = part in (gpu.name, gpu.name.removeprefix("gpu"), gpu.visible)
    return named or bool(gpu.uuid and part.startswith(("GPU-", "MIG-")) and _begins(gpu, part))


def _begins(gpu: Gpu, part: str) -> bool:
    return gpu.uuid.startswith(part)  # CUDA takes the beginning of a UUID too


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _until_end(parts: list[str]) -> list[str]:
    return parts[: parts.index("-1")] if "-1" in parts else parts  # where CUDA stops reading


def _listed(part: str, driver: Sequence[Gpu]) -> Gpu:
    """An entry of CUDA_VISIBLE_DEVICES."""
    whole = part.isdecimal()
    for gpu in driver:
        cut = whole and gpu.name.startswith(f"mig{part}.")  # CUDA takes the first slice
        if cut or gpu.visible == part or (not whole and _begins(gpu, part)):
            return replace(gpu, visible=part)
    if driver:
        raise NodeError(
            f"CUDA_VISIBLE_DEVICES names {part}, which is not there; "
            f"there are: {', '.join(map(str, driver))}"
        )
    # without NVML the user is believed
    kind, _, uuid = part.partition("-")
    return Gpu(f"gpu{part}" if whole else f"{kind.lower()}-{uuid[:SHORT]}", part)


def _numbered(gpus: list[Gpu], allocated: list[str]) -> list[Gpu]:
    """These GPUs by the numbers that Slurm has for them, where it has."""
    if len(gpus) != len(allocated) or not all(number.isdecimal() for number in allocated):
        return gpus
    return [
        replace(gpu, name=f"gpu{number}") if gpu.name.startswith("gpu") else gpu
        for gpu, number in zip(gpus, allocated, strict=True)
    ]


def _driver() -> Iterator[Gpu]:
    """All that NVML lists."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:  # no driver
        return
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            yield from _cut(index, pynvml.nvmlDeviceGetHandleByIndex(index))
    finally:
        pynvml.nvmlShutdown()


def _cut(index: int, handle: Any) -> Iterator[Gpu]:
    """A GPU, or its slices if it is cut."""
    model = pynvml.nvmlDeviceGetName(handle)
    try:
        present, _ = pynvml.nvmlDeviceGetMigMode(handle)
    except pynvml.NVMLError:  # a model that cannot be cut
        present = pynvml.NVML_DEVICE_MIG_DISABLE
    if present == pynvml.NVML_DEVICE_MIG_DISABLE:
        yield Gpu(f"gpu{index}", str(index), pynvml.nvmlDeviceGetUUID(handle), model)
        return
    for place in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, place)
        except pynvml.NVMLError:  # no slice in this place
            continue
        uuid = pynvml.nvmlDeviceGetUUID(part)
        yield Gpu(f"mig{index}.{place}", uuid, uuid, pynvml.nvmlDeviceGetName(part))
