"""Which workers a machine gets, what they are called, and what pins each to its device."""

import logging
import os

import pytest

from asha_queue.errors import NodeError
from asha_queue.node.devices import THREADS, Device, cores, devices, on_cpus, on_gpus
from asha_queue.node.gpus import Gpu
from asha_queue.training import task
from tests.pure.nvml import StandInNvml, environment


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A machine with as many stand-in GPUs as the test's parameter says, or two."""
    environment(monkeypatch)
    StandInNvml(getattr(request, "param", 2)).install(monkeypatch)


def names(found: list[Device]) -> list[str]:
    return [device.name for device in found]


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("gpus", "cpus", "expected"),
    [
        (None, None, ["gpu0", "gpu1"]),
        (None, 0, ["gpu0", "gpu1"]),
        (None, 2, ["cpu0", "cpu1"]),
        ("1", None, ["gpu1"]),
        ("all", 1, ["gpu0", "gpu1", "cpu0"]),
        ("none", 1, ["cpu0"]),
    ],
)
def test_what_is_asked_for_is_what_there_is(
    gpus: str | None, cpus: int | None, expected: list[str]
) -> None:
    assert names(devices(gpus, cpus)) == expected


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("machine", [0], indirect=True)
def test_without_a_gpu_there_is_a_cpu_worker_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO, "launcher"):
        assert names(devices(None, None)) == ["cpu0"]
    assert caplog.messages == ["no GPU found: one CPU worker"]
    with pytest.raises(NodeError, match="no worker to start"):
        devices(None, 0)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("gpus", "cpus", "each", "per_worker", "message"),
    [
        (None, None, 2, 2, "exclude each other"),
        ("none", 1, 2, 1, "--workers-per-gpu is for workers on GPUs"),
        (None, 1, 1, 2, "--gpus-per-worker is for workers on GPUs"),
        ("0", None, 1, 2, "1 GPUs cannot be divided"),
        ("none", None, 1, 1, "no worker to start"),
    ],
)
def test_what_makes_no_sense_together_is_refused(
    gpus: str | None, cpus: int | None, each: int, per_worker: int, message: str
) -> None:
    with pytest.raises(NodeError, match=message):
        devices(gpus, cpus, each, per_worker)


@pytest.mark.usefixtures("machine")
def test_workers_are_pinned_in_the_order_of_the_driver() -> None:
    assert devices(None, None)[1].environment == {
        "CUDA_VISIBLE_DEVICES": "1",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }


def test_the_order_of_the_users_own_choice_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, CUDA_VISIBLE_DEVICES="1,0")
    StandInNvml(2).install(monkeypatch)
    first, second = devices(None, None)
    assert (first.name, first.environment) == ("gpu1", {"CUDA_VISIBLE_DEVICES": "1"})
    assert (second.name, second.environment) == ("gpu0", {"CUDA_VISIBLE_DEVICES": "0"})


def test_several_workers_share_a_gpu() -> None:
    found = on_gpus([Gpu("gpu0", "0"), Gpu("gpu1", "1")], 2, 1)
    assert [(d.name, d.environment["CUDA_VISIBLE_DEVICES"]) for d in found] == [
        ("gpu0.0", "0"),
        ("gpu0.1", "0"),
        ("gpu1.0", "1"),
        ("gpu1.1", "1"),
    ]


def test_a_worker_has_several_gpus() -> None:
    found = on_gpus([Gpu(f"gpu{n}", str(n)) for n in range(4)], 1, 2)
    assert [(d.name, d.environment["CUDA_VISIBLE_DEVICES"]) for d in found] == [
        ("gpu0-1", "0,1"),
        ("gpu2-3", "2,3"),
    ]
    assert [gpu.name for gpu in found[0].gpus] == ["gpu0", "gpu1"]


def test_slices_are_not_put_together() -> None:
    with pytest.raises(NodeError, match="one slice"):
        on_gpus([Gpu("mig0.0", "MIG-1"), Gpu("mig0.1", "MIG-2")], 1, 2)


SLURM = ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")


def test_cpu_workers_share_the_cores_and_see_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*THREADS, *SLURM):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert names(on_cpus(3)) == ["cpu0", "cpu1", "cpu2"]
    environment = on_cpus(3)[0].environment
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert {environment[name] for name in THREADS} == {"2"}
    assert on_cpus(16)[0].environment["OMP_NUM_THREADS"] == "1"


def test_the_users_number_of_threads_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    [device] = on_cpus(1)
    assert "OMP_NUM_THREADS" not in device.environment


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, 8),
        ({"SLURM_CPUS_ON_NODE": "4"}, 4),
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "4"}, 2),
        ({"SLURM_CPUS_ON_NODE": "64"}, 8),
    ],
)
def test_no_more_cores_are_used_than_the_process_or_its_job_was_given(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: int
) -> None:
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    assert cores() == expected


@pytest.mark.parametrize(
    ("visible", "expected"),
    [(None, 1), ("", 1), ("-1", 1), ("0", 1), ("0,1", 2), ("GPU-a, GPU-b,GPU-c", 3), ("2,-1,3", 1)],
)
def test_a_trial_is_told_how_many_devices_its_worker_has(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, expected: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert task.devices() == expected
