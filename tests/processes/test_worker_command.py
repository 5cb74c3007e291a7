"""`asha-queue worker`: its options as seen from outside."""

import socket
import subprocess
from importlib.metadata import version

import pytest

from tests.conftest import wait_until
from tests.processes.lab import Lab

HOST = socket.gethostname()


def start(
    lab: Lab, names: list[str], *options: str, **environment: str
) -> "subprocess.Popen[bytes]":
    """Starts `asha-queue worker`, and waits for workers of these names."""
    command = lab.start("asha_queue", "worker", *options, **environment)
    wait_until(lambda: set(names) <= set(lab.workers()), f"{names} beat; {lab.log} says why not")
    return command


def refused(lab: Lab, *options: str, **environment: str) -> str:
    """What `asha-queue worker` says that does not start."""
    before = len(lab.log.read_text()) if lab.log.exists() else 0
    command = lab.start("asha_queue", "worker", *options, **environment)
    assert command.wait(timeout=60) == 2
    return lab.log.read_text()[before:]


def test_a_worker_tells_where_and_what_it_is(lab: Lab) -> None:
    programs = lab.folder / "programs"
    options = ["--cpus", "1", "--programs", str(programs), "--storage", str(lab.storage)]
    command = start(lab, ["cpu0@node-7"], *options, ASHA_QUEUE_HOST="node-7")
    [worker] = lab.store.workers()
    info = dict(worker.info)
    assert info.pop("pid") != info["launcher"]
    storage = info.pop("storage")
    assert (storage["root"], storage["error"]) == (str(lab.storage), "")
    assert info == {
        "host": "node-7",
        "device": "cpu",
        "version": version("asha-queue"),
        "queues": ["asha"],
        "programs": [str(programs)],
        "launcher": command.pid,
        "gpus": [],
    }


def test_workers_take_the_segments_of_their_queues_and_no_others(lab: Lab) -> None:
    start(lab, [f"cpu0@{HOST}"], "--cpus", "1", "--queue", "big,small")
    assert lab.store.workers()[0].info["queues"] == ["big", "small"]
    trained = "def train(trial): return 1.0"
    others = lab.submit(trained)
    for queue in ("small", "big"):
        lab.wait_for(lab.submit(trained, queue=queue), "completed")
    assert lab.entries(others, "started") == []


def test_higher_levels_come_first_across_queues(lab: Lab) -> None:
    order = """
        import pathlib

        def train(trial):
            with pathlib.Path(trial.config["folder"], "order").open("a") as file:
                file.write(f"{trial.config['name']} ")
            return 1.0
        """
    for queue, level in (("one", 0), ("two", 1), ("one", 2), ("two", 3)):
        lab.submit(order, [{"name": f"{queue}{level}"}], bracket=level, queue=queue)
    start(lab, [f"cpu0@{HOST}"], "--cpus", "1", "--queue", "one,two")
    wait_until(lambda: len(lab.read("order").split()) == 4, "all four are trained")
    assert lab.read("order").split() == ["two3", "one2", "two1", "one0"]


def test_gpu_workers_are_named_and_pinned(lab: Lab) -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "0,1", "TMPDIR": str(lab.folder)}  # believed without a driver
    start(lab, [f"gpu0-1@{HOST}"], "--gpus-per-worker", "2", "--gpus", "all", **gpus)
    assert lab.store.workers()[0].info["device"] == "0,1"
    uid = lab.submit(
        """
        import os, pathlib

        def train(trial):
            seen = f"{trial.device} {os.environ['CUDA_VISIBLE_DEVICES']}"
            pathlib.Path(trial.config["folder"], "seen").write_text(seen)
            return 1.0
        """
    )
    lab.wait_for(uid, "completed")
    assert lab.read("seen") == "cuda 0,1"


def test_a_gpu_is_used_by_one_launcher_at_a_time_whatever_its_broker(lab: Lab) -> None:
    gpus = {"CUDA_VISIBLE_DEVICES": "0,1", "TMPDIR": str(lab.folder)}
    first = start(lab, [f"gpu0.0@{HOST}"], "--gpus", "0", "--workers-per-gpu", "2", **gpus)
    elsewhere = lab.broker.removesuffix("/0") + "/1"
    said = refused(lab, "--broker", elsewhere, "--gpus", "0", **gpus)
    assert f"gpu0 is taken by process {first.pid}, a launcher of yours" in said
    start(lab, [f"gpu1@{HOST}", f"gpu0.0@{HOST}", f"gpu0.1@{HOST}"], "--gpus", "1", **gpus)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpus", "3"], "no GPU 3 here; there is none here"),
        (["--gpus", "all"], "there is no GPU here"),
        (["--cpus", "0"], "no worker to start"),
        (["--workers-per-gpu", "2", "--gpus-per-worker", "2"], "exclude each other"),
        (["--queue", "a b"], "'a b' is no name of a queue"),
        (["--broker", "redis://nowhere:1/0", "--gpus", "x"], "no GPU x here"),
    ],
)
def test_what_cannot_be_is_refused_in_one_message(
    lab: Lab, options: list[str], message: str
) -> None:
    said = refused(lab, *options)
    assert message in said
    assert "Traceback" not in said


def test_workers_without_a_broker_are_told_what_to_give(lab: Lab) -> None:
    said = refused(lab, ASHA_QUEUE_BROKER="", CELERY_BROKER_URL="")
    assert said.splitlines() == [
        "asha-queue: no broker given: give --broker URL or set ASHA_QUEUE_BROKER"
    ]
