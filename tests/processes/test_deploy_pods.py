"""What `deploy/kubernetes/` starts, started: from the README's first commands to the last signal.

The README's commands write passwords, certificates and programs; kustomize builds; each container
runs as its manifest says (`pods.py`). Then its probes are asked, an experiment is submitted from
the pod for people, KEDA's query is put, workers come and are scaled down while they train,
others go on, and everything is stopped.
"""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import wait_until
from tests.processes.deployment import KUBERNETES, bare_environment
from tests.processes.kubernetes import (
    BIN,
    Cluster,
    Manifest,
    built,
    container,
    copied,
    kustomize,
)
from tests.processes.pods import Pod, Pods, missing, tls_server, valkey_client
from tests.processes.test_deploy_commands import PROGRAM
from tests.processes.test_deploy_files import blocks

README = KUBERNETES / "README.md"
#: Variables of whoever types the README's commands.
HERE = bare_environment() | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
#: Trains on when it may; handed back, it has made one step of two.
WAITING = "import pathlib, time\n" + PROGRAM.replace("grace_period=1", "grace_period=2").replace(
    "    for step in trial.steps():\n",
    "    for step in trial.steps():\n"
    "        while not (pathlib.Path('/storage/go').exists() or trial.draining):\n"
    "            time.sleep(0.05)\n",
)
#: Asks for a page; prints its status, then its text.
ASK = """
import base64, sys, urllib.error, urllib.request
url, login = sys.argv[1:]
headers = {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()} if login else {}
try:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as page:
        print(page.status, page.read().decode(), sep="\\n")
except urllib.error.HTTPError as error:
    print(error.code)
except OSError:
    print(0)
"""
#: Prints how many messages wait in the queue.
DEPTH = """
import os, redis
from asha_queue.queue import lists
client = redis.Redis.from_url(os.environ["ASHA_QUEUE_BROKER"])
print(sum(client.llen(one) for one in lists("asha")))
"""


def written(folder: Path, containing: str) -> None:
    """Runs the README's block that has these words, in a copy of the folder it is for."""
    script = block(containing)
    subprocess.run(["bash", "-euc", script], cwd=folder, env=HERE, check=True, timeout=60)


def block(containing: str) -> str:
    [found] = [block for block in blocks(README) if containing in block]
    return found


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    """A cluster as the README has it made; encrypted, where there is a server that can be."""
    if not kustomize():
        pytest.skip("neither kustomize nor kubectl is there: make .venv/.for-kubernetes")
    components = ["cpu", "keda", *(["tls"] if tls_server() else [])]
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "digits.py").write_text(WAITING)
    shutil.copytree(KUBERNETES / "../valkey", tmp_path / "deploy" / "valkey")
    folder = tmp_path / "deploy" / "kubernetes"
    made = copied(folder, components)
    written(folder, "flower-login.env <<")
    if "tls" in components:
        written(folder, "make-certificates")
        # the server with TLS may be Redis 7.0, which does not know what clients tell of themselves
        users = made / "secrets" / "users.acl"
        users.write_text(users.read_text().replace(" +client|setinfo", ""))
    assert all(file.stat().st_mode & 0o077 == 0 for file in (made / "secrets").glob("*.env"))
    return Cluster(built(made))


@pytest.fixture
def pods(cluster: Cluster, tmp_path: Path) -> Iterator[Pods]:
    if why := missing():
        pytest.skip(why)
    if not valkey_client():
        pytest.skip("no valkey-cli for the server's probes: make .venv/.for-kubernetes")
    with Pods(cluster, tmp_path / "pods") as pods:
        yield pods
    print(pods.log.read_text(errors="replace"))  # shown when the test fails


class Asked:
    """Pages of Flower, as another pod of its network sees them."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def __call__(self, url: str, login: str = "") -> tuple[int, str]:
        done = self._pod.exec([sys.executable, "-c", ASK, url, login])
        status, _, text = done.stdout.partition("\n")
        assert status, done.stderr
        return int(status), text


def keda_reads(cluster: Cluster, asked: Asked) -> float:
    """The number that KEDA gets by the trigger, with the login that it is told."""
    [scaled] = cluster.of("ScaledObject")
    [trigger] = scaled["spec"]["triggers"]
    [authentication] = cluster.of("TriggerAuthentication")
    told = {
        one["parameter"]: cluster.data("Secret", one["name"])[one["key"]]
        for one in authentication["spec"]["secretTargetRef"]
    }
    # names of a namespace are short ones here
    url = trigger["metadata"]["url"].replace(".asha-queue.svc:", ":")
    status, text = asked(url, f"{told['username']}:{told['password']}")
    assert status == 200
    name, label, value = re.fullmatch(
        r'(\w+)\{(\w+)="(\w+)"\}', trigger["metadata"]["valueLocation"]
    ).groups()  # type: ignore[union-attr]
    [found] = [
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == {label: value}
    ]
    return float(found)


@pytest.mark.slow
def test_an_experiment_runs_from_the_first_command_to_the_last_signal(
    cluster: Cluster, pods: Pods, tmp_path: Path
) -> None:
    def manifest(name: str) -> Manifest:
        return cluster.one("StatefulSet" if name == "valkey" else "Deployment", name)

    def probe(name: str, kind: str = "readinessProbe") -> Manifest:
        return dict(container(manifest(name))[kind])

    def overview() -> dict:
        done = people.exec(["asha-queue", "status", "digits", "--json"])
        assert done.returncode == 0, done.stderr
        found: dict = json.loads(done.stdout)
        return found

    people = pods.start(manifest("client"), "client-1")
    coordinators = [pods.start(manifest("coordinator"), f"coordinator-{n}") for n in (1, 2)]
    wait_until(
        lambda: "does not answer" in pods.log.read_text(), "coordinators wait for the server"
    )
    assert not any(one.well(probe("coordinator")) for one in coordinators)
    assert not people.well(probe("valkey")), "no server, and it is ready"
    assert not people.well(probe("valkey", "livenessProbe")), "no server, and it lives"

    server = pods.start(manifest("valkey"), "valkey-0")
    wait_until(lambda: server.well(probe("valkey")), "the server is ready")
    assert server.well(probe("valkey", "livenessProbe"))
    os.kill(server.pid, signal.SIGSTOP)
    assert not server.well(probe("valkey")), "a server that hangs is ready"
    os.kill(server.pid, signal.SIGCONT)
    for one in coordinators:
        wait_until(lambda one=one: one.well(probe("coordinator")), "it is ready")  # type: ignore[misc]
        assert one.well(probe("coordinator", "livenessProbe"))
    flower = pods.start(manifest("flower"), "flower-1")
    asked = Asked(people)
    address = "http://flower:5555"
    healthy = address + probe("flower")["httpGet"]["path"]
    wait_until(lambda: asked(healthy)[0] == 200, "Flower is healthy")

    run = "kubectl exec deploy/client -- "
    doctor, submit, *looks = [
        shlex.split(line.removeprefix(run))
        for block in blocks(README)
        for line in block.splitlines()
        if line.startswith(run)
    ]
    called = people.exec(submit)
    assert called.returncode == 0, called.stdout + called.stderr

    login = cluster.environment(container(manifest("flower")))["FLOWER_BASIC_AUTH"]
    for page in ("/", "/experiments", "/metrics/experiments", "/api/experiments"):
        assert asked(address + page)[0] == 401
        assert asked(address + page, "admin:wrong")[0] == 401
        assert asked(address + page, login)[0] == 200
    # all four trials could start, and nothing is in the queue as there is no worker
    wait_until(lambda: keda_reads(cluster, asked) == 4, "KEDA is told of four slots")
    depth = people.exec([sys.executable, "-c", DEPTH])
    assert depth.stdout == "0\n", depth.stderr

    worker = pods.start(manifest("worker"), "worker-1")
    wait_until(lambda: worker.well(probe("worker")), "the worker is ready", 60)
    wait_until(lambda: overview()["trials"]["running"], "a trial is in training", 60)
    assert worker.stop() == 0, "scaled down"
    exported = people.exec(["asha-queue", "export", "digits"]).stdout
    ends = [json.loads(line)["type"] for line in exported.splitlines()]
    assert "suspended" in ends
    assert "lost" not in ends
    (pods.claims / "storage" / "go").touch()
    worker = pods.start(manifest("worker"), "worker-2")
    wait_until(lambda: worker.well(probe("worker")), "the next worker is ready", 60)
    wait_until(lambda: overview()["state"] == "finished", "the experiment has finished", 60)
    for look in (doctor, *looks):
        called = people.exec(look)
        assert called.returncode == 0, called.stdout + called.stderr
        assert look == doctor or "digits" in called.stdout or "a line of the" in called.stdout
    assert doctor[-1] == "doctor"
    script = re.sub(r"^kubectl .*\n", "", block("sed "), flags=re.M)
    assert "finished" in pods.beside(script, tmp_path / "deploy" / "kubernetes", HERE)
    workers = json.loads(people.exec(["asha-queue", "status", "--json"]).stdout)["workers"]
    assert sorted(one["worker"] for one in workers) == ["cpu0@worker-2", "cpu1@worker-2"]
    wait_until(lambda: keda_reads(cluster, asked) == 0, "KEDA is told that none is wanted")

    for pod in (worker, flower, *coordinators, server):
        assert pod.stop() == 0
