"""Which GPUs may be used: what the driver lists, and what somebody has allocated."""

import pytest

from asha_queue.errors import NodeError
from asha_queue.node.gpus import Gpu, choose, found
from tests.pure.nvml import StandInNvml, environment


def test_each_gpu_of_the_driver_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch)
    StandInNvml(2).install(monkeypatch)
    assert found() == [
        Gpu("gpu0", "0", "GPU-00000000", "stand-in GPU"),
        Gpu("gpu1", "1", "GPU-00000001", "stand-in GPU"),
    ]


def test_without_a_driver_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch)
    StandInNvml(0).install(monkeypatch)
    assert found() == []


def test_a_gpu_that_is_cut_counts_as_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch)
    StandInNvml(2, slices={1: [0, 2]}).install(monkeypatch)
    assert [(gpu.name, gpu.visible) for gpu in found()] == [
        ("gpu0", "0"),
        ("mig1.0", "MIG-00000001-00000000"),
        ("mig1.2", "MIG-00000001-00000002"),
    ]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        # the user's choice, or Slurm's
        ({"CUDA_VISIBLE_DEVICES": "2,3"}, [("gpu2", "2"), ("gpu3", "3")]),
        ({"CUDA_VISIBLE_DEVICES": "0,-1,1"}, [("gpu0", "0")]),
        ({"CUDA_VISIBLE_DEVICES": "GPU-00000003"}, [("gpu3", "GPU-00000003")]),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        # a container without GPUs on a machine with some
        ({"NVIDIA_VISIBLE_DEVICES": "void"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": "none"}, []),
        ({"NVIDIA_VISIBLE_DEVICES": "all"}, [(f"gpu{n}", str(n)) for n in range(4)]),
        # Slurm that hides nothing and sets nothing for CUDA
        ({"SLURM_JOB_GPUS": "1,2"}, [("gpu1", "1"), ("gpu2", "2")]),
        # Slurm that counts what it shows from 0: named by their numbers on the machine
        (
            {"CUDA_VISIBLE_DEVICES": "0,1", "SLURM_JOB_GPUS": "2,3"},
            [("gpu2", "0"), ("gpu3", "1")],
        ),
        ({"SLURM_JOB_GPUS": "4,5,6,7"}, [(f"gpu{n + 4}", str(n)) for n in range(4)]),
    ],
)
def test_an_allocation_that_was_made_already_is_kept(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], expected: list[tuple[str, str]]
) -> None:
    environment(monkeypatch, **variables)
    StandInNvml(4).install(monkeypatch)
    assert [(gpu.name, gpu.visible) for gpu in found()] == expected


def test_where_the_driver_lists_nothing_the_user_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment(monkeypatch, CUDA_VISIBLE_DEVICES="0, GPU-8932f937-d72c, MIG-5c1f07b2-99")
    StandInNvml(0).install(monkeypatch)
    assert [gpu.name for gpu in found()] == ["gpu0", "gpu-8932f937", "mig-5c1f07b2"]


def test_an_allocation_of_what_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    environment(monkeypatch, CUDA_VISIBLE_DEVICES="7")
    StandInNvml(1).install(monkeypatch)
    with pytest.raises(NodeError, match=r"names 7, which is not there; there are: 0 \(stand-in"):
        found()


GPUS = [Gpu("gpu0", "0", "GPU-aa11", "A"), Gpu("mig1.0", "MIG-bb22", "MIG-bb22", "A")]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ("all", ["gpu0", "mig1.0"]),
        ("none", []),
        ("0", ["gpu0"]),
        ("gpu0, MIG-bb22", ["gpu0", "mig1.0"]),
        ("GPU-aa", ["gpu0"]),
        ("mig1.0", ["mig1.0"]),
    ],
)
def test_gpus_are_chosen_by_number_name_or_uuid(wanted: str, names: list[str]) -> None:
    assert [gpu.name for gpu in choose(wanted, GPUS)] == names


@pytest.mark.parametrize(
    ("wanted", "present", "message"),
    [
        ("0,3", GPUS, r"no GPU 3 here; there are: 0 \(A\), MIG-bb22 \(A\)"),
        ("1", [], "no GPU 1 here; there is none here"),
        ("all", [], "there is no GPU here; --cpus N"),
        ("0,0", GPUS, "names gpu0 twice"),
        (",", GPUS, "names no GPU"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(
    wanted: str, present: list[Gpu], message: str
) -> None:
    with pytest.raises(NodeError, match=message):
        choose(wanted, present)
