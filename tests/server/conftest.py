"""Fixture of the tests that hold for both stores."""

from collections.abc import Iterator

import pytest

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
