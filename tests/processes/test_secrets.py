"""No secret is in command lines, output, logs, files, pages or the store, wherever one travels."""

import base64
import contextlib
import io
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from asha_queue.cli import main
from tests.conftest import free_port, wait_until
from tests.processes.directory import PROGRAM, Directory
from tests.processes.servers import Valkey

#: The password of the server, that of Flower's login, and what storage and tracker are told.
BROKER = "br0k3r/S3cr3t+1"
LOGIN = "fl0w3rS3cr3t"
STORAGE = "st0rag3S3cr3tK3y"
TRACKER = "tr4ck3rS3cr3tT0k3n"
#: How the whole of a key is read, by its type.
READS = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "list": ("LRANGE", 0, -1),
    "zset": ("ZRANGE", 0, -1),
    "stream": ("XRANGE", "-", "+"),
}
SECRETS = (BROKER, LOGIN, STORAGE, TRACKER)

#: Prints what it is told of the fleet by its environment, as programs do that are looked into (what
#: a storage needs is there for them, too); fails sometimes.
TALKATIVE = PROGRAM.replace(
    "    for step in trial.steps():",
    """    print({k: v for k, v in os.environ.items() if k[:5] in ("ASHA_", "CELER", "REDIS")})
    if trial.number == 3:
        raise RuntimeError("this one fails")
    for step in trial.steps():""",
).replace("seed=1,", 'seed=1, trackers=["mine.py:Mine"], retries=0,')
COMMAND = """
name = "told"
command = "env | grep -E 'ASHA|CELERY'; echo '{\\"loss\\": 1}'"
metric = "loss"
mode = "min"
max_t = 1
num_samples = 2
[space]
x = {uniform = [0, 1]}
"""
MINE = """
import os
class Mine:
    def __init__(self, experiment): pass
    def start(self, trial, config):
        raise RuntimeError(f"{os.environ['TRACKER_TOKEN']} and {os.environ['TRACKER_URI']}")
    def report(self, trial, step, metrics): pass
    def end(self, trial, state): pass
"""


def forms(secret: str) -> Iterator[bytes]:
    """A secret as it is, in a URL, and in base64 wherever in a text it begins."""
    yield secret.encode()
    yield quote(secret, safe="").encode()
    for before in range(3):
        coded = base64.b64encode(b"x" * before + secret.encode() + b"y" * 3)
        yield coded[4 if before else 0 : len(coded) // 4 * 4 - 8]


def found_in(data: bytes, secrets: Iterable[str]) -> list[str]:
    return [secret for secret in secrets for form in forms(secret) if form in data]


def in_command_lines(secrets: Iterable[str]) -> list[tuple[int, str]]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            data = (process / "cmdline").read_bytes()
            found += [(int(process.name), secret) for secret in found_in(data, secrets)]
    return found


def in_files(folder: Path, secrets: Iterable[str], known: Iterable[str] = ()) -> list[str]:
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in known and found_in(path.read_bytes(), secrets):
            found.append(str(path.relative_to(folder)))
    return found


def in_store(client: redis.Redis, secrets: Iterable[str]) -> list[str]:
    """The keys that hold one, whatever their type."""
    found = []
    for key in client.scan_iter():
        kind: Any = client.type(key)
        command = READS[kind.decode()]
        held = client.execute_command(command[0], key, *command[1:])  # type: ignore[no-untyped-call]
        if found_in(key + repr(held).encode(), secrets):
            found.append(key.decode())
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    """A server with a user `fleet` who has a password, and nobody else."""
    server = Valkey(tmp_path / "valkey")
    with redis.Redis.from_url(server.url) as client:
        client.execute_command("ACL", "SETUSER", "fleet", "on", f">{BROKER}", "~*", "&*", "+@all")
        client.execute_command("ACL", "SETUSER", "default", "off")
    server.url = f"redis://fleet:{quote(BROKER, safe='')}@127.0.0.1:{server.port}/0"
    yield server
    server.kill()


def test_the_forms_of_a_secret_are_found_wherever_they_begin() -> None:
    for before in range(7):
        text = base64.b64encode(b"a" * before + BROKER.encode() + b":rest of it")
        assert found_in(text, [BROKER]) == [BROKER]
    assert found_in(quote(f"redis://x:{quote(BROKER, safe='')}@h").encode(), [LOGIN]) == []


@pytest.mark.slow
def test_no_secret_of_a_cluster_is_shown_anywhere(directory: Directory, server: Valkey) -> None:
    port = free_port()
    directory.environment |= {
        "AWS_ACCESS_KEY_ID": "AKIA0",
        "AWS_SECRET_ACCESS_KEY": STORAGE,
        "TRACKER_TOKEN": TRACKER,
        "TRACKER_URI": f"http://ada:{TRACKER}@127.0.0.1:1",
        "FLOWER_PORT": str(port),
        "CUDA_VISIBLE_DEVICES": "",
    }
    for name, text in (("exp.py", TALKATIVE), ("told.toml", COMMAND), ("mine.py", MINE)):
        directory.write(name, text)
    # both are ways in which people give it
    directory.serve("coordinator", "--broker", server.url)
    directory.environment["ASHA_QUEUE_BROKER"] = server.url
    directory.serve("worker", "--cpus", "2", "--commands")
    directory.serve("flower", f"--basic_auth=ada:{LOGIN}")
    pages = Pages(f"http://127.0.0.1:{port}")
    said = Said(directory)
    wait_until(pages.up, "Flower listens", 60)
    said.call("submit", "exp.py")
    said.call("submit", "told.toml")

    def ended() -> bool:
        shown = json.loads(said.call("status", "--json"))["experiments"]
        return len(shown) == 2 and all(one.get("state") == "finished" for one in shown)

    wait_until(ended, "both experiments have ended", 120)
    assert in_command_lines(SECRETS) == []
    for verb in VERBS:
        said.call(*verb)
        if verb[0] in JSON_VERBS:
            said.call(*verb, "--json")
    log = said.call("logs", "told", "0")
    assert "ASHA_QUEUE_TARGET=1" in log, "the command has printed its environment"
    [worker, *_] = pages.workers()
    for page in (*PAGES, f"/worker/{worker}"):
        pages.get(page)
    assert "broker_read_url" in pages.read["/api/workers?refresh=1"]
    tracked = next(directory.path.glob("asha-runs/quick/trackers/*.json")).read_text()
    assert "*** and http://***@127.0.0.1:1" in tracked
    with redis.Redis.from_url(server.url) as client:
        assert in_store(client, SECRETS) == []
    wrong = server.url.replace("S3cr3t", "wr0ngS3cr3t")
    for broker in (wrong, server.url.replace("%2F", "/"), server.url.replace("/0", "/x")):
        for verb in (("status",), ("doctor", "--json"), ("submit", "exp.py")):
            said.call(*verb, broker=broker)
    said.call("worker", broker=broker)
    server.kill()
    for verb in VERBS:
        said.call(*verb)
    secrets = (*SECRETS, "wr0ngS3cr3t", "S3cr3t+1", "S3cr3t%2B1")
    assert in_command_lines(secrets) == []
    assert [call for call, text in said.all if found_in(text.encode(), secrets)] == []
    assert [page for page, text in pages.read.items() if found_in(text.encode(), secrets)] == []
    assert in_files(directory.path, secrets) == []


@pytest.mark.slow
def test_the_password_of_an_embedded_server_stays_in_its_own_files(directory: Directory) -> None:
    run = directory.start("run", "exp.py", "--workers", "2", "--flower", STEP="0.05")
    password_file = directory.path / "asha-runs/.valkey/password"
    wait_until(password_file.exists, "the server has a password")
    password = password_file.read_text()
    journal = directory.path / "asha-runs/quick/journal.jsonl"
    wait_until(lambda: journal.exists() and "completed" in journal.read_text(), "it trains", 60)
    assert in_command_lines([password]) == []
    out, err = run.communicate(timeout=120)
    assert run.returncode == 0, err
    status = directory.call("status", "--json")
    assert not found_in(f"{out}{err}{status}".encode(), [password])
    assert in_files(directory.path, [password], ("password", "address")) == []
    for name in ("password", "address"):
        path = password_file.with_name(name)
        assert not path.exists() or path.stat().st_mode & 0o077 == 0


#: Every verb that ends by itself, right and wrong.
VERBS = [
    *(("status",), ("status", "quick"), ("status", "quick", "3"), ("status", "nobody")),
    *(("doctor",), ("logs", "quick", "3"), ("export", "quick"), ("check", "quick")),
    *(("report", "quick"), ("pause", "quick"), ("resume", "quick"), ("cancel", "quick")),
    *(("best", "quick", "taken"), ("best", "nobody", "taken")),
    *(("extend", "quick", "--max-t", "3"), ("retry", "quick", "9"), ("drain", "nobody")),
    *(("restore", "asha-runs/quick/journal.jsonl"), ("delete", "nobody", "--yes"), ("version",)),
    *(("submit", "told.toml"), ("coordinator", "--nonsense"), ("flower", "--nonsense=1")),
]
JSON_VERBS = {"best", "status", "doctor", "check", "logs", "restore", "drain", "submit"}
PAGES = [
    *("/", "/workers", "/tasks", "/broker", "/metrics", "/healthcheck", "/experiments"),
    *("/experiments/quick", "/experiments/quick/trials/3", "/experiments/told"),
    *("/api/workers?refresh=1", "/api/tasks", "/api/queues/length", "/api/task/types"),
    *("/api/experiments", "/api/experiments/quick", "/api/experiments/quick/trials"),
    *("/api/experiments/quick/trials/0/log/0/1", "/api/experiments/nobody", "/api/nothing"),
]


class Said:
    """Calls of the command line, and what each has printed."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.all: list[tuple[str, str]] = []

    def call(self, *words: str, broker: str = "") -> str:
        """What a call prints on its standard output; in this process, as they are many."""
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in "ab")
        environment = self._directory.environment
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self._directory.path)
            for name in environment.keys() - os.environ.keys():
                patch.setenv(name, environment[name])
            patch.setenv("ASHA_QUEUE_BROKER", broker or environment["ASHA_QUEUE_BROKER"])
            with (
                contextlib.redirect_stdout(out),
                contextlib.redirect_stderr(err),
                contextlib.suppress(SystemExit),
            ):
                main(words)
        for one in (out, err):
            one.seek(0)
        printed, complained = out.read(), err.read()
        self.all.append((" ".join(words), printed + complained))
        return printed


class Pages:
    """Flower's pages, and what was read of them."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.read: dict[str, str] = {}

    def get(self, path: str) -> str:
        login = base64.b64encode(f"ada:{LOGIN}".encode()).decode()
        request = urllib.request.Request(
            self._url + path, headers={"Authorization": f"Basic {login}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                self.read[path] = response.read().decode() + str(response.headers)
        except urllib.error.HTTPError as error:
            with error:
                self.read[path] = error.read().decode() + str(error.headers)
        return self.read[path]

    def up(self) -> bool:
        try:
            return "Experiments" in self.get("/experiments")
        except OSError:
            return False

    def workers(self) -> list[str]:
        text = self.get("/api/workers?refresh=1").partition("\n")[0]
        return [*json.JSONDecoder().raw_decode(text)[0]]
