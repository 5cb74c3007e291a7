"""The lab of the tests with real workers."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes.directory import Directory
from tests.processes.lab import Lab
from tests.processes.servers import Valkey


@pytest.fixture
def lab(broker: str, tmp_path: Path) -> Iterator[Lab]:
    """A lab on the session's server; its processes are ended with the test."""
    with Lab(broker, tmp_path) as lab:
        yield lab


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Directory]:
    directory = Directory(tmp_path)
    yield directory
    directory.end()


@pytest.fixture(scope="module")
def worker(valkey: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A lab with a worker, for all tests of a module: none of them breaks it."""
    with Lab(valkey, tmp_path_factory.mktemp("lab")) as lab:
        lab.worker()
        yield lab


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path / "server")
    yield server
    server.kill()
