"""A stand-in for NVML, the library of NVIDIA's driver: there is no GPU behind it."""

from collections.abc import Mapping, Sequence
from typing import Any

import pynvml
import pytest


class StandInNvml:
    """Lists GPUs as the driver would: `count` of them, some cut into slices (MIG), given as the
    places in use by index."""

    def __init__(self, count: int, slices: Mapping[int, Sequence[int]] | None = None) -> None:
        self._count = count
        self._slices = slices or {}

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in dir(self):
            if name.startswith("nvml"):
                monkeypatch.setattr(pynvml, name, getattr(self, name))

    def nvmlInit(self) -> None:  # noqa: N802  NVML's own names, here and below
        if not self._count:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    def nvmlShutdown(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self._count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> tuple[int]:  # noqa: N802
        return (index,)

    def nvmlDeviceGetName(self, handle: tuple[int, ...]) -> str:  # noqa: N802
        return "stand-in GPU" if len(handle) == 1 else "stand-in slice"

    def nvmlDeviceGetUUID(self, handle: tuple[int, ...]) -> str:  # noqa: N802
        kind = "GPU" if len(handle) == 1 else "MIG"
        return f"{kind}-{'-'.join(f'{number:08x}' for number in handle)}"

    def nvmlDeviceGetMigMode(self, handle: tuple[int]) -> tuple[int, int]:  # noqa: N802
        if not self._slices:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        mode = int(handle[0] in self._slices)
        return mode, mode

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: tuple[int]) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(  # noqa: N802
        self, handle: tuple[int], place: int
    ) -> tuple[int, int]:
        if place not in self._slices[handle[0]]:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return (handle[0], place)


def environment(monkeypatch: pytest.MonkeyPatch, **variables: Any) -> None:
    """Sets what allocates GPUs to these variables and no others."""
    for name in (
        *("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
        *("SLURM_JOB_GPUS", "SLURM_STEP_GPUS"),
    ):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
