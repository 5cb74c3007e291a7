"""GPUs are taken by one launcher at a time."""

import os
import tempfile
from pathlib import Path

import pytest

from asha_queue.errors import NodeError
from asha_queue.node.gpus import Gpu
from asha_queue.node.reservations import reserve

ONE, OTHER = Gpu("gpu0", "0", "GPU-1"), Gpu("gpu1", "1", "GPU-2")


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_gpu_that_is_taken_is_refused_and_its_holder_named() -> None:
    [held] = reserve([ONE], patience=0)
    with pytest.raises(NodeError, match=f"gpu0 is taken by process {os.getpid()}"):
        reserve([OTHER, ONE], patience=0)
    os.close(held)


def test_other_gpus_are_free() -> None:
    descriptors = [*reserve([ONE], patience=0), *reserve([OTHER], patience=0)]
    for descriptor in descriptors:
        os.close(descriptor)


def test_several_workers_of_a_launcher_share_what_it_has_taken() -> None:
    [held] = reserve([ONE, ONE], patience=0)
    os.close(held)


def test_a_gpu_is_free_when_its_launcher_has_ended() -> None:
    [held] = reserve([ONE], patience=0)
    os.close(held)
    [again] = reserve([ONE], patience=0)
    os.close(again)


def test_it_is_the_same_gpu_under_whatever_number() -> None:
    [held] = reserve([ONE], patience=0)
    with pytest.raises(NodeError, match="gpu5 is taken"):
        reserve([Gpu("gpu5", "5", ONE.uuid)], patience=0)
    os.close(held)


def test_a_folder_that_is_a_link_is_not_used(own_folder: Path) -> None:
    (own_folder / f"asha-queue-gpus-{os.getuid()}").symlink_to(own_folder)
    with pytest.raises(NodeError, match="is not yours"):
        reserve([ONE], patience=0)
