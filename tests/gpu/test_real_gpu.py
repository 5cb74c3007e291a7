"""Opt-in: what only a real GPU shows. On a machine with one, and PyTorch: `pytest tests/gpu`."""

import json

import pytest

from asha_queue.node.gpus import found
from tests.conftest import wait_until
from tests.processes.conftest import lab as lab  # the fixture
from tests.processes.lab import Lab

pytest.importorskip("torch", reason="PyTorch is not installed")
GPUS = found()
pytestmark = pytest.mark.skipif(not GPUS, reason="no NVIDIA GPU here")

#: Bytes that a segment takes on the GPU.
TAKEN = 256 * 1024**2

PROGRAM = f"""
    import json, os, pathlib, torch

    def train(trial):
        free = torch.cuda.mem_get_info()[0]
        block = torch.zeros({TAKEN}, dtype=torch.uint8, device=trial.device)
        seen = {{
            "count": torch.cuda.device_count(),
            "uuid": str(torch.cuda.get_device_properties(0).uuid),
            "pid": os.getpid(),
            "free": free,
        }}
        pathlib.Path(trial.config["folder"], f"seen{{trial.number}}").write_text(json.dumps(seen))
        return float(block.sum())
"""


def test_a_worker_sees_its_gpu_alone_and_frees_its_memory_between_segments(lab: Lab) -> None:
    gpu = GPUS[-1]
    everything = ",".join(gpu.visible for gpu in GPUS)
    lab.start("asha_queue", "worker", "--gpus", gpu.visible, CUDA_VISIBLE_DEVICES=everything)
    wait_until(lambda: len(lab.workers()) == 1, "the worker beats", 60)
    [worker] = lab.store.workers()
    assert worker.name.startswith(f"{gpu.name}@")
    assert worker.info["gpus"] == [gpu.model]
    uid = lab.submit(PROGRAM, [{}, {}])
    lab.wait_for(uid, "completed", count=2, seconds=120)
    first, second = (json.loads(lab.read(f"seen{number}")) for number in (0, 1))
    assert first["count"] == second["count"] == 1
    assert gpu.uuid.endswith(first["uuid"])
    assert first["pid"] == second["pid"], "it goes on in the same process"
    # the context of the first stays in the process; what its program took does not
    assert second["free"] > first["free"] - TAKEN
