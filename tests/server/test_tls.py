"""TLS: whoever is not the server that was meant is told apart, in one clear message."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import pools

from asha_queue.errors import StoreError, StoreUnavailable
from asha_queue.queue import Publisher
from asha_queue.store import connect
from asha_queue.store.contract import QueuedSegment
from tests.conftest import free_port
from tests.secured import Secured
from tests.tls import TlsPort, certificates

SEGMENT = QueuedSegment(0, 0, 0, 1, 1, {})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders of certificates, each of a CA of its own."""
    folder = tmp_path_factory.mktemp("certificates")
    certificates(folder / "here", "127.0.0.1", "localhost")
    certificates(folder / "elsewhere", "head.example.org", "10.0.0.1")
    certificates(folder / "expired", "127.0.0.1", DAYS="-1")
    return folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    server = Secured(tmp_path_factory.mktemp("tls") / "server")
    yield server
    server.end()


@pytest.fixture(scope="module")
def ports(made: Path, server: Secured) -> Iterator[dict[str, int]]:
    fronts = {name: TlsPort(made / name, server.port) for name in ("here", "elsewhere", "expired")}
    fronts["asks"] = TlsPort(made / "here", server.port, ask_for_theirs=True)
    yield {"plain": server.port} | {name: front.port for name, front in fronts.items()}
    for front in fronts.values():
        front.close()


@pytest.fixture(autouse=True)
def apart() -> Iterator[None]:
    """Within a process kombu takes connections of the same host and user for the same."""
    yield
    pools.reset()


def url(server: Secured, port: int, options: str, host: str = "127.0.0.1") -> str:
    login = server.url("coordinator").partition("://")[2].partition("@")[0]
    return f"rediss://{login}@{host}:{port}/0{options}"


@pytest.mark.parametrize(
    ("host", "port", "options"),
    [
        ("127.0.0.1", "here", "?ssl_ca_certs={made}/here/ca.crt"),
        ("localhost", "here", "?ssl_ca_certs={made}/here/ca.crt"),
        ("127.0.0.1", "expired", "?ssl_cert_reqs=none"),
        (
            "127.0.0.1",
            "asks",
            "?ssl_ca_certs={made}/here/ca.crt&ssl_certfile={made}/here/client.crt"
            "&ssl_keyfile={made}/here/client.key",
        ),
        (
            "127.0.0.1",
            "elsewhere",
            "?ssl_ca_certs={made}/elsewhere/ca.crt&ssl_check_hostname=false",
        ),
    ],
)
def test_store_and_queue_go_through_tls(
    host: str, port: str, options: str, made: Path, server: Secured, ports: dict[str, int]
) -> None:
    at = url(server, ports[port], options.format(made=made), host)
    store = connect(at)
    store.attend("me", {})
    assert store.attendants()[0].who == "me"
    Publisher(at).publish("uid", [SEGMENT])
    store.close()


@pytest.mark.parametrize(
    ("port", "options", "says"),
    [
        ("here", "", "of no CA that is trusted here.*ssl_ca_certs=PATH"),
        ("here", "?ssl_ca_certs={made}/elsewhere/ca.crt", "of no CA that is trusted here"),
        ("elsewhere", "?ssl_ca_certs={made}/elsewhere/ca.crt", "is for another host"),
        ("expired", "?ssl_ca_certs={made}/expired/ca.crt", "has expired: make a new one"),
        ("asks", "?ssl_ca_certs={made}/here/ca.crt", "want a certificate of ours"),
        ("plain", "?ssl_ca_certs={made}/here/ca.crt", "Does it speak TLS at this port"),
    ],
)
def test_a_server_that_is_not_the_one_meant_gets_one_clear_message(
    port: str, options: str, says: str, made: Path, server: Secured, ports: dict[str, int]
) -> None:
    at = url(server, ports[port], options.format(made=made))
    password = at.partition("@")[0].rpartition(":")[2]
    with pytest.raises(StoreUnavailable, match=says) as told:
        connect(at, timeout=1.0).names()
    assert password not in str(told.value)
    if port != "plain":  # which says nothing, and is waited for
        with pytest.raises(StoreUnavailable, match="takes no message") as told:
            Publisher(at).publish("uid", [SEGMENT])
        assert password not in str(told.value)


def test_who_speaks_in_the_clear_to_a_tls_port_is_told_of_it(
    server: Secured, ports: dict[str, int]
) -> None:
    at = url(server, ports["here"], "").replace("rediss://", "redis://")
    with pytest.raises(StoreUnavailable, match="speak TLS at this port, rediss://"):
        connect(at).names()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("?ssl_ca_cert=/etc/ca.crt", "ssl_ca_cert=/etc/ca.crt in the broker's URL is not underst"),
        ("?ssl_cert_reqs=some", "ssl_cert_reqs=some in the broker's URL"),
        ("?ssl_ca_certs=/no/such", "/no/such in the broker's URL: No such file"),
        ("?ssl_ca_certs={made}/here/server.key", "not a certificate"),
        ("?ssl_certfile={made}/here/client.crt", "belong together"),
        (
            "?ssl_certfile={made}/here/client.crt&ssl_keyfile={made}/here/server.key",
            "not a certificate, or not its key",
        ),
    ],
)
def test_a_slip_in_the_options_is_told_before_anything_is_asked(
    options: str, says: str, made: Path
) -> None:
    at = f"rediss://me:secret1@127.0.0.1:{free_port()}/0{options.format(made=made)}"
    for use in (connect, Publisher):
        with pytest.raises(StoreError, match=re.escape(says)) as told:
            use(at)
        assert "secret1" not in str(told.value)


def test_certificates_are_renewed_by_the_same_ca(tmp_path: Path) -> None:
    folder = certificates(tmp_path / "made", "head")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    certificates(folder, "head", "10.0.0.1")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert before.keys() == after.keys()
    same = {name for name in before if before[name] == after[name]}
    assert same == {"ca.crt", "ca.key"}
    keys = {name for name in before if name.endswith(".key")}
    assert all((folder / name).stat().st_mode & 0o77 == 0 for name in keys)


def test_a_connection_by_tls_comes_back_after_the_server_was_killed(
    tmp_path: Path, made: Path
) -> None:
    server = Secured(tmp_path / "server", made / "here")
    try:
        store = connect(server.url("coordinator"))
        store.attend("me", {})
        store.submit("0123456789abcdef", "digits", {"name": "digits", "retries": 1})
        server.kill()
        with pytest.raises(StoreUnavailable):
            store.names()
        server.start()
        store.attend("me", {})
        assert store.names() == {"digits": "0123456789abcdef"}
    finally:
        server.end()
