"""Which devices a machine offers to workers, and what pins a worker to each."""

import os
from collections.abc import Callable

import pynvml
import pytest

from asha_queue.node.devices import THREADS, Device, cpus, gpus


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the number of GPUs that the driver lists; CUDA_VISIBLE_DEVICES is not set."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def lists(count: int) -> None:
        monkeypatch.setattr(pynvml, "nvmlInit", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlShutdown", lambda: None)
        monkeypatch.setattr(pynvml, "nvmlDeviceGetCount", lambda: count)

    return lists


def test_each_gpu_of_the_driver_is_a_device(driver: Callable[[int], None]) -> None:
    driver(2)
    assert [device.name for device in gpus()] == ["gpu0", "gpu1"]
    assert gpus()[1].environment == {
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert gpus() == []


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        ("2,3", [("gpu2", "2"), ("gpu3", "3")]),
        ("GPU-8932f937, MIG-5c1f", [("gpu0", "GPU-8932f937"), ("gpu1", "MIG-5c1f")]),
        ("0,-1,1", [("gpu0", "0")]),
        ("", []),
    ],
)
def test_the_users_choice_of_gpus_is_respected(
    driver: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    visible: str,
    expected: list[tuple[str, str]],
) -> None:
    driver(8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    found = [(device.name, device.environment["CUDA_VISIBLE_DEVICES"]) for device in gpus()]
    assert found == expected


def test_cpu_workers_share_the_cores_and_see_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [device.name for device in cpus(3)] == ["cpu0", "cpu1", "cpu2"]
    environment = cpus(3)[0].environment
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert {environment[name] for name in THREADS} == {"2"}
    assert cpus(16)[0].environment["OMP_NUM_THREADS"] == "1"


def test_the_users_number_of_threads_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    [device] = cpus(1)
    assert isinstance(device, Device)
    assert "OMP_NUM_THREADS" not in device.environment
