"""Fixtures of the tests that hold for both stores, and of those of storage in a bucket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from asha_queue.storage import Remote
from tests.buckets import Bucket, bucket
from tests.server.sides import MemorySide, ServerSide, Side


@pytest.fixture(params=["server", "memory"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    """A store, on a server or in memory, with a clock that the test moves."""
    if request.param == "memory":
        yield MemorySide()
        return
    server = ServerSide(request.getfixturevalue("broker"))
    yield server
    server.close()


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bucket]:
    with bucket(tmp_path_factory.mktemp("s3")) as made:
        yield made


@pytest.fixture
def s3(s3_server: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("ASHA_QUEUE_CACHE", str(tmp_path / "cache"))
    s3_server.reset()
    yield s3_server
    s3_server.reset()


@pytest.fixture
def root(s3: Bucket, tmp_path: Path) -> Remote:
    return Remote(f"s3://runs/{tmp_path.name}", patience=10.0)
